#include "gitops/apply/memory.h"

#include "gitops/apply/ownership.h"
#include "gitops/drift/record.h"
#include "gitops/objects/annotations.h"

namespace kled::gitops {

Remembered Remembered::of(const kube::Object& live, std::uint64_t digest,
                          std::string_view manager) {
    return {.digest = digest,
            .resource_version = std::string{live.resource_version()},
            .record = record_of(live, manager),
            .expires = gitops::expires(live),
            .read_first = looks_first(live)};
}

bool looks_first(const kube::Object& live) {
    return says_hands_off(live) || live.deleting() || is_unmarked(live);
}

bool expires(const kube::Object& object) {
    const auto* spec = object.spec();
    return object.kind() == "Job" && object.gvk().group == "batch" && spec != nullptr &&
           kube::find(*spec, {"ttlSecondsAfterFinished"}) != nullptr;
}

}  // namespace kled::gitops
