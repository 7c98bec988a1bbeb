/// Paths like "spec.containers.[name=web].image" into an object, as replacements and vars use them.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace kled::kustomize {

namespace json = boost::json;

using FieldPath = std::vector<std::string>;

/// Splits at '.'; "\." is a dot within a part, and so is one in "[name=a.b]" or "[a.b]".
[[nodiscard]] FieldPath parse_field_path(std::string_view path);

/// The one value at `path`: names of fields, indices, "-" for the last element, "[key=text]" for
/// the element with this text; nullptr: nothing is there. Error(invalid): a step does not fit what
/// it meets.
[[nodiscard]] const json::value* look_up(const json::value& root, const FieldPath& path);
[[nodiscard]] json::value* look_up(json::value& root, const FieldPath& path);

/// What is made where a path leads nowhere.
enum class Create { nothing, scalar, map, list };

/// All values at `path`; besides the steps of look_up, "*" means every element and the text in
/// "[key=text]" is a regular expression to be found. What is missing is made of the kind `create`
/// says. A scalar that is made is null. Error(invalid).
[[nodiscard]] std::vector<json::value*> match(json::value& root, const FieldPath& path,
                                              Create create);

}  // namespace kled::kustomize
