/// Following a collection: list once, then watch from there, for as long as it takes.
#pragma once

#include "base/clock.h"
#include "base/retry.h"
#include "kube/client.h"

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kled::kube {

/// What to do next in following a collection (the reflector of client-go, as a value): it does no
/// I/O and reads no clock. A lost connection goes on where it was; a version that the server no
/// longer has (410) means to list again; what fails waits, longer each time.
class WatchState {
public:
    struct Next {
        enum class Step { list, watch };
        Step step;
        Duration after{0};             ///< how long to wait before it
        std::string resource_version;  ///< of `watch`: where it begins
    };
    enum class Verdict {
        deliver,    ///< an object was added, changed or deleted
        skip,       ///< a bookmark
        reconnect,  ///< the stream is of no more use
    };

    WatchState(Backoff::Options backoff, std::uint64_t seed) : backoff_{backoff, seed} {}

    [[nodiscard]] Next next() const;

    void listed(std::string resource_version);
    /// The list, or the attempt to watch, failed; `error` decides whether a new list is needed.
    void failed(const Error& error);
    /// A line of the stream: `type` (ADDED, MODIFIED, DELETED, BOOKMARK, ERROR) and its object.
    [[nodiscard]] Verdict received(std::string_view type, const Object& object);
    /// The stream ended, as each does after some minutes, or broke.
    void ended();

    /// Failures since something last worked.
    [[nodiscard]] unsigned failures() const noexcept { return backoff_.failures(); }

private:
    void worked();
    void wait();

    Backoff backoff_;
    std::string version_;  // empty: a list is needed
    Duration delay_{0};
    bool progress_ = false;  // since the last list or stream began
};

/// Told what happens, on the client's loop; must not wait.
class WatchHandler {
public:
    virtual ~WatchHandler() = default;
    /// A new list, page by page: `first` opens it, `list_complete` closes it. What is not in it is
    /// gone.
    virtual void list_page(std::vector<Object> items, bool first) = 0;
    virtual void list_complete() = 0;
    virtual void changed(Object object) = 0;
    virtual void deleted(Object object) = 0;
};

struct WatchOptions {
    ListOptions list;
    Backoff::Options backoff{.first = Duration{500}, .limit = Duration{30'000}};
    Duration lifetime{300'000};           ///< of one stream; up to twice as long
    std::size_t line_limit = 16U << 20U;  ///< of one event, bytes
};

/// Follows until cancelled; a kind that is not served is waited for (kube/served.h). Failures are
/// logged, never thrown; what `handler` throws is. Client and
/// handler outlive the task.
boost::asio::awaitable<void> watch(Client& client, GroupVersionKind gvk, WatchOptions options,
                                   WatchHandler& handler);

}  // namespace kled::kube
