// Which revisions of a source somebody still needs: those go last.
#include "gitops/objects/annotations.h"
#include "gitops/reconcile/reconciler_impl.h"

#include <algorithm>
#include <utility>

namespace kled::gitops {

Reconciler::Impl::InUse Reconciler::Impl::in_use_of(const Key& source) const {
    // Who was not told of yet may need any of them.
    if (!knows_all_works()) return [](std::string_view) { return true; };
    std::set<std::string, std::less<>> all;  // of commits, digests, or whatever they are named by
    for (const auto& [key, work] : works) {
        if (source_named_in(work->object) != source) continue;
        const auto& object = work->object;
        for (const std::string_view one :
             {std::string_view{work->status.last_applied_revision},
              object.annotation(pin_annotation), object.annotation(promoted_annotation)}) {
            if (auto digits = commit_in(one); !digits.empty()) all.insert(std::move(digits));
        }
    }
    return [all = std::move(all)](std::string_view digits) { return all.contains(digits); };
}

bool Reconciler::Impl::knows_all_works() const {
    if (options.only_sources) return true;
    const auto known = [this](std::string_view kind) {
        return known_kinds.contains(kind) || absent_kinds.contains(kind);
    };
    return known("Kustomization") && std::ranges::all_of(options.targets, [&](const auto& target) {
               return known(target.first);
           });
}

}  // namespace kled::gitops
