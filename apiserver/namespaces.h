/// Namespaces: those that are always there, and the end of those that are deleted
/// (kube-controller-manager pkg/controller/namespace/deletion).
#pragma once

#include "apiserver/api.h"
#include "base/signal.h"

#include <boost/asio/awaitable.hpp>

#include <set>
#include <string>

namespace kled::api {

class Namespaces {
public:
    explicit Namespaces(boost::asio::any_io_executor executor, Api& api);

    /// Makes default, kube-system, kube-public and kube-node-lease where they are missing.
    boost::asio::awaitable<void> bootstrap();
    /// Deletes the content of terminating namespaces, pods first, and then the namespace, until
    /// cancelled.
    boost::asio::awaitable<void> run();

private:
    void changed(const Change& change);
    boost::asio::awaitable<void> finalize(std::string name);

    Api& api_;
    Signal wake_;
    std::set<std::string> terminating_;
    Storage::Subscription subscription_;
};

}  // namespace kled::api
