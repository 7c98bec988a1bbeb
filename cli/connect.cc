#include "cli/connect.h"

#include "kube/https_transport.h"

namespace kled::cli {

kube::ClusterAccess cluster_access(const Globals& globals) {
    // --kubeconfig takes one file, $KUBECONFIG several; both arrive in the same flag.
    std::vector<std::filesystem::path> files;
    for (std::string_view rest = globals.kubeconfig; !rest.empty();) {
        const auto colon = rest.find(':');
        if (colon != 0) files.emplace_back(rest.substr(0, colon));
        rest.remove_prefix(colon == std::string_view::npos ? rest.size() : colon + 1);
    }
    if (files.empty()) files = kube::kubeconfig_files();
    if (!files.empty()) return kube::load_kubeconfig(files, globals.context);
    if (auto access = kube::in_cluster_access()) return std::move(*access);
    const auto embedded = globals.state / "api" / "admin.kubeconfig";
    if (!std::filesystem::exists(embedded)) {
        throw Error{ErrorKind::not_found,
                    "no cluster is known: no kubeconfig, no pod, and no kledd in " +
                        globals.state.string() + " (--kubeconfig, --state)"};
    }
    return kube::load_kubeconfig({embedded}, globals.context);
}

kube::Client connect(boost::asio::any_io_executor loop, const Globals& globals) {
    return kube::Client{
        std::make_shared<kube::HttpsTransport>(std::move(loop), cluster_access(globals))};
}

}  // namespace kled::cli
