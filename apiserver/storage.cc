#include "apiserver/storage.h"

#include "base/error.h"
#include "base/log.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include <algorithm>
#include <set>
#include <utility>

namespace kled::api {

namespace asio = boost::asio;

namespace {

const std::vector<store::Migration> migrations{
    {1,
     "CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL);"
     "INSERT INTO counter VALUES ('version', 0);"
     "CREATE TABLE object (collection TEXT NOT NULL, ns TEXT NOT NULL, name TEXT NOT NULL,"
     "  version INTEGER NOT NULL, data BLOB NOT NULL, UNIQUE (collection, ns, name));"},
};

constexpr std::size_t change_overhead = 256;  // beside the bytes of the object

std::size_t weight(const Change& change) { return change.object->size() + change_overhead; }

/// On the writer's thread.
void store_batch(store::Database& database, const std::vector<ChangePtr>& changes) {
    for (const auto& change : changes) {
        if (change->removed) {
            database.execute("DELETE FROM object WHERE collection = ? AND ns = ? AND name = ?",
                             {change->collection, change->key.ns, change->key.name});
            continue;
        }
        database.execute(
            "INSERT INTO object (collection, ns, name, version, data) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (collection, ns, name) DO UPDATE SET version = excluded.version, data = "
            "excluded.data",
            {change->collection, change->key.ns, change->key.name, change->version,
             store::Blob{*change->object}});
    }
    database.execute("UPDATE counter SET value = ? WHERE name = 'version'",
                     {changes.back()->version});
}

}  // namespace

/// The names of the locked objects, and a timer that stands for "one was freed".
struct Storage::Locks {
    explicit Locks(const asio::any_io_executor& executor)
        : freed{executor, asio::steady_timer::time_point::max()} {}

    std::set<std::pair<std::string, Key>> held;
    asio::steady_timer freed;

    asio::awaitable<void> wait() {
        // Freeing cancels the timer for all who wait; a cancelled caller throws at its next wait.
        co_await freed.async_wait(asio::as_tuple(asio::use_awaitable));
        const auto state = co_await asio::this_coro::cancellation_state;
        if (state.cancelled() != asio::cancellation_type::none)
            throw boost::system::system_error{asio::error::operation_aborted};
    }
};

struct Storage::Lock::Held {
    std::shared_ptr<Locks> locks;
    std::set<std::pair<std::string, Key>>::iterator place;

    ~Held() {
        locks->held.erase(place);
        locks->freed.cancel();
    }
};

struct Storage::Pending {
    explicit Pending(const asio::any_io_executor& executor) : done{executor} {}
    ChangePtr change;
    Lock lock{nullptr};
    std::exception_ptr error;
    Signal done;
};

Storage::Storage(asio::any_io_executor executor, Options options)
    : executor_{std::move(executor)},
      options_{std::move(options)},
      submitted_{executor_},
      locks_{std::make_shared<Locks>(executor_)} {
    auto database = std::make_unique<store::Database>(options_.file,
                                                      store::OpenOptions{.migrations = migrations});
    load(*database);
    writer_ = std::make_unique<store::Writer>(std::move(database));
}

Storage::~Storage() = default;

void Storage::load(store::Database& database) {
    committed_ = static_cast<Version>(
        database.query_integer("SELECT value FROM counter WHERE name = 'version'").value_or(0));
    assigned_ = forgotten_ = committed_;
    database.query("SELECT collection, ns, name, version, data FROM object", {},
                   [&](const store::Row& row) {
                       collections_[std::string{row.text(0)}].insert_or_assign(
                           Key{std::string{row.text(1)}, std::string{row.text(2)}},
                           Stored{std::make_shared<const std::string>(row.blob(4)),
                                  static_cast<Version>(row.integer(3))});
                       return true;
                   });
}

asio::awaitable<void> Storage::run() {
    for (;;) {
        while (!waiting_.empty()) {
            auto batch = std::exchange(waiting_, {});
            co_await commit(std::move(batch));
        }
        co_await submitted_.wait();
    }
}

asio::awaitable<void> Storage::commit(std::vector<std::shared_ptr<Pending>> batch) {
    auto changes = std::make_shared<std::vector<ChangePtr>>();
    changes->reserve(batch.size());
    for (const auto& pending : batch) changes->push_back(pending->change);
    const std::function<void(store::Database&)> work = [changes](store::Database& database) {
        store_batch(database, *changes);
    };
    std::exception_ptr error;
    try {
        co_await writer_->write(work);
    } catch (const boost::system::system_error&) {
        // Cancelled: the commit goes on, but nobody can be told how it ended.
        const auto stopping = std::make_exception_ptr(
            Error{ErrorKind::unavailable, "the API server is stopping; the write may be stored"});
        for (const auto& pending : batch) {
            pending->error = stopping;
            pending->done.notify();
        }
        throw;
    } catch (const Error& failure) {
        log::error("api", "commit failed", {{"error", failure.what()}});
        error = std::make_exception_ptr(failure.within("api store"));
    }
    for (const auto& pending : batch) {
        if (error) {
            pending->error = error;
        } else {
            publish(pending->change);
        }
        const auto freed = std::move(pending->lock);
        pending->done.notify();
    }
}

void Storage::publish(const ChangePtr& change) {
    auto& collection = collections_[change->collection];
    if (change->removed) {
        collection.erase(change->key);
    } else {
        collection.insert_or_assign(change->key, Stored{change->object, change->version});
    }
    committed_ = change->version;
    history_.push_back(change);
    history_bytes_ += weight(*change);
    while (history_bytes_ > options_.history_bytes) {
        history_bytes_ -= weight(*history_.front());
        forgotten_ = history_.front()->version;
        history_.pop_front();
    }
    for (auto place = subscriptions_.begin(); place != subscriptions_.end();) {
        const auto* subscription = *place++;  // it may end itself while it is told
        if (subscription->collection_.empty() || subscription->collection_ == change->collection)
            subscription->tell_(*change);
    }
}

const Collection& Storage::collection(std::string_view name) const {
    static const Collection none;
    const auto found = collections_.find(name);
    return found == collections_.end() ? none : found->second;
}

const Stored* Storage::find(std::string_view name, const Key& key) const {
    const auto& objects = collection(name);
    const auto found = objects.find(key);
    return found == objects.end() ? nullptr : &found->second;
}

std::vector<std::string> Storage::collections() const {
    std::vector<std::string> names;
    for (const auto& [name, objects] : collections_) {
        if (!objects.empty()) names.push_back(name);
    }
    return names;
}

asio::awaitable<Storage::Lock> Storage::lock(std::string collection, Key key) {
    auto entry = std::pair{std::move(collection), std::move(key)};
    while (locks_->held.contains(entry)) co_await locks_->wait();
    const auto place = locks_->held.insert(std::move(entry)).first;
    co_return Lock{std::make_shared<Lock::Held>(locks_, place)};
}

bool Storage::writing(std::string_view name, std::string_view ns) const {
    return std::ranges::any_of(locks_->held, [&](const auto& entry) {
        return (name.empty() || entry.first == name) && (ns.empty() || entry.second.ns == ns);
    });
}

asio::awaitable<void> Storage::any_unlocked() { return locks_->wait(); }

asio::awaitable<Stored> Storage::write(Lock lock, Encode encode, bool removed) {
    auto change = std::make_shared<Change>();
    change->version = assigned_ + 1;
    change->collection = lock.held_->place->first;
    change->key = lock.held_->place->second;
    change->object = std::make_shared<const std::string>(encode(change->version));
    change->removed = removed;
    if (const auto* before = find(change->collection, change->key)) {
        change->previous = before->bytes;
        change->previous_version = before->version;
    }
    assigned_ = change->version;

    const auto pending = std::make_shared<Pending>(executor_);
    pending->change = std::move(change);
    pending->lock = std::move(lock);
    waiting_.push_back(pending);
    submitted_.notify();
    co_await pending->done.wait();
    if (pending->error) std::rethrow_exception(pending->error);
    co_return Stored{pending->change->object, pending->change->version};
}

std::size_t Storage::first_after(Version version) const {
    const auto found = std::ranges::upper_bound(history_, version, {}, &Change::version);
    return static_cast<std::size_t>(found - history_.begin());
}

std::optional<Collection> Storage::at(std::string_view name, std::string_view ns,
                                      Version version) const {
    if (!remembers(version)) return std::nullopt;
    const auto& now = collection(name);
    const auto in_scope = [&](const Key& key) { return ns.empty() || key.ns == ns; };
    Collection then;
    for (auto it = now.lower_bound(Key{std::string{ns}, ""}); it != now.end(); ++it) {
        if (!in_scope(it->first)) break;
        then.emplace_hint(then.end(), *it);
    }
    for (auto it = history_.rbegin(); it != history_.rend() && (*it)->version > version; ++it) {
        const auto& change = **it;
        if (change.collection != name || !in_scope(change.key)) continue;
        if (change.previous) {
            then.insert_or_assign(change.key, Stored{change.previous, change.previous_version});
        } else {
            then.erase(change.key);
        }
    }
    return then;
}

Storage::Subscription::Subscription(Storage& storage, std::string collection,
                                    std::function<void(const Change&)> tell)
    : storage_{storage}, collection_{std::move(collection)}, tell_{std::move(tell)} {
    place_ = storage_.subscriptions_.insert(storage_.subscriptions_.end(), this);
}

Storage::Subscription::~Subscription() { storage_.subscriptions_.erase(place_); }

}  // namespace kled::api
