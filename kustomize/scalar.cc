#include "kustomize/scalar.h"

#include "base/encoding.h"
#include "base/error.h"
#include "kube/yaml.h"
#include "kube/yaml_scalar.h"

#include <cmath>
#include <optional>
#include <utility>

namespace kled::kustomize {

std::string text_of(const json::value& value) {
    switch (value.kind()) {
        case json::kind::string: return std::string{value.get_string()};
        case json::kind::bool_: return value.get_bool() ? "true" : "false";
        case json::kind::int64:
        case json::kind::uint64:
        case json::kind::double_: return kube::to_json(value);
        default: return {};
    }
}

bool text_equals(const json::value& value, std::string_view text) {
    if (const auto* string = value.if_string()) return std::string_view{*string} == text;
    return text_of(value) == text;
}

bool is_null_or_empty(const json::value& value) noexcept {
    if (const auto* object = value.if_object()) return object->empty();
    if (const auto* array = value.if_array()) return array->empty();
    return value.is_null();
}

json::value plain(std::string_view text) {
    auto scalar = kube::resolve_scalar(text, kube::YamlDialect::manifest);
    switch (scalar.kind) {
        case kube::ScalarKind::boolean:
        case kube::ScalarKind::integer:
        case kube::ScalarKind::timestamp: return std::move(scalar.value);
        case kube::ScalarKind::floating: {
            const auto number = scalar.value.get_double();
            if (std::isfinite(number)) return kube::number_value(number);
            break;
        }
        case kube::ScalarKind::null:
        case kube::ScalarKind::string: break;
    }
    return json::value(text);
}

namespace {

/// Whether the text, as a document, may be more than one plain scalar.
bool has_indicators(std::string_view text) {
    constexpr std::string_view starts = "{[-?:#&*!|>%@`\"'., \t";
    return text.find('\n') != text.npos || starts.find(text.front()) != starts.npos ||
           text.ends_with(':') || text.ends_with(' ') || text.find(": ") != text.npos ||
           text.find(" #") != text.npos;
}

/// nullopt: it is no YAML.
std::optional<json::value> read(std::string_view text, kube::YamlDialect dialect) {
    try {
        return kube::parse_yaml(text, {.dialect = dialect, .duplicate_keys_are_errors = false});
    } catch (const Error&) {
        return std::nullopt;
    }
}

}  // namespace

bool reads_as_no_text(std::string_view text) {
    constexpr auto dialect = kube::YamlDialect::configuration;
    if (text.empty() || text.find('\n') != text.npos) return false;
    if (kube::resolve_scalar(text, dialect).kind != kube::ScalarKind::string) return true;
    if (!has_indicators(text)) return false;
    const auto document = read(text, dialect);
    return document && !document->is_string();
}

bool is_written_plain(std::string_view text) {
    if (text.empty() || reads_as_no_text(text) || kube::is_base60(text)) return false;
    if (!has_indicators(text)) return true;
    const auto document = read(text, kube::YamlDialect::manifest);
    return document && document->is_string() && std::string_view{document->get_string()} == text;
}

std::string base64_lines(std::string_view bytes) {
    constexpr std::size_t width = 70;
    const auto text = to_base64(bytes);
    if (text.size() < width) return text;
    std::string lines;
    for (std::size_t i = 0; i < text.size(); i += width) {
        lines += text.substr(i, width);
        lines += '\n';
    }
    return lines;
}

void set_text(json::value& value, std::string_view text) {
    if (value.is_number() || value.is_bool()) {
        value = plain(text);
    } else {
        value = json::value(text);
    }
}

std::string_view type_name(const json::value& value) noexcept {
    switch (value.kind()) {
        case json::kind::object: return "map";
        case json::kind::array: return "list";
        case json::kind::string: return "text";
        case json::kind::bool_: return "boolean";
        case json::kind::null: return "null";
        default: return "number";
    }
}

}  // namespace kled::kustomize
