/// A commit's status at GitHub, GitLab and Gitea, as Flux's notification-controller sets it.
#pragma once

#include "gitops/notify/message.h"

#include <optional>
#include <string>
#include <string_view>

namespace kled::gitops {

struct CommitStatus {
    std::string id;           ///< "kustomization/apps/0c9c2e41": the Provider's uid begins so
    std::string state;        ///< in the host's words: "success", "failure", "failed", "pending"
    std::string description;  ///< "reconciliation succeeded"
    Message list;             ///< asks for those that the commit has
    Message create;
};

/// What to set for `notification`; nullopt: nothing, for work that goes on and for an event without
/// a commit. Error(invalid) without the address' text when that is no repository's, or without a
/// token.
[[nodiscard]] std::optional<CommitStatus> commit_status_for(const Provider& provider,
                                                            const ProviderAccess& access,
                                                            const Notification& notification);

/// Whether `list`, the answer to CommitStatus::list, has it already. False for what is no answer.
[[nodiscard]] bool has_status(const Provider& provider, const CommitStatus& status,
                              std::string_view list);

}  // namespace kled::gitops
