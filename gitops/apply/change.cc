#include "gitops/apply/change.h"

#include <utility>

namespace kled::gitops {

std::string_view to_string(Change::Action action) noexcept {
    switch (action) {
        case Change::Action::unchanged: return "unchanged";
        case Change::Action::created: return "created";
        case Change::Action::configured: return "configured";
        case Change::Action::recreated: return "recreated";
        case Change::Action::pruned: return "pruned";
        case Change::Action::kept: return "kept";
        case Change::Action::waiting: return "waiting";
        case Change::Action::drifted: return "drifted";
        case Change::Action::failed: return "failed";
    }
    return "";
}

Change changed(const kube::ObjectId& id, Change::Action action) {
    return {.id = id, .action = action};
}

Change kept(const kube::ObjectId& id, std::string why) {
    return {.id = id, .action = Change::Action::kept, .message = std::move(why)};
}

Change failed(const kube::ObjectId& id, std::string why) {
    return {.id = id, .action = Change::Action::failed, .message = std::move(why)};
}

}  // namespace kled::gitops
