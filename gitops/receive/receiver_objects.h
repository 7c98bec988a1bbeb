/// Flux's `Receiver` objects: each a path of its own, at which a Git host or a registry says that
/// there is something new. What they name is asked to look, never told what to apply.
#pragma once

#include "base/secret.h"
#include "gitops/objects/api.h"
#include "gitops/reconcile/followed_objects.h"
#include "net/http.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kled::gitops {

struct Receiver {
    struct Resource {
        std::string api_version;  ///< empty: Flux's own of this kind
        std::string kind;
        std::string ns;                             ///< empty: the receiver's own
        std::string name;                           ///< "*": those that have `labels`
        std::map<std::string, std::string> labels;  ///< matchLabels
    };
    kube::Object object;
    std::string type;
    std::vector<std::string> events;  ///< those it is about; empty: any
    std::vector<Resource> resources;
    std::string secret_name;
    Duration interval{};
    bool suspend = false;
    std::vector<Unsupported> unsupported;

    /// Error(invalid) "spec.type: …".
    static Receiver from_object(kube::Object object);
};

struct ReceiverStatus : CommonStatus {
    std::string webhook_path;

    static ReceiverStatus from_object(const kube::Object& object);
    void write_to(kube::Object& object) const;
    bool operator==(const ReceiverStatus&) const = default;
};

/// "/hook/<hex>": SHA-256 of token, name and namespace, as Flux makes it.
[[nodiscard]] std::string webhook_path(const kube::Object& receiver, std::string_view token);

/// Why `request` is not what `receiver` waits for, by the rules of its type; nullopt: it is. The
/// types without a signature (generic, quay, dockerhub, acr) are kept by the path alone.
[[nodiscard]] std::optional<std::string> refusal(const Receiver& receiver, std::string_view token,
                                                 const net::Request& request);

struct ReceiverNode : FollowedNode {
    using FollowedNode::FollowedNode;

    std::shared_ptr<const Receiver> receiver;  ///< null: it is not ready
    std::shared_ptr<const Secret> token;
    std::string path;

    void became_other() { receiver = nullptr; }  // until the new one is known to be good
};

/// Follows them, keeps their status, and answers at their paths.
class ReceiverObjects : public FollowedObjects<ReceiverNode> {
public:
    struct Options {
        bool no_cross_namespace_refs = false;  ///< resources of other namespaces are not asked
    };
    ReceiverObjects(const boost::asio::any_io_executor& loop, kube::Client& client, Events& events,
                    Options options);

    /// As Flux: 404 for a path that is nobody's, 503 while suspended or not ready, 400 for what the
    /// type does not let in, 500 when a resource could not be asked.
    boost::asio::awaitable<net::Response> answer(net::Request request);

private:
    void start() override;
    /// One that asks to be followed (input_watch.h): tokens in it count at once.
    void secret_changed(const Key& secret);
    boost::asio::awaitable<Again> look(NodePtr node) override;
    boost::asio::awaitable<Ended> prepare(NodePtr node);
    /// Empty: it was asked, or nothing has its labels.
    boost::asio::awaitable<std::string> ask(const Receiver& receiver,
                                            const Receiver::Resource& resource);

    Options options_;
};

}  // namespace kled::gitops
