/// The API server that a command talks to.
#pragma once

#include "cli/command.h"
#include "kube/client.h"
#include "kube/kubeconfig.h"

#include <boost/asio/any_io_executor.hpp>

namespace kled::cli {

/// --kubeconfig or $KUBECONFIG, else ~/.kube/config, else the pod's service account, else the
/// embedded API of the kledd on this machine. A file that is named but cannot be used is an error.
kube::ClusterAccess cluster_access(const Globals& globals);

kube::Client connect(boost::asio::any_io_executor loop, const Globals& globals);

}  // namespace kled::cli
