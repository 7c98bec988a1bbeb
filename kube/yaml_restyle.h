/// Changes to a YAML text that keep how it is written.
#pragma once

#include "kube/object.h"

#include <set>
#include <string>
#include <string_view>

namespace kled::kube {

/// `value` as YAML in the style of `original`, which it was made from: the same order of keys,
/// block and flow, quotes where there were quotes, and the comments where yaml.v3 writes them.
/// Indentation becomes two blanks; anchors and the space between things are not kept.
/// What is at `fresh`, parts of `value`, has nothing of what stood there.
/// Error(invalid): `original` is no YAML.
[[nodiscard]] std::string restyle_yaml(const json::value& value, std::string_view original,
                                       const std::set<const json::value*>& fresh = {});

}  // namespace kled::kube
