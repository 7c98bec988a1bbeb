#include "gitops/cloud/token_endpoint.h"

#include "base/error.h"
#include "net/http_client.h"

#include <algorithm>

namespace kled::gitops::cloud {

namespace asio = boost::asio;

namespace {

constexpr std::size_t answer_limit = 1U << 20U;
constexpr std::size_t line_limit = 300;
constexpr std::size_t value_limit = 64U << 10U;

bool is_this_machine(std::string_view host) {
    return host == "127.0.0.1" || host == "::1" || host == "localhost";
}

}  // namespace

net::Request form_request(const std::string& target,
                          const std::vector<std::pair<std::string, std::string>>& fields) {
    net::Request request;
    request.method = "POST";
    request.target = target;
    request.headers.set("Content-Type", "application/x-www-form-urlencoded");
    for (const auto& [name, value] : fields) {
        if (!request.body.empty()) request.body += '&';
        request.body += net::percent_encode(name) + "=" + net::percent_encode(value);
    }
    return request;
}

std::string one_line(std::string_view text) {
    text = text.substr(0, text.find_first_of("\r\n"));
    std::string line{text.substr(0, line_limit)};
    std::ranges::replace_if(line, [](unsigned char c) { return c < 0x20 || c >= 0x7f; }, ' ');
    return line;
}

bool is_header_value(std::string_view text) {
    return !text.empty() && text.size() <= value_limit &&
           std::ranges::all_of(text, [](unsigned char c) { return c > 0x20 && c < 0x7f; });
}

std::string refusal(std::string_view code, std::string_view message) {
    const bool both = !code.empty() && !message.empty();
    return one_line(code) + (both ? ": " : "") + one_line(message);
}

net::Url token_endpoint(std::string_view url, const std::string& name,
                        std::span<const std::string_view> near) {
    net::Url endpoint;
    try {
        endpoint = net::parse_url(url);
    } catch (const Error&) {
        throw Error{ErrorKind::invalid, name + " is no URL"};
    }
    const bool is_near = is_this_machine(endpoint.host) ||
                         std::ranges::find(near, std::string_view{endpoint.host}) != near.end();
    if (endpoint.scheme != "https" && !(endpoint.scheme == "http" && is_near))
        throw Error{ErrorKind::invalid, name + " must begin with https://"};
    while (endpoint.target.ends_with('/')) endpoint.target.pop_back();
    return endpoint;
}

asio::awaitable<net::Response> ask(asio::any_io_executor loop, net::Url endpoint,
                                   net::Request request, Reach reach) {
    net::ClientOptions options;
    options.timeout = reach.timeout;
    options.connect_timeout = std::min(options.connect_timeout, reach.timeout);
    options.body_limit = answer_limit;
    options.proxy = reach.proxy;
    net::HttpClient client{loop, endpoint, std::move(options)};
    co_return co_await client.send(std::move(request));
}

}  // namespace kled::gitops::cloud
