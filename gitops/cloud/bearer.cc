#include "gitops/cloud/bearer.h"

#include "gitops/cloud/token_endpoint.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <utility>

namespace kled::gitops::cloud {

namespace json = boost::json;

namespace {

constexpr std::int64_t longest_life = 24L * 3600L;

/// What begins with a name space ("com.amazon.coral.service#AccessDenied"), without it.
std::string_view bare(std::string_view code) { return code.substr(code.rfind('#') + 1); }

std::string refusal_in(const json::object& fields) {
    using kube::find_string;
    if (const auto* error = fields.if_contains("error"); error != nullptr && error->is_object()) {
        const auto& inner = error->get_object();
        const auto status = find_string(inner, {"status"});
        return refusal(status.empty() ? find_string(inner, {"code"}) : status,
                       find_string(inner, {"message"}));
    }
    if (const auto* errors = fields.if_contains("errors");
        errors != nullptr && errors->is_array() && !errors->get_array().empty() &&
        errors->get_array().front().is_object()) {
        const auto& first = errors->get_array().front().get_object();
        return refusal(find_string(first, {"code"}), find_string(first, {"message"}));
    }
    if (const auto code = find_string(fields, {"error"}); !code.empty())
        return refusal(code, find_string(fields, {"error_description"}));
    const auto message = find_string(fields, {"message"});
    return refusal(bare(find_string(fields, {"__type"})),
                   message.empty() ? find_string(fields, {"Message"}) : message);
}

}  // namespace

json::object fields_of_answer(std::string_view body, const Error& none) {
    try {
        auto answer = kube::parse_json(body, 32);
        if (answer.is_object()) return std::move(answer.get_object());
    } catch (const Error&) {  // as if it were none
    }
    throw none;
}

BearerToken read_bearer(std::string_view body, WallTime now, const std::string& service) {
    const Error none{ErrorKind::invalid, "the answer of " + service + " holds no token"};
    const auto fields = fields_of_answer(body, none);
    const auto token = kube::find_string(fields, {"access_token"});
    const auto* life = fields.if_contains("expires_in");
    const bool good =
        is_header_value(token) && life != nullptr && life->is_int64() && life->get_int64() > 0;
    if (!good) throw none;
    const std::chrono::seconds seconds{std::min(life->get_int64(), longest_life)};
    return {.text = std::make_shared<const Secret>(std::string{token}), .expires = now + seconds};
}

std::string json_refusal(std::string_view body) {
    try {
        const auto answer = kube::parse_json(body, 32);
        const auto* fields = answer.if_object();
        return fields == nullptr ? std::string{} : refusal_in(*fields);
    } catch (const Error&) {  // a proxy's page, or nothing
        return {};
    }
}

}  // namespace kled::gitops::cloud
