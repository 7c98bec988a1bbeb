#include "kube/names.h"

#include <algorithm>

namespace kled::kube {

namespace {

constexpr bool is_lower(char c) noexcept { return c >= 'a' && c <= 'z'; }
constexpr bool is_lower_or_digit(char c) noexcept { return is_lower(c) || (c >= '0' && c <= '9'); }
constexpr bool is_alphanumeric(char c) noexcept {
    return is_lower_or_digit(c) || (c >= 'A' && c <= 'Z');
}

/// [a-z0-9]([-a-z0-9]*[a-z0-9])?
bool is_label(std::string_view text) {
    return !text.empty() && is_lower_or_digit(text.front()) && is_lower_or_digit(text.back()) &&
           std::ranges::all_of(text, [](char c) { return is_lower_or_digit(c) || c == '-'; });
}

bool is_subdomain(std::string_view text) {
    for (;;) {
        const auto dot = text.find('.');
        if (!is_label(text.substr(0, dot))) return false;
        if (dot == std::string_view::npos) return true;
        text.remove_prefix(dot + 1);
    }
}

/// ([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]
bool is_name(std::string_view text) {
    return !text.empty() && is_alphanumeric(text.front()) && is_alphanumeric(text.back()) &&
           std::ranges::all_of(
               text, [](char c) { return is_alphanumeric(c) || c == '-' || c == '_' || c == '.'; });
}

std::string too_long(std::size_t limit) {
    return "must be no more than " + std::to_string(limit) + " characters";
}

constexpr const char* label_message =
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "
    "must "
    "start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for "
    "validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
constexpr const char* subdomain_message =
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', "
    "and must start and end with an alphanumeric character (e.g. 'example.com', regex used for "
    "validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
constexpr const char* dns1035_message =
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an "
    "alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', "
    "regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
constexpr const char* name_message =
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
    "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
    "validation "
    "is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
constexpr const char* value_message =
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
    "and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or "
    "'12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

}  // namespace

std::vector<std::string> check_dns1123_label(std::string_view value) {
    std::vector<std::string> wrong;
    if (value.size() > 63) wrong.push_back(too_long(63));
    if (!is_label(value)) {
        wrong.emplace_back(is_subdomain(value) ? "must not contain dots" : label_message);
    }
    return wrong;
}

std::vector<std::string> check_dns1123_subdomain(std::string_view value) {
    std::vector<std::string> wrong;
    if (value.size() > 253) wrong.push_back(too_long(253));
    if (!is_subdomain(value)) wrong.emplace_back(subdomain_message);
    return wrong;
}

std::vector<std::string> check_dns1035_label(std::string_view value) {
    std::vector<std::string> wrong;
    if (value.size() > 63) wrong.push_back(too_long(63));
    if (!is_label(value) || !is_lower(value.front())) wrong.emplace_back(dns1035_message);
    return wrong;
}

std::vector<std::string> check_qualified_name(std::string_view value) {
    std::vector<std::string> wrong;
    auto name = value;
    if (const auto slash = value.find('/'); slash != std::string_view::npos) {
        const auto prefix = value.substr(0, slash);
        name = value.substr(slash + 1);
        if (name.find('/') != std::string_view::npos) {
            wrong.push_back("a qualified name " + std::string{name_message} +
                            " with an optional DNS subdomain prefix and '/' (e.g. "
                            "'example.com/MyName')");
            return wrong;
        }
        if (prefix.empty()) {
            wrong.emplace_back("prefix part must be non-empty");
        } else {
            for (const auto& message : check_dns1123_subdomain(prefix)) {
                wrong.push_back("prefix part " + message);
            }
        }
    }
    if (name.empty()) {
        wrong.emplace_back("name part must be non-empty");
    } else if (name.size() > 63) {
        wrong.push_back("name part " + too_long(63));
    }
    if (!is_name(name)) wrong.push_back("name part " + std::string{name_message});
    return wrong;
}

std::vector<std::string> check_label_value(std::string_view value) {
    std::vector<std::string> wrong;
    if (value.size() > 63) wrong.push_back(too_long(63));
    if (!value.empty() && !is_name(value)) wrong.emplace_back(value_message);
    return wrong;
}

}  // namespace kled::kube
