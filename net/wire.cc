#include "net/wire.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/rfc7230.hpp>
#include <boost/beast/http/status.hpp>

#include <algorithm>
#include <array>
#include <charconv>

namespace kled::net {

namespace http = boost::beast::http;
using boost::beast::error_code;
using boost::beast::iequals;
using View = boost::beast::string_view;

namespace {

std::string_view to_std(View text) noexcept { return {text.data(), text.size()}; }

unsigned status_for(const error_code& error) noexcept {
    if (error == http::error::body_limit) return 413;
    if (error == http::error::header_limit) return 431;
    if (error == http::error::bad_version) return 505;
    return 400;
}

bool is_token(std::string_view text) noexcept {
    static constexpr std::string_view others = "!#$%&'*+-.^_`|~";
    return !text.empty() && std::ranges::all_of(text, [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               others.find(c) != std::string_view::npos;
    });
}

/// ASCII without blanks and control characters: what a request target is made of.
bool is_visible(std::string_view text) noexcept {
    return std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7f; });
}

bool is_field_value(std::string_view text) noexcept {
    return std::ranges::none_of(text, [](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return (byte < ' ' && c != '\t') || byte == 0x7f;
    });
}

}  // namespace

struct MessageParser::Impl {
    explicit Impl(const Limits& l) : limits{l} {}
    virtual ~Impl() = default;
    virtual std::size_t put(std::string_view bytes, error_code& error) = 0;
    virtual void put_end(error_code& error) = 0;
    virtual bool done() const = 0;

    Limits limits;
    Head head;
    bool has_head = false;
    bool chunked = false;
    bool between_chunks = false;
    std::string body;
};

template <bool is_request>
struct MessageParser::Parser final : MessageParser::Impl, http::basic_parser<is_request> {
    using Base = http::basic_parser<is_request>;

    Parser(const Limits& l, bool without_body) : Impl{l} {
        Base::header_limit(static_cast<std::uint32_t>(l.header_bytes));
        if (l.body_bytes) {
            Base::body_limit(*l.body_bytes);
        } else {
            Base::body_limit(boost::none);
        }
        if (without_body) Base::skip(true);
    }

    std::size_t put(std::string_view bytes, error_code& error) override {
        // Beast asserts that a last chunk it has seen the start of is never put with fewer than its
        // five bytes; no chunk is complete in less.
        if (between_chunks && bytes.size() < 5) return 0;
        return Base::put({bytes.data(), bytes.size()}, error);
    }
    void put_end(error_code& error) override {
        if (Base::got_some()) {
            Base::put_eof(error);
        } else {
            error = http::error::end_of_stream;
        }
    }
    bool done() const override { return Base::is_done(); }

    void on_request_impl(http::verb, View method, View target, int version, error_code&) override {
        head.method = to_std(method);
        head.target = to_std(target);
        head.http_1_1 = version == 11;
        if (!is_visible(head.target))
            throw ProtocolError{400, "request target has a character that must be encoded"};
        if (head.target.starts_with('/')) return;
        if (head.target == "*" && head.method == "OPTIONS") return;
        // The absolute form (RFC 9112 §3.2.2): what it says about the host is not ours to judge.
        const auto scheme = head.target.find("://");
        if (scheme == std::string::npos || head.method == "CONNECT")
            throw ProtocolError{400, "request target is not a path"};
        const auto path = head.target.find('/', scheme + 3);
        head.target = path == std::string::npos ? "/" : head.target.substr(path);
    }
    void on_response_impl(int code, View, int version, error_code&) override {
        head.status = static_cast<unsigned>(code);
        head.http_1_1 = version == 11;
    }
    void on_field_impl(http::field field, View name, View value, error_code&) override {
        if (has_head) return;  // a trailer
        if (++fields_ > limits.header_fields) throw ProtocolError{431, "too many header fields"};
        switch (field) {
            case http::field::content_length:
                if (++lengths_ > 1 ||
                    !std::ranges::all_of(value, [](char c) { return c >= '0' && c <= '9'; }))
                    throw ProtocolError{400, "more than one Content-Length"};
                break;
            case http::field::transfer_encoding:
                if (!iequals(value, "chunked"))
                    throw ProtocolError{501, "Transfer-Encoding other than chunked"};
                if (!head.http_1_1) throw ProtocolError{400, "Transfer-Encoding in HTTP/1.0"};
                chunked = true;
                break;
            case http::field::host: ++hosts_; break;
            case http::field::expect:
                if (is_request && !iequals(value, "100-continue"))
                    throw ProtocolError{417, "expectation is not 100-continue"};
                head.expects_continue = true;
                break;
            default: break;
        }
        head.headers.add(to_std(name), std::string{to_std(value)});
    }
    void on_header_impl(error_code&) override {
        if (is_request && (hosts_ > 1 || (hosts_ == 0 && head.http_1_1)))
            throw ProtocolError{400, "request needs exactly one Host"};
        has_head = true;
        head.keep_alive = Base::keep_alive();
        if (const auto length = Base::content_length()) head.content_length = *length;
        between_chunks = chunked;
        Base::eager(true);
    }
    void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
    std::size_t on_body_impl(View bytes, error_code&) override {
        body.append(bytes.data(), bytes.size());
        return bytes.size();
    }
    void on_chunk_header_impl(std::uint64_t size, View, error_code&) override {
        between_chunks = size == 0;
    }
    std::size_t on_chunk_body_impl(std::uint64_t remain, View bytes, error_code&) override {
        body.append(bytes.data(), bytes.size());
        between_chunks = bytes.size() == remain;
        return bytes.size();
    }
    void on_finish_impl(error_code&) override { between_chunks = false; }

private:
    std::size_t fields_ = 0;
    int lengths_ = 0;
    int hosts_ = 0;
};

MessageParser::MessageParser(Role role, const Limits& limits) {
    if (role == Role::request) {
        impl_ = std::make_unique<Parser<true>>(limits, false);
    } else {
        impl_ = std::make_unique<Parser<false>>(limits, role == Role::response_to_head);
    }
}

MessageParser::~MessageParser() = default;

std::size_t MessageParser::put(std::string_view bytes) {
    if (bytes.empty() || impl_->done()) return 0;
    error_code error;
    const auto used = impl_->put(bytes, error);
    if (error && error != http::error::need_more)
        throw ProtocolError{status_for(error), error.message()};
    // A chunk's extensions and the trailers are bounded as a head is.
    if (used == 0 && bytes.size() >= impl_->limits.header_bytes)
        throw ProtocolError{431, "header or chunk header is too long"};
    return used;
}

void MessageParser::put_end() {
    if (impl_->done()) return;
    error_code error;
    impl_->put_end(error);
    if (error) throw ProtocolError{400, "the connection ended inside a message"};
}

bool MessageParser::has_head() const noexcept { return impl_->has_head; }
bool MessageParser::done() const noexcept { return impl_->done(); }
Head& MessageParser::head() noexcept { return impl_->head; }
std::string& MessageParser::body() noexcept { return impl_->body; }

void append_fields(std::string& out, const Headers& headers) {
    for (const auto& [name, value] : headers) {
        if (!is_token(name)) throw Error{ErrorKind::invalid, "header name '" + name + "'"};
        if (!is_field_value(value))
            throw Error{ErrorKind::invalid, "header " + name + " has a control character"};
        out.append(name).append(": ").append(value).append("\r\n");
    }
}

void append_request_line(std::string& out, std::string_view method, std::string_view target) {
    if (!is_token(method))
        throw Error{ErrorKind::invalid, "HTTP method '" + std::string{method} + "'"};
    if (target.empty() || !is_visible(target))
        throw Error{ErrorKind::invalid, "request target has a character that must be encoded"};
    out.append(method).append(" ").append(target).append(" HTTP/1.1\r\n");
}

void append_status_line(std::string& out, unsigned status) {
    out.append("HTTP/1.1 ").append(std::to_string(status)).append(" ");
    out.append(reason_phrase(status)).append("\r\n");
}

void append_chunk_size(std::string& out, std::size_t size) {
    std::array<char, 16> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), size, 16).ptr;
    out.append(digits.data(), end).append("\r\n");
}

std::string_view reason_phrase(unsigned status) noexcept {
    return to_std(http::obsolete_reason(http::int_to_status(status)));
}

}  // namespace kled::net
