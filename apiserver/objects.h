/// What the server itself writes into an object, and what it demands of names and labels
/// (apiserver registry/rest/create.go, update.go; apimachinery api/validation).
#pragma once

#include "apiserver/registry.h"
#include "apiserver/storage.h"
#include "base/clock.h"
#include "kube/object.h"

#include <string>
#include <string_view>
#include <vector>

namespace kled::api {

/// The bytes to store: apiVersion, kind and metadata first, with `version` as resourceVersion.
[[nodiscard]] std::string encode(const json::object& object, Version version);
/// The stored bytes as the version `resource` shows: only apiVersion differs.
[[nodiscard]] std::string as_served(const Bytes& bytes, const Resource& resource);

/// Fills in apiVersion, kind, name and namespace where the path has them and the body does not.
/// Refusal 400 where both do and differ.
void match_path(kube::Object& object, const Resource& resource, std::string_view ns,
                std::string_view name);

/// Five characters for a generateName.
[[nodiscard]] std::string random_suffix();

/// Before an object is stored for the first time: name, uid, creationTimestamp, generation; what
/// only the server may set is taken away, status too.
void prepare_create(kube::Object& object, const Resource& resource, WallTime now);

enum class Part { all_but_status, status, finalizers };
/// Before `object` replaces `current`: what clients may not change is put back, generation follows
/// the spec. `part`: what this request may change.
void prepare_update(kube::Object& object, const kube::Object& current, const Resource& resource,
                    Part part);

/// What is wrong with a name for `resource`, as upstream says it; nothing: it may be taken.
[[nodiscard]] std::vector<std::string> name_problems(const Resource& resource,
                                                     std::string_view name);
[[nodiscard]] std::vector<FieldError> metadata_errors(const kube::Object& object,
                                                      const Resource& resource);
/// What an update may not do beyond that.
[[nodiscard]] std::vector<FieldError> update_errors(const kube::Object& object,
                                                    const kube::Object& current);

/// Equal but for resourceVersion and the times in managedFields: nothing to write.
[[nodiscard]] bool same_content(const kube::Object& a, const kube::Object& b);
[[nodiscard]] bool has_finalizers(const kube::Object& object);

}  // namespace kled::api
