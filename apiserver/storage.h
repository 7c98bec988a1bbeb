/// Objects as encoded JSON, durable in SQLite and held in memory for reading; one counter of
/// resource versions; the recent changes, for watches.
///
/// A write takes the lock of its object, decides on what is committed, and is answered after its
/// commit is durable. All writes that wait share one commit, and become visible in the order of
/// their resource versions. Everything here runs on one loop.
#pragma once

#include "base/signal.h"
#include "store/writer.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kled::api {

using Version = std::uint64_t;                     ///< a resourceVersion
using Bytes = std::shared_ptr<const std::string>;  ///< one object, JSON, never changed

struct Key {
    std::string ns;  ///< empty: cluster-scoped
    std::string name;
    auto operator<=>(const Key&) const = default;
};

struct Stored {
    Bytes bytes;
    Version version = 0;
};
using Collection = std::map<Key, Stored>;

/// One committed write.
struct Change {
    Version version = 0;
    std::string collection;
    Key key;
    Bytes object;    ///< after the write; for a removal the last state with the removal's version
    Bytes previous;  ///< null: it was added
    Version previous_version = 0;
    bool removed = false;
};
using ChangePtr = std::shared_ptr<const Change>;

class Storage {
public:
    struct Options {
        std::filesystem::path file;
        std::size_t history_bytes = 4U << 20U;
    };
    Storage(boost::asio::any_io_executor executor, Options options);
    ~Storage();

    /// Commits until cancelled; a write not answered by then fails, but may be stored.
    boost::asio::awaitable<void> run();

    // Committed state. A reference is good until the next suspension.
    [[nodiscard]] const Collection& collection(std::string_view name) const;
    [[nodiscard]] const Stored* find(std::string_view collection, const Key& key) const;
    [[nodiscard]] std::vector<std::string> collections() const;
    [[nodiscard]] Version version() const noexcept { return committed_; }

    /// The sole right to write one object; freed by its end, or after the commit once submitted.
    class Lock {
    public:
        Lock(Lock&&) noexcept = default;
        Lock& operator=(Lock&&) noexcept = default;

    private:
        friend class Storage;
        struct Held;
        explicit Lock(std::shared_ptr<Held> held) : held_{std::move(held)} {}
        std::shared_ptr<Held> held_;
    };
    boost::asio::awaitable<Lock> lock(std::string collection, Key key);
    /// Whether someone holds the lock of an object of `collection` in `ns`; empty: of any, in any.
    [[nodiscard]] bool writing(std::string_view collection, std::string_view ns) const;
    /// Completes when that ends for at least one.
    boost::asio::awaitable<void> any_unlocked();

    /// Makes the bytes for the version they will have.
    using Encode = std::function<std::string(Version)>;
    /// Stores or removes the locked object; completes when that is durable and visible. Nothing
    /// suspends between the call and the assignment of the version, so what was checked just before
    /// still holds. Error(exhausted) on a full disk, Error(unavailable) for an I/O failure: then
    /// nothing is stored.
    boost::asio::awaitable<Stored> write(Lock lock, Encode encode, bool removed);

    /// Whether all changes after `version` are still in `history`; if not, a client lists again.
    [[nodiscard]] bool remembers(Version version) const noexcept { return version >= forgotten_; }
    [[nodiscard]] const std::deque<ChangePtr>& history() const noexcept { return history_; }
    /// Index in `history` of the first change after `version`, which must be remembered.
    [[nodiscard]] std::size_t first_after(Version version) const;
    /// The collection as it was at `version`, below `ns` (empty: all). nullopt: not remembered.
    [[nodiscard]] std::optional<Collection> at(std::string_view collection, std::string_view ns,
                                               Version version) const;

    /// Told of every change of `collection` ("": of all), on the loop, until it ends.
    class Subscription {
    public:
        Subscription(Storage& storage, std::string collection,
                     std::function<void(const Change&)> tell);
        ~Subscription();
        Subscription(const Subscription&) = delete;
        Subscription& operator=(const Subscription&) = delete;

    private:
        friend class Storage;
        Storage& storage_;
        std::string collection_;
        std::function<void(const Change&)> tell_;
        std::list<Subscription*>::iterator place_;
    };

private:
    struct Pending;
    boost::asio::awaitable<void> commit(std::vector<std::shared_ptr<Pending>> batch);
    void publish(const ChangePtr& change);
    void load(store::Database& database);

    boost::asio::any_io_executor executor_;
    Options options_;
    std::unique_ptr<store::Writer> writer_;
    std::map<std::string, Collection, std::less<>> collections_;
    Version committed_ = 0;  // visible
    Version assigned_ = 0;   // given to a submitted write
    std::deque<ChangePtr> history_;
    std::size_t history_bytes_ = 0;
    Version forgotten_ = 0;  // the last version whose change is not kept
    std::vector<std::shared_ptr<Pending>> waiting_;
    Signal submitted_;
    struct Locks;
    std::shared_ptr<Locks> locks_;
    std::list<Subscription*> subscriptions_;
};

}  // namespace kled::api
