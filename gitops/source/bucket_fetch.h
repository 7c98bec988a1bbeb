/// From a bucket to a revision in the source's mirror.
#pragma once

#include "base/offload.h"
#include "gitops/source/bucket.h"
#include "gitops/source/bucket_content.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

namespace kled::gitops {

/// One look at a bucket. Only objects whose ETag is not the one in `memory` are read, and nothing
/// when none is; the revision then is that of before.
class BucketFetch {
public:
    struct Limits {
        std::size_t object = 64U << 20U;        ///< bytes
        std::uint64_t total = 1'024ULL << 20U;  ///< bytes of all objects
        std::size_t ignore_file = 1U << 20U;
        std::size_t pages = 100'000;
    };

    BucketFetch(boost::asio::any_io_executor loop, ThreadPool& pool, const Bucket& bucket,
                s3::Access access, git::Imported imported, BucketMemory& memory)
        : loop_{loop},
          pool_{pool},
          bucket_{bucket},
          client_{std::move(loop), bucket.location, std::move(access)},
          imported_{std::move(imported)},
          memory_{memory} {}

    /// Errors as those of s3::Client, of BucketIndex and of the disk. When it throws, what `memory`
    /// knows is still there, and what was read is there too. What it was given outlives it.
    boost::asio::awaitable<git::Revision> run();
    /// How far the list of objects came, if it did not come to its end: "3 pages, 2000 objects";
    /// else empty.
    [[nodiscard]] std::string unfinished() const;

private:
    boost::asio::awaitable<void> list(BucketIndex& index);
    /// The bytes of what was added; blocking.
    std::uint64_t add(BucketIndex& index, const s3::Listing& listing,
                      const std::stop_token& stop) const;
    boost::asio::awaitable<void> check_paths(const BucketIndex& index);
    boost::asio::awaitable<void> fetch(BucketIndex& index);
    /// One of several: takes the next of `wanted_` until there is none.
    boost::asio::awaitable<void> fetch_some(BucketIndex& index);
    boost::asio::awaitable<git::Oid> keep(std::string bytes);

    Limits limits_;
    boost::asio::any_io_executor loop_;
    ThreadPool& pool_;
    const Bucket& bucket_;
    s3::Client client_;
    git::Imported imported_;
    BucketMemory& memory_;
    std::map<std::string, BucketMemory::Object> objects_;
    std::vector<std::string> wanted_;
    std::size_t next_ = 0;
    std::uint64_t bytes_ = 0;
    std::size_t pages_ = 0;   ///< of the list
    std::size_t listed_ = 0;  ///< objects on them
    bool listing_ = false;
};

}  // namespace kled::gitops
