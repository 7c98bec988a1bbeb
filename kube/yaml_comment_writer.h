/// A YAML text written again, with comments.
#pragma once

#include "kube/yaml_comments.h"

#include <string>
#include <string_view>
#include <vector>

namespace kled::kube {

struct CommentedYaml {
    std::string text;
    bool within_brackets = false;  ///< there are comments within `[…]` or `{…}`
};

struct YamlNodeNotation {
    YamlComments comments = {};
    /// '|' or '>': the scalar was or is to be a text block. libyaml makes none where there are
    /// tabs, yaml.v3 does.
    char block = '\0';
};

/// `text`, which libyaml wrote at any width, with comments where yaml.v3's (v3.0.5) encoder puts
/// them. `nodes` has one for each node, in the order they stand in the text, a mapping or a
/// sequence before what is in it. Error(invalid): `text` is no YAML, or has another number of
/// nodes.
[[nodiscard]] CommentedYaml write_with_comments(std::string_view text, YamlComments document,
                                                std::vector<YamlNodeNotation> nodes);

}  // namespace kled::kube
