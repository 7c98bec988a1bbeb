/// What services that exchange one token for another have in common.
#pragma once

#include "net/http.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kled::gitops::cloud {

/// A POST of a form (WHATWG URL, application/x-www-form-urlencoded).
[[nodiscard]] net::Request form_request(
    const std::string& target, const std::vector<std::pair<std::string, std::string>>& fields);

/// What somebody else said, fit for a message: printable, and of no more than 300 bytes.
[[nodiscard]] std::string one_line(std::string_view text);

/// Whether it may stand in a header as it is: a word of ASCII of at most 64 KiB.
[[nodiscard]] bool is_header_value(std::string_view text);

/// "code: message", or the one that is there, each as `one_line`.
[[nodiscard]] std::string refusal(std::string_view code, std::string_view message);

/// Where a token may be sent: https, or http on this machine and to hosts that are `near`.
/// Error(invalid) begins with `name`.
[[nodiscard]] net::Url token_endpoint(std::string_view url, const std::string& name,
                                      std::span<const std::string_view> near = {});

struct Reach {
    std::string proxy;
    std::chrono::milliseconds timeout{60'000};
};
/// One answer of at most 1 MiB, whatever its status. Errors as of net::HttpClient.
boost::asio::awaitable<net::Response> ask(boost::asio::any_io_executor loop, net::Url endpoint,
                                          net::Request request, Reach reach);

}  // namespace kled::gitops::cloud
