#include "gitops/history.h"

#include <algorithm>
#include <utility>

namespace kled::gitops {

namespace json = boost::json;

namespace {

std::int64_t count_in(const json::object& snapshot) {
    const auto* value = snapshot.if_contains("totalReconciliations");
    return value != nullptr && value->is_int64() ? value->get_int64() : 0;
}

}  // namespace

History History::from_status(const json::object* status) {
    History result;
    const auto* list = status == nullptr ? nullptr : kube::find(*status, {"history"});
    if (list == nullptr || !list->is_array()) return result;
    for (const auto& item : list->get_array()) {
        if (item.is_object() && result.snapshots_.size() < limit) result.snapshots_.push_back(item);
    }
    return result;
}

void History::add(const Attempt& attempt, WallTime now) {
    const auto time = to_rfc3339(now);
    const auto same = std::ranges::find_if(snapshots_, [&](const json::value& item) {
        const auto& snapshot = item.get_object();
        return kube::find_string(snapshot, {"digest"}) == attempt.digest &&
               kube::find_string(snapshot, {"lastReconciledStatus"}) == attempt.result;
    });
    json::object snapshot;
    snapshot["digest"] = attempt.digest;
    snapshot["firstReconciled"] = time;
    std::int64_t count = 0;
    if (same != snapshots_.end()) {
        const auto& before = same->get_object();
        snapshot["firstReconciled"] = kube::find_string(before, {"firstReconciled"});
        count = count_in(before);
        snapshots_.erase(same);
    }
    snapshot["lastReconciled"] = time;
    snapshot["lastReconciledDuration"] = format_duration(attempt.took);
    snapshot["lastReconciledStatus"] = attempt.result;
    snapshot["totalReconciliations"] = count + 1;
    json::object metadata;
    metadata["revision"] = attempt.revision;
    snapshot["metadata"] = std::move(metadata);
    snapshots_.insert(snapshots_.begin(), std::move(snapshot));
    if (snapshots_.size() > limit) snapshots_.resize(limit);
}

}  // namespace kled::gitops
