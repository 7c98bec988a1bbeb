/// Scalars as kustomize sees them: as the text that stands in the YAML.
#pragma once

#include "kube/object.h"

#include <string>
#include <string_view>

namespace kled::kustomize {

namespace json = boost::json;

/// What one would write for it: `8080`, `true`, the string itself; "" for null, lists and maps.
[[nodiscard]] std::string text_of(const json::value& value);
/// Whether text_of(value) == text, without building it where possible.
[[nodiscard]] bool text_equals(const json::value& value, std::string_view text);

[[nodiscard]] inline bool is_scalar(const json::value& value) noexcept {
    return !value.is_object() && !value.is_array() && !value.is_null();
}

/// null, {} or [].
[[nodiscard]] bool is_null_or_empty(const json::value& value) noexcept;

/// Gives a scalar another text. Its type stays what the old one's notation implies: a string stays
/// a string, in place of a number or a boolean the text is read as YAML would.
void set_text(json::value& value, std::string_view text);

/// `text` as a plain YAML scalar: 8080 is a number, true a boolean, the rest strings.
[[nodiscard]] json::value plain(std::string_view text);

/// Whether `text`, were it a YAML 1.1 document, would be something else: a number, `yes`, a map, a
/// comment. Never several lines, nor what is no YAML.
[[nodiscard]] bool reads_as_no_text(std::string_view text);
/// Whether Go's YAML library writes `text` without quotes.
[[nodiscard]] bool is_written_plain(std::string_view text);

/// Base64 as kustomize cuts it: into lines of 70 characters, each with its line break, once it has
/// that many.
[[nodiscard]] std::string base64_lines(std::string_view bytes);

/// "map", "list", "text", "number", …: for messages.
[[nodiscard]] std::string_view type_name(const json::value& value) noexcept;

}  // namespace kled::kustomize
