/// What server-side apply records about who holds which fields (metadata.managedFields).
#pragma once

#include "kube/field_set.h"
#include "kube/object.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace kled::gitops {

/// A digest of the fields that `manager` applied and holds. Whoever changes or removes one of them
/// takes it out of that record, and what others write beside them (a status, a scheduler's
/// annotation) leaves it alone: so one number tells, for every kind, without reading the object.
/// 0: there is no record.
[[nodiscard]] std::uint64_t record_of(const kube::Object& object, std::string_view manager);

/// The managers that hold fields of `live` which `wanted`, a dry run of the apply, gives to
/// `manager`: "kubectl-edit, helm"; empty: nobody does.
[[nodiscard]] std::string rivals(const kube::Object& live, const kube::Object& wanted,
                                 std::string_view manager);

/// Whether `live` and `wanted`, as above, differ only where others wrote what `manager` had
/// applied, and after it did: then Git did not change the object since, as far as the record tells.
[[nodiscard]] bool only_others_changed(const kube::Object& live, const kube::Object& wanted,
                                       std::string_view manager);

/// Whether an element of a list is the one that `key`, an entry of a field set, means. Git may
/// leave a key to its default (the protocol of a port), not all of them.
[[nodiscard]] bool is_element(const kube::json::value& element, const kube::PathElement& key);

}  // namespace kled::gitops
