#include "gitops/source/bucket_fetch.h"

#include "base/error.h"
#include "base/task_group.h"

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>

#include <algorithm>
#include <exception>
#include <optional>

namespace kled::gitops {

namespace asio = boost::asio;

namespace {

/// At a time: each holds an object in memory.
constexpr std::size_t workers = 4;

}  // namespace

asio::awaitable<git::Revision> BucketFetch::run() {
    const std::string name{BucketIndex::ignore_file};
    const auto file = co_await client_.get(name, limits_.ignore_file);
    BucketIndex index{file ? std::string_view{file->bytes} : std::string_view{}, bucket_.ignore};
    co_await list(index);
    co_await check_paths(index);
    if (memory_.revision && memory_.url == bucket_.url()) {
        auto look = [imported = imported_, known = memory_.revision->name] {
            return imported.find(known).has_value();
        };
        const bool here = co_await offload(pool_, std::move(look));
        if (here && memory_.revision->name == index.revision()) co_return *memory_.revision;
        if (!here) {  // the cache was thrown away
            memory_.objects.clear();
            memory_.begun = {};
        }
    }
    if (memory_.begun.url != bucket_.url()) memory_.begun = {.url = bucket_.url(), .objects = {}};
    co_await fetch(index);
    co_await check_paths(index);

    git::Imported::Files files;
    for (const auto& [key, object] : objects_) files[key] = {.oid = object.oid};
    // Flux's archive has it as well.
    if (file) {
        const auto oid = co_await keep(file->bytes);
        files[name] = {.oid = oid};
    }
    struct Committed {
        std::optional<git::Revision> revision;
        std::exception_ptr failure;
        std::vector<std::string> missing;
    };
    auto commit = [imported = imported_, files = std::move(files), revision = index.revision(),
                   memo = BucketMemory::memo(bucket_.url(), index)]() mutable {
        Committed result;
        try {
            result.revision = imported.commit(revision, files, memo);
        } catch (const Error&) {
            result.failure = std::current_exception();
            result.missing = imported.missing(files);
        }
        return result;
    };
    auto done = co_await offload(pool_, std::move(commit));
    for (const auto& key : done.missing) memory_.lost(key);
    if (done.failure) std::rethrow_exception(done.failure);
    memory_.url = bucket_.url();
    memory_.objects = std::move(objects_);
    memory_.begun = {};
    memory_.revision = done.revision;
    co_return std::move(*done.revision);
}

std::string BucketFetch::unfinished() const {
    if (!listing_ || pages_ == 0) return {};
    return std::to_string(pages_) + " pages, " + std::to_string(listed_) + " objects";
}

asio::awaitable<void> BucketFetch::list(BucketIndex& index) {
    std::string next;
    std::uint64_t total = 0;
    listing_ = true;
    while (pages_ < limits_.pages) {
        const auto listing = co_await client_.list(bucket_.prefix, next);
        // Thousands of keys times thousands of patterns: the loop has others to serve meanwhile.
        auto look = [&](const std::stop_token& stop) { return add(index, listing, stop); };
        total += co_await offload_stoppable(pool_, std::move(look));
        if (total > limits_.total) {
            throw Error{ErrorKind::exhausted,
                        "the bucket has more than " + std::to_string(limits_.total) +
                            " bytes; spec.prefix and spec.ignore leave some out"};
        }
        ++pages_;
        listed_ += listing.objects.size();
        if (listing.next.empty()) {
            listing_ = false;
            co_return;
        }
        if (listing.next == next)
            throw Error{ErrorKind::invalid,
                        "the list of objects has no end: a page leads to itself"};
        next = listing.next;
    }
    throw Error{ErrorKind::exhausted, "the list of objects has no end"};
}

std::uint64_t BucketFetch::add(BucketIndex& index, const s3::Listing& listing,
                               const std::stop_token& stop) const {
    std::uint64_t total = 0;
    for (const auto& object : listing.objects) {
        if (stop.stop_requested())
            throw boost::system::system_error{asio::error::operation_aborted};
        if (!index.add(object.key, object.etag)) continue;
        if (object.size > limits_.object) {
            throw Error{ErrorKind::exhausted,
                        "object '" + object.key + "' has " + std::to_string(object.size) +
                            " bytes, more than " + std::to_string(limits_.object) +
                            "; spec.ignore leaves it out"};
        }
        total += object.size;
    }
    return total;
}

asio::awaitable<void> BucketFetch::check_paths(const BucketIndex& index) {
    auto check = [&index] { index.check_paths(); };
    co_await offload(pool_, std::move(check));
}

asio::awaitable<void> BucketFetch::fetch(BucketIndex& index) {
    for (const auto& [key, etag] : index.versions()) {
        if (const auto known = memory_.find(bucket_.url(), key, etag)) {
            objects_[key] = *known;
        } else {
            wanted_.push_back(key);
        }
    }
    TaskGroup tasks{loop_};
    for (std::size_t i = 0; i < std::min(workers, wanted_.size()); ++i)
        tasks.spawn(fetch_some(index));
    co_await even_if_cancelled;
    co_await tasks.join();
    if (next_ < wanted_.size() || objects_.size() != index.versions().size()) throw_cancelled();
}

asio::awaitable<void> BucketFetch::fetch_some(BucketIndex& index) {
    while (next_ < wanted_.size()) {
        const auto key = wanted_[next_++];
        auto content = co_await client_.get(key, limits_.object);
        if (!content) {  // it went since it was listed
            index.remove(key);
            continue;
        }
        bytes_ += content->bytes.size();
        if (bytes_ > limits_.total) {
            throw Error{ErrorKind::exhausted,
                        "the bucket has more than " + std::to_string(limits_.total) + " bytes"};
        }
        // What was read may be newer than what was listed.
        if (!content->etag.empty()) index.replace(key, content->etag);
        const auto oid = co_await keep(std::move(content->bytes));
        const BucketMemory::Object read{.etag = index.versions().at(key), .oid = oid};
        objects_[key] = read;
        memory_.begun.objects[key] = read;
    }
}

asio::awaitable<git::Oid> BucketFetch::keep(std::string bytes) {
    auto write = [imported = imported_, bytes = std::move(bytes)]() mutable {
        return imported.write(bytes);
    };
    co_return co_await offload(pool_, std::move(write));
}

}  // namespace kled::gitops
