/// The tokens of a YAML text with the comments around them: the first half of yaml_comments.h.
#pragma once

#include <yaml.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace kled::kube {

/// Positions are in characters from the text's start, columns count from 1.
struct ScannedComment {
    std::ptrdiff_t belongs_at = 0;  ///< it is taken with the first token that begins here or later
    std::ptrdiff_t start = 0;
    std::size_t column = 0;
    std::ptrdiff_t end = 0;  ///< 0 behind something in its line
    std::string head = {};   ///< one of the three is set
    std::string line = {};
    std::string foot = {};
};

struct ScannedToken {
    yaml_token_type_t type = YAML_NO_TOKEN;
    std::ptrdiff_t start = 0;
};

struct ScannedText {
    std::vector<ScannedToken> tokens;  ///< of the first document, and up to two more
    std::vector<ScannedComment> comments;
};

/// What yaml.v3's scanner makes of a text that libyaml can read. Nothing at all where their ideas
/// of a position differ (carriage returns, Unicode's line breaks and byte order marks).
[[nodiscard]] ScannedText scan_comments(std::string_view text);

}  // namespace kled::kube
