/// Strategic merge as kustomize does it (kyaml's merge2), which differs from the API server's:
/// lists grow at their front, and of the directives only `$patch` is known.
#pragma once

#include "kustomize/merge_schema.h"
#include "kustomize/notation.h"

#include <boost/json/object.hpp>

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace kled::kustomize {

/// What a merge makes of the notation: what takes another value's place takes its style.
struct Restyled {
    std::vector<std::pair<std::string, std::string>> quoted = {};  ///< fields and their texts
    std::vector<std::size_t> unquoted = {};                        ///< quoted_marks, as below
    std::vector<std::size_t> folded = {};
    std::vector<std::size_t> unfolded = {};
};

/// Where strings of the target stand in quotes, a number that takes their place becomes text, as it
/// stands in the patch. Where nothing stands, there is no field for a merge. Plain text of no type
/// that could be something else, also in YAML 1.1, is put in quotes, wherever a merge comes by.
struct Notations {
    const Notation& target;
    const Notation& patch;
    Restyled* restyled = nullptr;
};

/// Merges `patch`, which is used up, into `target`. False: the patch deletes the whole object.
/// Error(invalid): a list meets a map, or a `$patch` is unknown.
[[nodiscard]] bool merge(json::object& target, json::object patch,
                         const std::optional<MergeSchema>& schema,
                         const Notations& notations = {.target = {}, .patch = {}});

/// The target's notation after a merge that made `restyled`.
void add_notation(Notation& target, const Notation& patch, const Restyled& restyled);

}  // namespace kled::kustomize
