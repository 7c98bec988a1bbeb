#include "kube/client.h"

#include <algorithm>
#include <cstdlib>

namespace kled::kube {

namespace {

ErrorKind kind_of(int code, std::string_view reason) noexcept {
    if (reason == "AlreadyExists" || reason == "Conflict") return ErrorKind::conflict;
    if (reason == "Expired" || reason == "Gone") return ErrorKind::conflict;
    switch (code) {
        case 401:
        case 403: return ErrorKind::denied;
        case 404: return ErrorKind::not_found;
        case 409:
        case 410: return ErrorKind::conflict;
        case 413: return ErrorKind::exhausted;
        case 408:
        case 429: return ErrorKind::unavailable;
        default: return code >= 500 ? ErrorKind::unavailable : ErrorKind::invalid;
    }
}

/// What a proxy or another server said, fit for one line.
std::string one_line(std::string_view text) {
    std::string line{text.substr(0, 200)};
    std::ranges::replace_if(line, [](char c) { return static_cast<unsigned char>(c) < ' '; }, ' ');
    while (line.ends_with(' ')) line.pop_back();
    return line;
}

}  // namespace

StatusError StatusError::from_response(const net::Response& response) {
    const int code = static_cast<int>(response.status);
    json::value body;
    try {
        body = parse_json(response.body);
    } catch (const Error&) {  // not an API server's answer
    }
    const auto* const status = body.if_object();
    if (status == nullptr || find_string(*status, {"kind"}) != "Status") {
        const auto said = one_line(response.body);
        return {kind_of(code, {}),
                "HTTP status " + std::to_string(code) + (said.empty() ? "" : ": " + said),
                code,
                {},
                {}};
    }
    return from_status(*status, code);
}

StatusError StatusError::from_status(const json::object& status, int code) {
    if (const auto* const own = find(status, {"code"}); own != nullptr && own->is_int64())
        code = static_cast<int>(own->get_int64());
    std::string reason{find_string(status, {"reason"})};
    std::string message{find_string(status, {"message"})};
    if (message.empty()) message = reason.empty() ? "HTTP status " + std::to_string(code) : reason;
    std::vector<Cause> causes;
    const auto* const listed = find(status, {"details", "causes"});
    if (listed != nullptr && listed->is_array()) {
        for (const auto& cause : listed->get_array()) {
            const auto* const fields = cause.if_object();
            if (fields == nullptr) continue;
            Cause c;
            c.type = find_string(*fields, {"reason"});
            c.field = find_string(*fields, {"field"});
            c.message = find_string(*fields, {"message"});
            causes.push_back(std::move(c));
        }
    }
    const auto kind = kind_of(code, reason);
    return {kind, message, code, std::move(reason), std::move(causes)};
}

}  // namespace kled::kube
