/// Server-side apply, and who owns which field of an object: metadata.managedFields as
/// kube-apiserver 1.34 keeps them (apimachinery pkg/util/managedfields). Pure: time is passed in.
#pragma once

#include "base/error.h"
#include "kube/field_set.h"
#include "kube/object.h"
#include "kube/structural_schema.h"

#include <string>
#include <string_view>
#include <vector>

namespace kled::kube {

/// Who writes, and how.
struct FieldWriter {
    std::string manager;      ///< fieldManager of the request, or the first word of its user agent
    std::string subresource;  ///< "status", "scale"; empty: the object itself
    std::string time;         ///< now, RFC 3339 in whole seconds: "2026-01-31T12:00:00Z"
    /// Fields this endpoint does not write, never owned through it: see fields_not_written.
    FieldSet not_written;
};

/// What the endpoint for `subresource` leaves alone, for FieldWriter: the main one of a kind with a
/// status subresource its status, "status" everything else.
[[nodiscard]] FieldSet fields_not_written(std::string_view subresource, bool has_status_subresource,
                                          const json::object& object);

/// Another manager has set a field to another value. what() is the server's message.
class ApplyConflict : public Error {
public:
    struct Cause {
        std::string field;    ///< ".spec.replicas"
        std::string message;  ///< "conflict with \"kubectl\" using apps/v1 at 2026-01-31T12:00:00Z"
    };
    ApplyConflict(const std::string& message, std::vector<Cause> causes)
        : Error{ErrorKind::conflict, message}, causes_{std::move(causes)} {}
    [[nodiscard]] const std::vector<Cause>& causes() const noexcept { return causes_; }

private:
    std::vector<Cause> causes_;
};

/// The object after `config` is applied by `writer`, its managedFields up to date. `live` is what
/// is stored, an object without fields to create one. What `writer` applied before, no longer
/// applies and nobody else owns goes away. When nothing changes, the answer equals `live`, times
/// included: the caller compares and stores nothing. ApplyConflict unless `force`; Error(invalid):
/// `config` is not of its type, or has managedFields. Defaults, validation, and everything the
/// server itself sets are the caller's, afterwards.
[[nodiscard]] Object apply_fields(const Object& live, const Object& config,
                                  const StructuralSchema& schema, const FieldWriter& writer,
                                  bool force);

/// Sets managedFields of `updated`, which a create (`live` has no fields), update or patch is about
/// to store. Never fails: managedFields that cannot be read count as empty.
void track_update(const Object& live, Object& updated, const StructuralSchema& schema,
                  const FieldWriter& writer);

/// When two versions differ in nothing but the times in managedFields, gives `updated` the times of
/// `live`: the write then changes nothing, and the resourceVersion stays.
void keep_times_of_no_change(const Object& live, Object& updated);

}  // namespace kled::kube
