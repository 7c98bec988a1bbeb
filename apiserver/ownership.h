/// Which client owns which field: kube/managed_fields.h applied to a kind that is served here.
#pragma once

#include "apiserver/registry.h"
#include "kube/object.h"

#include <string>

namespace kled::api {

/// The endpoint and client that write.
struct FieldManager {
    std::string name;
    std::string subresource;
};

/// What server-side apply of `config` makes of `live` (without fields: nothing is there yet).
/// Refusal 409 with a cause for each field that others own, unless `force`; 400 when `config` is
/// not of its kind.
[[nodiscard]] kube::Object apply_owned(const kube::Object& live, const kube::Object& config,
                                       const Resource& resource, const FieldManager& manager,
                                       bool force);

/// Sets managedFields of `object`, which a create, update or patch is about to store over `live`.
void track_owner(const kube::Object& live, kube::Object& object, const Resource& resource,
                 const FieldManager& manager);

}  // namespace kled::api
