/// Which API server, and as whom: kubeconfig files and the service account of a pod.
#pragma once

#include "base/secret.h"
#include "net/http.h"

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kled::kube {

/// Bytes that stand in the configuration, or in a file that may be replaced while we run.
struct Material {
    std::shared_ptr<const Secret> text;
    std::filesystem::path file;  ///< used when `text` is not set
    [[nodiscard]] bool empty() const noexcept { return !text && file.empty(); }
};

/// A program that makes credentials (client.authentication.k8s.io/v1 and v1beta1).
struct ExecPlugin {
    std::string api_version;
    std::vector<std::string> argv;  ///< a command with a slash is relative to its kubeconfig
    std::vector<std::pair<std::string, std::string>> env;  ///< in addition to ours
    std::string install_hint;
    bool provide_cluster_info = false;
};

/// One cluster as one user.
struct ClusterAccess {
    std::string source;  ///< for people: "context kind of ~/.kube/config", "in-cluster"
    net::Url server;
    Material ca;
    Material certificate;
    Material key;
    Material token;
    std::shared_ptr<const Secret> password;  ///< with `user`: HTTP basic authentication
    std::string user;
    std::string tls_server_name;
    bool insecure = false;
    std::string proxy;
    std::string ns = "default";
    std::optional<ExecPlugin> exec;
};

/// $KUBECONFIG split at ':', else ~/.kube/config if there is one; empty: nothing is configured.
[[nodiscard]] std::vector<std::filesystem::path> kubeconfig_files();

/// Merges `files` as kubectl does (the first to name a thing wins; absent files are skipped, all
/// absent is Error(not_found)) and resolves `context`; empty: the current one. Error(invalid) says
/// file and field.
[[nodiscard]] ClusterAccess load_kubeconfig(const std::vector<std::filesystem::path>& files,
                                            const std::string& context = {});

/// A kubeconfig that somebody else wrote; `name` is for messages. Error(invalid) where it names a
/// file or a program of this machine, or a server whose certificate is not to be checked.
[[nodiscard]] ClusterAccess read_kubeconfig(std::string_view text, const std::string& name);

/// The pod's service account; nullopt outside of a pod.
[[nodiscard]] std::optional<ClusterAccess> in_cluster_access(
    const std::filesystem::path& directory = "/var/run/secrets/kubernetes.io/serviceaccount");

}  // namespace kled::kube
