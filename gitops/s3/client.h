/// Reads one bucket of an S3 server: what is in it, and each object of it.
#pragma once

#include "base/clock.h"
#include "gitops/s3/address.h"
#include "gitops/s3/answers.h"
#include "gitops/s3/signature.h"
#include "net/http_client.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace kled::gitops::s3 {

struct Access {
    std::optional<Credentials> credentials;  ///< none: requests without a signature, as anybody
    std::shared_ptr<const Secret> session_token;  ///< that belongs to them; null: there is none
    net::ClientTls tls;
    std::string proxy;
    Duration timeout{60'000};  ///< without a word from the server
};

struct Content {
    std::string etag;  ///< of these bytes, without quotes; empty: the server has none
    std::string bytes;
};

/// Used from one loop. Errors: denied, not_found (no such bucket), invalid (an answer that is
/// none), exhausted (one past a limit), unavailable (also when the server is still busy after a few
/// tries); each names the server, what it was asked for and what it said. A bucket that turns out
/// to be in another region is asked for there.
class Client {
public:
    static constexpr std::size_t page_limit_bytes = 16U << 20U;

    /// Error(invalid) for a location that is none.
    Client(boost::asio::any_io_executor executor, Location location, Access access);

    /// A page of what begins with `prefix`, in the order of the keys; `next` is that of the page
    /// before, or empty.
    boost::asio::awaitable<Listing> list(std::string prefix, std::string next);
    /// nullopt: there is no such object (any more). Error(exhausted) when it has more than
    /// `limit_bytes`, of which no more are read.
    boost::asio::awaitable<std::optional<Content>> get(std::string key, std::size_t limit_bytes);

private:
    using Query = std::vector<std::pair<std::string, std::string>>;
    struct Asked {
        std::string key;  ///< empty: the bucket
        Query query;
        std::string what;  ///< for messages
    };

    void connect();
    [[nodiscard]] net::Request request(const Asked& asked) const;
    /// The answer with status 200, or nullopt when there is no such object.
    boost::asio::awaitable<std::optional<net::StreamResponse>> exchange(Asked asked);
    /// Whether the bucket is elsewhere, as the server says, and the address is now that.
    bool move_to(const std::string& region);

    boost::asio::any_io_executor executor_;
    Location location_;
    Access access_;
    Address address_;
    bool moved_ = false;
    std::shared_ptr<net::HttpClient> http_;
};

}  // namespace kled::gitops::s3
