/// The Kubernetes API as the hub's mirror: EdgeNode.status, the hub's part of
/// EdgeDeployment.status, and the labels of EdgeNodes back to the hub.
#pragma once

#include "edge/hub.h"
#include "kube/client.h"

#include <string>

namespace kled::edge {

class KubeMirror final : public Mirror {
public:
    KubeMirror(std::shared_ptr<kube::Transport> transport, std::string fleet);

    boost::asio::awaitable<bool> node(const DeviceRecord& device,
                                      const json::object& status) override;
    boost::asio::awaitable<bool> deployment(const std::string& ns, const std::string& name,
                                            const json::object& status) override;
    boost::asio::awaitable<bool> removed(const std::string& device) override;
    /// Follows EdgeNodes and tells `hub` their labels, which of them were deleted, and when their
    /// definitions come; until cancelled. On the hub's loop.
    boost::asio::awaitable<void> follow(Hub& hub);

private:
    kube::Client client_;
    std::string fleet_;
};

/// An EdgeNode as the API would show it; used where there is none.
[[nodiscard]] kube::Object node_object(const DeviceRecord& device, std::string_view fleet,
                                       const json::object& status);

}  // namespace kled::edge
