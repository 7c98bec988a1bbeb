/// What would be pruned and waits for somebody to say so: a list, and the name by which exactly
/// that list is approved. Pure.
#pragma once

#include "gitops/apply/change.h"
#include "gitops/objects/condition.h"

#include <string>
#include <string_view>
#include <vector>

namespace kled::gitops {

/// The condition that has the list; absent: nothing waits.
inline constexpr std::string_view prune_approval_condition = "PruneApproval";

class PendingPrune {
public:
    PendingPrune() = default;
    /// Those of `changes` that wait.
    explicit PendingPrune(const std::vector<Change>& changes);

    [[nodiscard]] bool empty() const noexcept { return entries_.empty(); }
    [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }
    /// "sha256:<hex>" over the objects and their uids: what is made again is another object, and
    /// the same names once more are another list.
    [[nodiscard]] std::string digest() const;
    /// The digest, then one object a line; cut where a condition's message has to end.
    [[nodiscard]] std::string message() const;

private:
    struct Entry {
        kube::ObjectId id;
        std::string uid;
        auto operator<=>(const Entry&) const = default;
    };
    std::vector<Entry> entries_;  // sorted
};

/// What a condition's message lists, and the digest in it; empty: it has none.
[[nodiscard]] std::string pending_digest(const Conditions& conditions);

}  // namespace kled::gitops
