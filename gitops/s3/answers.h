/// What an S3 server answers (Amazon S3 API Reference: ListObjectsV2, Error Responses).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kled::gitops::s3 {

struct ListedObject {
    std::string key;   ///< UTF-8, whatever else a server says
    std::string etag;  ///< without its quotes
    std::uint64_t size = 0;

    bool operator==(const ListedObject&) const = default;
};

/// One page of a list.
struct Listing {
    std::vector<ListedObject> objects;
    std::string next;  ///< where the next page begins; empty: this is the last
};
/// Error(invalid) for what is no ListBucketResult.
[[nodiscard]] Listing parse_listing(std::string_view xml);

/// Why it did not do what it was asked for.
struct Refusal {
    std::string code;     ///< "NoSuchBucket"; empty: it did not say
    std::string message;  ///< one line, of no more than `message_limit` bytes
    std::string region;   ///< where the bucket is, if that was what is wrong

    static constexpr std::size_t message_limit = 300;
};
/// Of an answer that may be anything: never throws.
[[nodiscard]] Refusal parse_refusal(std::string_view body);

/// An ETag without quotes, and without its mark when it is weak (RFC 9110 §8.8.3).
[[nodiscard]] std::string bare_etag(std::string_view etag);

}  // namespace kled::gitops::s3
