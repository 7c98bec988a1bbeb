/// Changes to a YAML text that keep how it is written.
#pragma once

#include "kube/object.h"

#include <string>
#include <string_view>

namespace kled::kube {

/// `value` as YAML in the style of `original`, which it was made from: the same order of keys,
/// block and flow, quotes where there were quotes. Indentation becomes two blanks; comments,
/// anchors and the space between things are not kept. Error(invalid): `original` is no YAML.
[[nodiscard]] std::string restyle_yaml(const json::value& value, std::string_view original);

}  // namespace kled::kube
