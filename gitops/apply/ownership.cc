#include "gitops/apply/ownership.h"

namespace kled::gitops {

void label_owner(kube::Object& object, const Key& owner) {
    object.set_label(owner_name_label, owner.name);
    object.set_label(owner_namespace_label, owner.ns);
}

bool has_owner(const kube::Object& object) { return !object.label(owner_name_label).empty(); }

bool is_unmarked(const kube::Object& object) {
    return !has_owner(object) && object.annotation(adopted_annotation) != "true";
}

bool belongs_to(const kube::Object& object, const Key& owner) {
    return object.label(owner_name_label) == owner.name &&
           object.label(owner_namespace_label) == owner.ns;
}

std::string selector_of(const Key& owner) {
    return std::string{owner_name_label} + "=" + owner.name + "," + owner_namespace_label + "=" +
           owner.ns;
}

}  // namespace kled::gitops
