/// What the statuses of all kinds begin with.
#pragma once

#include "gitops/objects/condition.h"
#include "kube/object.h"

#include <cstdint>
#include <string>

namespace kled::gitops {

/// The fields that kled writes; others are kept.
struct CommonStatus {
    Conditions conditions;
    std::int64_t observed_generation = 0;
    std::string handled_request;  ///< lastHandledReconcileAt

    bool operator==(const CommonStatus&) const = default;

protected:
    void read_common(const kube::Object& object);
    /// The whole of `status`, for more.
    kube::json::object& write_common(kube::Object& object) const;
};

}  // namespace kled::gitops
