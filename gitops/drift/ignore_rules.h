/// `spec.ignore` of a Kustomization: fields that are Git's to make and others' to change (Flux 1.9,
/// IgnoreRule of kustomize.toolkit.fluxcd.io/v1). Pure.
#pragma once

#include "kube/object.h"
#include "kube/selector.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace re2 {
class RE2;
}

namespace kled::gitops {

class Reader;

class IgnoreRules {
public:
    static constexpr std::size_t rules_limit = 100;
    static constexpr std::size_t paths_limit = 100;  ///< of one rule

    /// "ignore" in `spec`. Error(invalid) names the rule.
    static IgnoreRules read(const Reader& spec);

    [[nodiscard]] bool empty() const noexcept { return rules_.empty(); }
    /// Of all of them; 0 of none.
    [[nodiscard]] std::uint64_t digest() const noexcept { return digest_; }

    using Steps = std::vector<std::string>;  ///< of a JSON pointer, without its escapes
    /// The fields of `object` that are ignored.
    [[nodiscard]] std::vector<Steps> of(const kube::Object& object) const;

private:
    using Pattern = std::shared_ptr<const re2::RE2>;  ///< of the whole text; null: any
    struct Rule {
        std::vector<Steps> paths;
        Pattern group;
        Pattern version;
        Pattern kind;
        Pattern ns;
        Pattern name;
        kube::LabelSelector labels;
        kube::LabelSelector annotations;
        [[nodiscard]] bool matches(const kube::Object& object) const;
    };
    static Rule read_rule(const Reader& fields);

    std::vector<Rule> rules_;
    std::uint64_t digest_ = 0;
};

/// Makes of `wanted` what may be applied on `live` without changing the fields at `paths`. One that
/// others hold, or nobody, is left out: whoever has it keeps it, and `manager` gives it up. One
/// that only `manager` holds, or that stands in a list without keys, is as it is in `live`, since
/// leaving it out would delete it. True: there is such a one, so what is applied must not be of
/// another version than `live`.
[[nodiscard]] bool leave_to_others(kube::Object& wanted, const kube::Object& live,
                                   const std::vector<IgnoreRules::Steps>& paths,
                                   std::string_view manager);

}  // namespace kled::gitops
