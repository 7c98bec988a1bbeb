#include "gitops/objects/history.h"

#include "base/error.h"
#include "gitops/objects/annotations.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace kled::gitops {

namespace json = boost::json;

namespace {

constexpr std::string_view succeeded = "ReconciliationSucceeded";

json::object metadata_of(const std::string& revision, const std::string& origin) {
    json::object metadata;
    metadata["revision"] = revision;
    if (!origin.empty()) metadata["originRevision"] = origin;
    return metadata;
}

std::int64_t count_in(const json::object& snapshot) {
    const auto* value = snapshot.if_contains("totalReconciliations");
    return value != nullptr && value->is_int64() ? value->get_int64() : 0;
}

std::string_view revision_of(const json::value& snapshot) {
    return kube::find_string(snapshot.get_object(), {"metadata", "revision"});
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

std::string History::revision_before(std::string_view now, std::string_view commit) const {
    const auto current = commit_in(now);
    std::vector<std::string> found;
    std::string known;
    for (const auto& snapshot : snapshots_) {
        const std::string revision{revision_of(snapshot)};
        const auto its = commit_in(revision);
        if (its.empty() || its == current || std::ranges::find(found, revision) != found.end() ||
            kube::find_string(snapshot.get_object(), {"lastReconciledStatus"}) != succeeded) {
            continue;
        }
        known += (known.empty() ? "" : ", ") + revision;
        if (its.starts_with(commit)) found.push_back(revision);
    }
    if (found.empty()) {
        throw Error{ErrorKind::not_found,
                    "no revision" + (commit.empty() ? "" : " " + std::string{commit}) +
                        " was applied before this one" +
                        (known.empty() ? "; --to takes a whole commit" : ": there are " + known)};
    }
    if (!commit.empty() && found.size() > 1) {
        throw Error{ErrorKind::invalid,
                    "several revisions begin with " + std::string{commit} + ": " + known};
    }
    return found.front();
}

bool History::succeeded_last(std::string_view digest) const {
    if (snapshots_.empty() || digest.empty()) return false;
    const auto& newest = snapshots_.front().get_object();
    return kube::find_string(newest, {"digest"}) == digest &&
           kube::find_string(newest, {"lastReconciledStatus"}) == succeeded;
}

void History::follow(const std::string& revision, const std::string& origin) {
    if (snapshots_.empty()) return;
    auto& newest = snapshots_.front().get_object();
    if (kube::find_string(newest, {"lastReconciledStatus"}) != succeeded) return;
    newest["metadata"] = metadata_of(revision, origin);
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
    snapshot["metadata"] = metadata_of(attempt.revision, attempt.origin);
    snapshots_.insert(snapshots_.begin(), std::move(snapshot));
    if (snapshots_.size() > limit) snapshots_.resize(limit);
}

}  // namespace kled::gitops
