#include "gitops/objects/status.h"

#include "gitops/objects/fields.h"

namespace kled::gitops {

void CommonStatus::read_common(const kube::Object& object) {
    conditions = Conditions::from_status(object.status());
    observed_generation = integer(object.status(), "observedGeneration");
    handled_request = text_in(object, {"lastHandledReconcileAt"});
}

kube::json::object& CommonStatus::write_common(kube::Object& object) const {
    auto& status = status_of(object);
    status["conditions"] = conditions.to_json();
    status["observedGeneration"] = observed_generation;
    set_or_erase(status, "lastHandledReconcileAt", handled_request);
    return status;
}

}  // namespace kled::gitops
