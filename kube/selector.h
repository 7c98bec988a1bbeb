/// Label and field selectors.
#pragma once

#include "kube/object.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kled::kube {

/// "app=web,tier in (a,b),!legacy". An empty selector matches everything.
class LabelSelector {
public:
    static LabelSelector parse(std::string_view text);           ///< Error(invalid) with the position
    static LabelSelector from_object(const json::object& value); ///< matchLabels, matchExpressions
    [[nodiscard]] bool matches(const Object& object) const;
    [[nodiscard]] bool empty() const noexcept { return requirements_.empty(); }
    [[nodiscard]] std::string to_string() const;

private:
    enum class Operator { in, not_in, exists, absent, greater, less };
    struct Requirement {
        std::string key;
        Operator op;
        std::vector<std::string> values;
    };
    std::vector<Requirement> requirements_;
};

/// "metadata.name=a,status.phase!=Failed": path, wanted, equal or not.
struct FieldRequirement {
    std::string path;
    std::string value;
    bool equal = true;
};
[[nodiscard]] std::vector<FieldRequirement> parse_field_selector(std::string_view text);

}  // namespace kled::kube
