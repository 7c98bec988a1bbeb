/// The transformers, each a function that changes the resources in place. They throw Error(invalid)
/// with the resource or field in the message; the caller adds where in which file they stand.
#pragma once

#include "kustomize/configuration.h"
#include "kustomize/context.h"
#include "kustomize/kustomization.h"
#include "kustomize/resource_map.h"

#include <string>
#include <vector>

namespace kled::kustomize {

// ---- namespace.cc
/// Which subjects of role bindings get the namespace as well.
enum class Subjects { named_default, all_service_accounts, none };
struct NamespaceChange {
    std::string ns;
    bool unset_only = false;  ///< leave what has one
    Subjects subjects = Subjects::named_default;
};
void set_namespace(ResourceMap& resources, const NamespaceChange& change, const FieldSpecs& fields);
/// In one object, which remembers nothing of it.
void set_namespace(Resource& resource, const NamespaceChange& change, const FieldSpecs& fields);

// ---- prefix_suffix.cc
enum class Affix { prefix, suffix };
void add_affix(ResourceMap& resources, Affix affix, const std::string& text,
               const FieldSpecs& fields);

// ---- labels.cc
/// Labels or annotations: puts the pairs into each field.
void add_pairs(ResourceMap& resources, const Pairs& pairs, const FieldSpecs& fields);

// ---- images.cc
void set_images(ResourceMap& resources, const std::vector<Image>& images, const FieldSpecs& fields);

// ---- replicas.cc
/// Error(not_found): nothing of that name has replicas.
void set_replicas(ResourceMap& resources, const Replica& replica, const FieldSpecs& fields);

// ---- patches.cc
/// A `patches` entry: strategic or JSON, by what it looks like.
void apply_patch(ResourceMap& resources, const Patch& patch, const Root& root);
/// A `patchesStrategicMerge` entry, patches themselves or the path of some; how many there were.
std::size_t apply_strategic_patches(ResourceMap& resources, const std::string& text_or_path,
                                    const Root& root);
std::size_t apply_strategic_text(ResourceMap& resources, const std::string& text,
                                 const std::string& file, const Root& root);
/// A `patchesJson6902` entry.
void apply_json_patch(ResourceMap& resources, const Patch& patch, const Root& root);

// ---- generators.cc
[[nodiscard]] ResourceMap::Item generate(const Generator& generator, const Root& root);

// ---- hash.cc
/// Appends the hash of their content to the names of generated resources.
void add_hashes(ResourceMap& resources);
[[nodiscard]] std::string content_hash(const Resource& resource);

// ---- name_references.cc
/// Brings names that were changed into the fields that refer to them.
void fix_name_references(ResourceMap& resources, const std::vector<NameReference>& references);

// ---- replacements.cc
void apply_replacement(ResourceMap& resources, const Replacement& replacement, const Root& root);

// ---- variables.cc
/// Notes which resources hold the values. Error(invalid): several could be meant.
void find_variables(ResourceMap& resources, const std::vector<Variable>& variables);
/// Puts the values where "$(NAME)" stands. Error(exhausted): they are too much for the budget.
void expand_variables(ResourceMap& resources, const std::vector<Variable>& variables,
                      const FieldSpecs& fields, Context& context);

}  // namespace kled::kustomize
