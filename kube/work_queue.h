/// Work by key: each key at most once at a time, many requests for it as one, failures later.
#pragma once

#include "base/clock.h"
#include "base/retry.h"
#include "base/task_group.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

namespace kled::kube {

/// When which key is due. It decides, and reads no clock.
class WorkSchedule {
public:
    struct Options {
        Backoff::Options backoff{.first = Duration{1'000}, .limit = Duration{300'000}};
        std::size_t limit = 1'000'000;  ///< keys: Error(exhausted) from add()
        std::uint64_t seed = 0;
    };
    explicit WorkSchedule(const Options& options) : options_{options} {}

    /// `key` is due at `at`, or earlier if it is already. While it is worked on, it becomes due
    /// again after that: nothing is missed.
    void add(const std::string& key, SteadyTime at);
    /// The key that is longest due, from now on worked on; nullopt: none is.
    [[nodiscard]] std::optional<std::string> take(SteadyTime now);
    /// The work on `key` went well; it is due again at `again`, if given.
    void succeeded(const std::string& key, std::optional<SteadyTime> again = std::nullopt);
    /// It did not: due again after a delay that grows with each failure in a row.
    void failed(const std::string& key, SteadyTime now);

    /// When take() has something next; nullopt: not before something is added or ends.
    [[nodiscard]] std::optional<SteadyTime> next_due() const;
    [[nodiscard]] std::size_t size() const noexcept { return keys_.size(); }
    [[nodiscard]] unsigned failures(const std::string& key) const;

private:
    struct State {
        std::optional<SteadyTime> due;
        bool working = false;
        std::optional<Backoff> backoff;  // set while it fails
    };
    using Keys = std::map<std::string, State>;
    void set_due(Keys::iterator entry, SteadyTime at);
    void finished(Keys::iterator entry);

    Options options_;
    Keys keys_;
    std::set<std::pair<SteadyTime, std::string>> due_;  // of keys that are not worked on
};

/// Does the work for one key.
class Reconciler {
public:
    virtual ~Reconciler() = default;
    /// Returns when it wants to be called again without another reason; what it throws is logged
    /// and tried again later.
    virtual boost::asio::awaitable<std::optional<Duration>> reconcile(std::string key) = 0;
};

/// Carries a schedule out on one loop.
class WorkQueue {
public:
    struct Options {
        std::string name;  ///< for the log
        std::size_t workers = 4;
        WorkSchedule::Options schedule;
    };
    WorkQueue(boost::asio::any_io_executor executor, Options options);

    void add(const std::string& key) { add_after(key, Duration{0}); }
    void add_after(const std::string& key, Duration delay);
    /// Until cancelled; what is worked on is then cancelled and waited for. `reconciler` outlives
    /// the task.
    boost::asio::awaitable<void> run(Reconciler& reconciler);
    /// Keys that are due, worked on, or waiting for their time.
    [[nodiscard]] std::size_t size() const noexcept { return schedule_.size(); }

private:
    boost::asio::awaitable<void> work(Reconciler& reconciler, std::string key);
    boost::asio::awaitable<void> dispatch(Reconciler& reconciler, TaskGroup& tasks);

    Options options_;
    WorkSchedule schedule_;
    boost::asio::any_io_executor executor_;
    boost::asio::steady_timer wake_;  // expires when the next key is due; cancelled on a change
    std::size_t working_ = 0;
};

}  // namespace kled::kube
