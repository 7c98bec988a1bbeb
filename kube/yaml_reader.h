/// One YAML document, read from libyaml's events.
#pragma once

#include "kube/yaml.h"

#include <optional>
#include <string_view>
#include <vector>

namespace kled::kube {

/// A document and what load_manifest needs besides.
struct Read {
    YamlDocument document;
    std::vector<int> item_lines;  ///< of the elements of a top-level `items`
};

/// The first document of `text`, before which there are so many lines in its file; nullopt when
/// there is none. What follows it is not looked at. Errors as of parse_yaml.
std::optional<Read> read_yaml(std::string_view text, const YamlOptions& options, int lines_before);

}  // namespace kled::kube
