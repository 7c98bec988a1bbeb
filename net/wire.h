/// HTTP/1.1 messages from and to bytes (RFC 9112). Internal to net.
#pragma once

#include "base/error.h"
#include "net/http.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace kled::net {

/// The peer sent what is not HTTP/1.1, or more than was agreed. kind() is invalid or exhausted;
/// `status` is a server's answer to it.
class ProtocolError : public Error {
public:
    ProtocolError(unsigned status, const std::string& message)
        : Error{status == 413 || status == 431 ? ErrorKind::exhausted : ErrorKind::invalid,
                message},
          status_{status} {}
    [[nodiscard]] unsigned status() const noexcept { return status_; }

private:
    unsigned status_;
};

/// What a message says before its body.
struct Head {
    std::string method;   ///< requests
    std::string target;   ///< requests: origin form, or "*"
    unsigned status = 0;  ///< responses
    bool http_1_1 = true;
    bool keep_alive = false;
    bool expects_continue = false;
    std::optional<std::uint64_t> content_length;
    Headers headers;
};

/// Reads one message, in the strict reading: both Content-Length and Transfer-Encoding, two
/// lengths, a coding other than chunked, or a request without exactly one Host are refused.
class MessageParser {
public:
    enum class Role { request, response, response_to_head };
    struct Limits {
        std::size_t header_bytes = 64U << 10U;
        std::size_t header_fields = 256;
        std::optional<std::uint64_t> body_bytes;
    };
    MessageParser(Role role, const Limits& limits);
    ~MessageParser();

    /// Takes a prefix of `bytes` and returns its size; stops after the head, and at the end of the
    /// message. 0 while !done(): more bytes are needed. Throws ProtocolError.
    std::size_t put(std::string_view bytes);
    /// The peer has closed. Throws ProtocolError unless that ends the message.
    void put_end();

    [[nodiscard]] bool has_head() const noexcept;
    [[nodiscard]] bool done() const noexcept;
    [[nodiscard]] Head& head() noexcept;
    /// Body bytes that were put and not yet taken from here.
    [[nodiscard]] std::string& body() noexcept;

private:
    struct Impl;
    template <bool is_request>
    struct Parser;
    std::unique_ptr<Impl> impl_;
};

/// "Name: value\r\n" for each. Error(invalid) for a name that is no token, or a value that would
/// end its line: nothing can be injected.
void append_fields(std::string& out, const Headers& headers);
/// "GET /path HTTP/1.1\r\n"; the same care.
void append_request_line(std::string& out, std::string_view method, std::string_view target);
void append_status_line(std::string& out, unsigned status);
/// "3\r\nabc\r\n" has this before its bytes; "\r\n" follows them.
void append_chunk_size(std::string& out, std::size_t size);

[[nodiscard]] std::string_view reason_phrase(unsigned status) noexcept;

}  // namespace kled::net
