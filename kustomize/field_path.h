/// Paths like "spec.containers.[name=web].image" into an object, as replacements and vars use them.
#pragma once

#include "kustomize/notation.h"

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

/// The name of the field a path ends at; "": it is an element of a list.
[[nodiscard]] std::string_view field_name(const FieldPath& path);

/// The one value at `path`: names of fields, indices, "-" for the last element, "[key=text]" for
/// the element with this text; nullptr: nothing is there. Error(invalid): a step does not fit what
/// it meets.
[[nodiscard]] const json::value* look_up(const json::value& root, const FieldPath& path);
[[nodiscard]] json::value* look_up(json::value& root, const FieldPath& path);

/// The values on the way there: `root` first, what look_up finds last; empty: nothing is there.
[[nodiscard]] std::vector<const json::value*> way_to(const json::value& root,
                                                     const FieldPath& path);

/// What is made where a path leads nowhere.
enum class Create { nothing, scalar, map, list };

/// A place a path leads to.
struct Place {
    json::value* value = nullptr;  ///< nullptr: within a null, where kustomize makes what is lost
    std::string_view field;        ///< the path's last step, if that is a field's name
    bool made = false;
};

/// All places at `path`, which outlives them; besides the steps of look_up, "*" means every element
/// and the text in
/// "[key=text]" is a regular expression to be found. What is missing is made of the kind `create`
/// says. A scalar that is made is null. Error(invalid), also where something is to be made within
/// a field that has nothing behind it.
[[nodiscard]] std::vector<Place> match(json::value& root, const FieldPath& path, Create create,
                                       const Notation& notation = {});

}  // namespace kled::kustomize
