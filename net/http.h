/// HTTP messages as plain values, shared by client, server and in-process transports.
#pragma once

#include <boost/asio/awaitable.hpp>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kled::net {

/// Few and ordered; names compare without case (RFC 9110 §5.1).
class Headers {
public:
    Headers() = default;
    Headers(std::initializer_list<std::pair<std::string, std::string>> fields) : fields_{fields} {}
    [[nodiscard]] std::string_view get(std::string_view name) const noexcept;  ///< first, or empty
    [[nodiscard]] bool has(std::string_view name) const noexcept;
    void set(std::string_view name, std::string value);  ///< replaces
    void add(std::string_view name, std::string value);
    void remove(std::string_view name);
    [[nodiscard]] auto begin() const noexcept { return fields_.begin(); }
    [[nodiscard]] auto end() const noexcept { return fields_.end(); }
    [[nodiscard]] bool empty() const noexcept { return fields_.empty(); }

private:
    std::vector<std::pair<std::string, std::string>> fields_;
};

struct Request {
    std::string method = "GET";
    std::string target = "/";  ///< origin form: path and query, percent-encoded
    Headers headers;
    std::string body;
};

struct Response {
    unsigned status = 200;
    Headers headers;
    std::string body;
};

/// Bytes that come when they come: a watch, a log.
class BodyStream {
public:
    virtual ~BodyStream() = default;
    /// The next piece as it arrived; nullopt at the regular end. Error(unavailable) when the
    /// connection broke before it.
    virtual boost::asio::awaitable<std::optional<std::string>> next() = 0;
};

struct StreamResponse {
    unsigned status = 200;
    Headers headers;
    std::unique_ptr<BodyStream> body;
};

/// The path and the decoded query of a request target. Error(invalid) for bad percent-encoding.
struct Target {
    std::string path;  ///< decoded
    std::vector<std::pair<std::string, std::string>> query;
    [[nodiscard]] std::optional<std::string_view> parameter(std::string_view name) const noexcept;
};
[[nodiscard]] Target parse_target(std::string_view target);
[[nodiscard]] std::string percent_encode(std::string_view text);  ///< all but RFC 3986 unreserved

/// scheme://[user[:password]@]host[:port]/path?query, or unix:/path/of/socket.
struct Url {
    std::string scheme;  ///< http, https, unix
    std::string user;
    std::string password;
    std::string host;    ///< without brackets; the socket's path for unix
    std::string port;    ///< given, or the scheme's
    std::string target;  ///< "/" at least
};
/// Error(invalid) with the text (password left out).
[[nodiscard]] Url parse_url(std::string_view text);

}  // namespace kled::net
