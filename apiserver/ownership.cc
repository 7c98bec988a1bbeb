#include "apiserver/ownership.h"

#include "apiserver/custom_schema.h"
#include "base/clock.h"
#include "kube/managed_fields.h"

#include <utility>

namespace kled::api {

namespace {

kube::StructuralSchema schema_of(const Resource& resource) {
    return resource.custom ? resource.custom->schema->structural()
                           : kube::StructuralSchema::of(resource.gvk()).value();
}

kube::FieldWriter writer_of(const FieldManager& manager, const Resource& resource,
                            const kube::Object& object) {
    return {manager.name, manager.subresource, to_rfc3339(std::chrono::system_clock::now()),
            kube::fields_not_written(manager.subresource, resource.has_status, object.fields())};
}

}  // namespace

kube::Object apply_owned(const kube::Object& live, const kube::Object& config,
                         const Resource& resource, const FieldManager& manager, bool force) {
    try {
        return kube::apply_fields(live, config, schema_of(resource),
                                  writer_of(manager, resource, config), force);
    } catch (const kube::ApplyConflict& conflict) {
        Refusal::Details details;
        for (const auto& cause : conflict.causes())
            details.causes.push_back({"FieldManagerConflict", cause.message, cause.field});
        throw Refusal{409, "Conflict", conflict.what(), std::move(details)};
    }
}

void track_owner(const kube::Object& live, kube::Object& object, const Resource& resource,
                 const FieldManager& manager) {
    kube::track_update(live, object, schema_of(resource), writer_of(manager, resource, object));
}

}  // namespace kled::api
