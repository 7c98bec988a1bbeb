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

/// A text that takes another one's place takes its notation, and is folded where that was.
struct Folded {
    Notation::Marks target = {};
    std::vector<std::size_t> now_folded = {};
    std::vector<std::size_t> now_plain = {};
};

/// Where strings of the target stand in quotes, a number that takes their place becomes text, as it
/// stands in the patch. Where nothing stands, there is no field for a merge. Plain text of no type
/// that could be a number is put in quotes, wherever a merge comes by.
struct Notations {
    const Notation& target;
    const Notation& patch;
    Folded* folded = nullptr;
    /// Gets the plain texts, each with its field, that are none in YAML 1.1, `yes`: they have
    /// quotes now.
    std::vector<std::pair<std::string, std::string>>* now_quoted = nullptr;
};

/// Merges `patch`, which is used up, into `target`. False: the patch deletes the whole object.
/// Error(invalid): a list meets a map, or a `$patch` is unknown.
[[nodiscard]] bool merge(json::object& target, json::object patch,
                         const std::optional<MergeSchema>& schema,
                         const Notations& notations = {.target = {}, .patch = {}});

}  // namespace kled::kustomize
