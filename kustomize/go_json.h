/// JSON as Go's encoding/json writes it.
#pragma once

#include <boost/json/value.hpp>

#include <string>

namespace kled::kustomize {

namespace json = boost::json;

/// On one line, keys sorted; <, >, & and the line separators of Unicode are escaped.
[[nodiscard]] std::string go_json(const json::value& value);
/// The same over several lines, two blanks further in at each level.
[[nodiscard]] std::string go_json_indented(const json::value& value);

}  // namespace kled::kustomize
