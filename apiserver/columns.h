/// The columns `kubectl get` shows of a kind, from its definition or the table of built-in kinds.
#pragma once

#include "apiserver/registry.h"
#include "base/clock.h"
#include "kube/object.h"

namespace kled::api {

class Columns {
public:
    /// `resource` outlives this.
    explicit Columns(const Resource& resource) : resource_{resource} {}
    /// meta.k8s.io/v1 TableColumnDefinition each.
    [[nodiscard]] json::array definitions() const;
    [[nodiscard]] json::array cells(const kube::Object& object, WallTime now) const;
    /// TableRowCondition: pods that have ended.
    [[nodiscard]] json::array conditions(const kube::Object& object) const;

private:
    const Resource& resource_;
};

}  // namespace kled::api
