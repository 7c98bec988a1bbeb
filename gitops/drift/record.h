/// What server-side apply records about who holds which fields (metadata.managedFields).
#pragma once

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

}  // namespace kled::gitops
