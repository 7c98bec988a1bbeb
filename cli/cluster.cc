#include "cli/cluster.h"

#include "base/error.h"
#include "base/log.h"
#include "kube/https_transport.h"
#include "kube/kubeconfig.h"

#include <CLI/CLI.hpp>

#include <optional>
#include <utility>
#include <vector>

namespace kled::cli {

namespace {

std::optional<kube::ClusterAccess> from_kubeconfig(const ClusterFlags& flags, bool required) {
    const bool named = !flags.kubeconfig.empty();
    const auto files =
        named ? std::vector<std::filesystem::path>{flags.kubeconfig} : kube::kubeconfig_files();
    if (files.empty()) {
        if (!required && flags.context.empty()) return std::nullopt;
        throw Error{ErrorKind::invalid,
                    "--api kubeconfig: none is named (--kubeconfig, KUBECONFIG) and "
                    "~/.kube/config is absent"};
    }
    return kube::load_kubeconfig(files, flags.context);
}

std::optional<kube::ClusterAccess> chosen(const ClusterFlags& flags) {
    if (flags.api == "embedded") return std::nullopt;
    if (flags.api == "kubeconfig") return from_kubeconfig(flags, true);
    if (flags.api == "in-cluster") {
        if (auto access = kube::in_cluster_access()) return access;
        throw Error{ErrorKind::invalid,
                    "--api in-cluster: this is not a pod with a service account"};
    }
    if (auto access = from_kubeconfig(flags, false)) return access;
    return kube::in_cluster_access();
}

}  // namespace

void ClusterFlags::add_to(CLI::App& app) {
    app.add_option("--api", api,
                   "The Kubernetes API to work against: auto, embedded, kubeconfig, in-cluster")
        ->check(CLI::IsMember({"auto", "embedded", "kubeconfig", "in-cluster"}))
        ->capture_default_str();
    app.add_option("--kubeconfig", kubeconfig,
                   "Kubeconfig file (default: $KUBECONFIG, ~/.kube/config)");
    app.add_option("--context", context, "Context of the kubeconfig");
}

void choose_cluster(const ClusterFlags& flags, bool api_role, Daemon& daemon) {
    if (flags.api == "embedded" && !api_role)
        throw Error{ErrorKind::invalid, "--api embedded needs the role api: --roles api,…"};
    auto access = chosen(flags);
    if (!access) {
        if (!api_role)
            throw Error{
                ErrorKind::invalid,
                "no Kubernetes API to work against: name a kubeconfig, or add the role api"};
        return;  // the role api fills daemon.cluster
    }
    daemon.cluster_name = access->source;
    if (api_role && flags.api == "auto") {
        log::warn("kledd",
                  "the other roles work on a kubeconfig's cluster, not on the embedded API",
                  {{"cluster", access->source}, {"choose", "--api embedded"}});
    }
    daemon.cluster = [access = std::move(*access)](const boost::asio::any_io_executor& loop) {
        return std::make_shared<kube::HttpsTransport>(loop, access);
    };
}

}  // namespace kled::cli
