/// Merging, comparing and pruning of objects by their structure: sigs.k8s.io/structured-merge-diff.
#pragma once

#include "kube/field_set.h"
#include "kube/object.h"
#include "kube/structural_schema.h"

namespace kled::kube {

/// Error(invalid) "<path>: <what>" for the first thing that is not of its type: an undeclared
/// field, a wrong scalar, a list element without keys, a duplicate (unless those are allowed).
void validate_structure(const json::object& object, const StructuralSchema& schema,
                        bool allow_duplicates);

/// Every leaf, and every element of maps and merged lists.
[[nodiscard]] FieldSet fields_of(const json::object& object, const StructuralSchema& schema);

struct FieldChanges {
    FieldSet added;
    FieldSet modified;
    FieldSet removed;
};
[[nodiscard]] FieldChanges compare_fields(const json::object& from, const json::object& to,
                                          const StructuralSchema& schema);

/// `config` laid over `live`: nothing is removed, lists that are sets or maps take config's order.
[[nodiscard]] json::object merge_structure(const json::object& live, const json::object& config,
                                           const StructuralSchema& schema);

/// Takes the members of `fields` out, with all below them. A member that loses all that was in it
/// is null.
[[nodiscard]] json::object without_fields(const json::object& object, const FieldSet& fields,
                                          const StructuralSchema& schema);

/// As operator==, but quick where the two have their keys in one order.
[[nodiscard]] bool same_fields(const json::object& a, const json::object& b) noexcept;

/// `fields` with the declared fields that only have members below, as members too.
[[nodiscard]] FieldSet with_named_fields(const FieldSet& fields, const StructuralSchema& schema);

}  // namespace kled::kube
