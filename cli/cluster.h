/// Which Kubernetes API kledd works against: `--api auto|embedded|kubeconfig|in-cluster`.
#pragma once

#include "cli/role.h"

#include <string>

namespace kled::cli {

struct ClusterFlags {
    std::string api = "auto";
    std::string kubeconfig;
    std::string context;
    void add_to(CLI::App& app);
};

/// Fills daemon.cluster. `auto`: a kubeconfig if one is named or found, else the service account of
/// the pod, else the embedded API, and that only when the role api runs here (which then fills
/// daemon.cluster itself). A named but unusable kubeconfig is Error(invalid), never a fallback.
void choose_cluster(const ClusterFlags& flags, bool api_role, Daemon& daemon);

}  // namespace kled::cli
