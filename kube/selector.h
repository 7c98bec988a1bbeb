/// Label and field selectors.
#pragma once

#include "kube/object.h"

#include <string>
#include <string_view>
#include <vector>

namespace kled::kube {

/// "app=web,tier in (a,b),!legacy": the grammar of apimachinery pkg/labels. An empty selector
/// matches everything.
class LabelSelector {
public:
    static LabelSelector parse(std::string_view text);  ///< Error(invalid) with the position
    /// matchLabels and matchExpressions; Error(invalid).
    static LabelSelector from_object(const json::object& value);
    [[nodiscard]] bool matches(const Object& object) const;
    [[nodiscard]] bool empty() const noexcept { return requirements_.empty(); }
    /// Sorted by key; equal selectors give equal texts.
    [[nodiscard]] std::string to_string() const;

private:
    enum class Operator { in, not_in, exists, absent, greater, less };
    struct Requirement {
        std::string key;
        Operator op;
        std::vector<std::string> values;  ///< sorted, each once
    };
    static Requirement requirement(const json::object& expression);
    void add(Requirement requirement);

    std::vector<Requirement> requirements_;
};

/// One part of "metadata.name=a,status.phase!=Failed".
struct FieldRequirement {
    std::string path;
    std::string value;
    bool equal = true;
};
/// `\,`, `\=` and `\\` are escapes in a value. Error(invalid).
[[nodiscard]] std::vector<FieldRequirement> parse_field_selector(std::string_view text);

}  // namespace kled::kube
