/// The tables that tell transformers which fields they change: kustomize's own and those of
/// `configurations` and `crds`.
#pragma once

#include "kustomize/field_spec.h"
#include "kustomize/fields.h"

#include <memory>
#include <vector>

namespace kled::kustomize {

/// Fields that hold names of objects of one kind.
struct NameReference {
    Gvk target;
    FieldSpecs referrers;
};

struct Configuration {
    FieldSpecs name_prefix;
    FieldSpecs name_suffix;
    FieldSpecs ns;
    FieldSpecs common_labels;    ///< labels, selectors and templates
    FieldSpecs labels;           ///< of `labels` entries, always
    FieldSpecs template_labels;  ///< of `labels` entries with includeTemplates
    FieldSpecs claim_labels;     ///< of `labels` entries with includeVolumeClaimTemplates
    FieldSpecs common_annotations;
    FieldSpecs images;
    FieldSpecs replicas;
    FieldSpecs variables;
    std::vector<NameReference> name_references;

    /// What kustomize has built in.
    static const std::shared_ptr<const Configuration>& standard();
    /// Of a `configurations` file.
    static Configuration read(const json::value& value, Document& document);

    /// Error(invalid): two entries disagree.
    void merge(const Configuration& other);
    void add_name_reference(const NameReference& reference);
};

/// `a` with `b`; cheap where they are the same.
[[nodiscard]] std::shared_ptr<const Configuration> merged(
    std::shared_ptr<const Configuration> a, const std::shared_ptr<const Configuration>& b);

/// {group, version, kind, path, create} as configuration files write them.
[[nodiscard]] FieldSpec read_field_spec(Fields& fields);
[[nodiscard]] Gvk read_gvk(Fields& fields);

}  // namespace kled::kustomize
