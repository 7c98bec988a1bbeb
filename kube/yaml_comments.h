/// Which comment of a YAML text belongs to which of its nodes.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <utility>

namespace kled::kube {

/// With `#`, lines divided by line breaks, none at the end.
struct YamlComments {
    std::string head;  ///< in the lines before
    std::string line;  ///< behind it
    std::string foot;  ///< in the lines after; for a key: after its value

    [[nodiscard]] bool empty() const { return head.empty() && line.empty() && foot.empty(); }
};

enum class YamlNodeKind { scalar, sequence, mapping };

/// The nodes that have comments, by where they begin: characters from the text's start.
struct YamlCommentMap {
    YamlComments document;
    std::map<std::pair<std::size_t, YamlNodeKind>, YamlComments> nodes;

    [[nodiscard]] bool empty() const { return document.empty() && nodes.empty(); }
};

/// The comments of the text's first document, on the nodes yaml.v3 (v3.0.5) puts them on. The text
/// must be one that libyaml reads; where it is not, some or all comments are missing.
[[nodiscard]] YamlCommentMap read_yaml_comments(std::string_view text);

}  // namespace kled::kube
