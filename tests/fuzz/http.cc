/// Bytes from a connection: read the same in pieces of any size, as a request and as a response.
#include "net/http.h"

#include "base/error.h"
#include "net/wire.h"
#include "tests/fuzz/target.h"

#include <string>

namespace {

using namespace kled;
using net::MessageParser;
using Role = MessageParser::Role;

/// What came of the bytes; empty: not a whole message.
std::string read(std::string_view bytes, Role role, std::size_t piece) {
    MessageParser parser{role, {.header_bytes = 4096, .header_fields = 32, .body_bytes = 65'536}};
    std::string waiting;
    try {
        for (std::size_t at = 0; at < bytes.size() && !parser.done(); at += piece) {
            waiting += bytes.substr(at, piece);
            while (!parser.done()) {
                const auto taken = parser.put(waiting);
                if (taken > waiting.size()) fuzz::broken("took more than there was", bytes);
                if (taken == 0) break;
                waiting.erase(0, taken);
            }
        }
        if (!parser.done()) parser.put_end();
    } catch (const net::ProtocolError&) {
        return {};
    }
    if (!parser.done()) return {};
    const auto& head = parser.head();
    std::string result = head.method + " " + head.target + " " + std::to_string(head.status) + "\n";
    for (const auto& [name, value] : head.headers) result += name + ": " + value + "\n";
    if (role == Role::request) {
        std::string written;
        net::append_request_line(written, head.method, head.target);
        net::append_fields(written, head.headers);
        try {
            const auto target = net::parse_target(head.target);
            (void)target.parameter("watch");
        } catch (const Error&) {
        }
    }
    return result + parser.body();
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto bytes = fuzz::text_of(data, size);
    bool taken = false;
    for (const auto role : {Role::request, Role::response, Role::response_to_head}) {
        const auto whole = read(bytes, role, bytes.size());
        if (read(bytes, role, 1) != whole) fuzz::broken("another message byte by byte", bytes);
        if (read(bytes, role, 7) != whole) fuzz::broken("another message in pieces", bytes);
        taken |= !whole.empty();
    }
    try {
        (void)net::parse_url(bytes);
    } catch (const Error&) {
    }
    if (taken) fuzz::accepted();
    return 0;
}
