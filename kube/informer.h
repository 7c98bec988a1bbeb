/// A collection kept at hand: what the API server has, read from memory, with word of each change.
#pragma once

#include "kube/watch.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kled::kube {

/// "namespace/name", and "/name" for cluster-scoped objects.
[[nodiscard]] std::string object_key(std::string_view ns, std::string_view name);
[[nodiscard]] std::string object_key(const Object& object);

struct InformerOptions {
    WatchOptions watch;
    bool metadata_only = false;             ///< apiVersion, kind and metadata; the rest is dropped
    std::size_t limit_bytes = 256U << 20U;  ///< of encoded objects: Error(exhausted) from run()
};

/// Holds objects as encoded JSON without managedFields. Used from one loop.
class Informer : private WatchHandler {
public:
    struct Change {
        enum class Kind { added, updated, removed };
        Kind kind;
        const std::string& key;
        const Object& object;         ///< as it is now; of `removed`, as it last was
        const std::string& previous;  ///< encoded, as it was before; empty for `added`
    };
    /// Called for each change, after get() and list() show it. Must not wait. After a gap it is
    /// told the difference.
    using Handler = std::function<void(const Change&)>;

    Informer(boost::asio::any_io_executor executor, Client& client, GroupVersionKind gvk,
             InformerOptions options = {});

    /// Before run().
    void add_handler(Handler handler) { handlers_.push_back(std::move(handler)); }

    /// Follows until cancelled.
    boost::asio::awaitable<void> run();

    /// The first list is in.
    [[nodiscard]] bool synced() const noexcept { return synced_; }
    boost::asio::awaitable<void> wait_until_synced();

    [[nodiscard]] std::optional<Object> get(std::string_view ns, std::string_view name) const;
    /// By key; of one namespace when one is given.
    [[nodiscard]] std::vector<Object> list(std::string_view ns = {}) const;
    [[nodiscard]] std::vector<std::string> keys(std::string_view ns = {}) const;
    [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }
    [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

private:
    struct Entry {
        std::string encoded;
        std::string version;
        std::uint64_t seen = 0;  // the list it was last in
    };
    using Entries = std::map<std::string, Entry, std::less<>>;

    void list_page(std::vector<Object> items, bool first) override;
    void list_complete() override;
    void changed(Object object) override;
    void deleted(Object object) override;
    void store(Object object);
    Entries::iterator remove(Entries::iterator entry);
    void tell(Change::Kind kind, const std::string& key, const Object& object,
              const std::string& previous);
    template <typename Visit>
    void each(std::string_view ns, Visit visit) const;

    Client& client_;
    GroupVersionKind gvk_;
    InformerOptions options_;
    std::vector<Handler> handlers_;
    Entries entries_;
    std::size_t bytes_ = 0;
    std::uint64_t lists_ = 0;
    bool synced_ = false;
    boost::asio::steady_timer synced_timer_;  // never fires; cancelled when the first list is in
};

}  // namespace kled::kube
