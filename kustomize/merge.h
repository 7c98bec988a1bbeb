/// Strategic merge as kustomize does it (kyaml's merge2), which differs from the API server's:
/// lists grow at their front, and of the directives only `$patch` is known.
#pragma once

#include "kustomize/merge_schema.h"
#include "kustomize/resource.h"

#include <boost/json/object.hpp>

#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

namespace kled::kustomize {

/// Which strings of the target stand in quotes (Resource::quoted): a number that takes their place
/// becomes text, as it stands in the patch. And where nothing stands, which a merge takes for no
/// field.
struct QuotedStrings {
    std::shared_ptr<const std::vector<std::size_t>> target = nullptr;
    const Resource* patch = nullptr;  ///< that the numbers are from
    struct Folded* folded = nullptr;
};
/// A text that takes another one's place takes its notation, and is folded (Resource::folded) where
/// that was.
struct Folded {
    std::shared_ptr<const std::vector<std::size_t>> target;
    std::vector<std::size_t> now_folded = {};
    std::vector<std::size_t> now_plain = {};
};

/// Merges `patch`, which is used up, into `target`. False: the patch deletes the whole object.
/// Error(invalid): a list meets a map, or a `$patch` is unknown.
[[nodiscard]] bool merge(json::object& target, json::object patch,
                         const std::optional<MergeSchema>& schema,
                         const QuotedStrings& quoted = {});

}  // namespace kled::kustomize
