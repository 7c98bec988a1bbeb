#include "edge/kube_mirror.h"

#include "base/error.h"
#include "base/log.h"
#include "base/signal.h"
#include "base/task_group.h"
#include "kube/informer.h"
#include "kube/served.h"

#include <boost/asio/this_coro.hpp>

#include <utility>
#include <vector>

namespace kled::edge {

namespace asio = boost::asio;

namespace {

const kube::GroupVersionKind node_kind{"edge.kled.io", "v1", "EdgeNode"};
const kube::GroupVersionKind deployment_kind{"edge.kled.io", "v1", "EdgeDeployment"};
constexpr int conflicts = 5;  // others write these conditions too; each time they are read again

/// `ours` in place of the conditions of the same type; the others stay.
json::array merged_conditions(const kube::Object& object, const json::array& ours) {
    json::array result;
    const auto* held =
        object.status() == nullptr ? nullptr : kube::find(*object.status(), {"conditions"});
    if (held != nullptr && held->is_array()) {
        for (const auto& condition : held->get_array()) {
            const auto type = condition.is_object()
                                  ? kube::find_string(condition.get_object(), {"type"})
                                  : std::string_view{};
            const bool replaced = std::ranges::any_of(ours, [type](const auto& own) {
                return kube::find_string(own.as_object(), {"type"}) == type;
            });
            if (!replaced) result.push_back(condition);
        }
    }
    for (const auto& own : ours) result.push_back(own);
    return result;
}

}  // namespace

kube::Object node_object(const DeviceRecord& device, std::string_view fleet,
                         const json::object& status) {
    kube::Object object{json::object{{"apiVersion", node_kind.api_version()},
                                     {"kind", node_kind.kind},
                                     {"metadata", {{"name", device.name}}},
                                     {"spec", {{"fleet", fleet}}}}};
    for (const auto& [key, value] : device.labels) object.set_label(key, value);
    if (!status.empty()) object.fields()["status"] = status;
    return object;
}

KubeMirror::KubeMirror(std::shared_ptr<kube::Transport> transport, std::string fleet)
    : client_{std::move(transport)}, fleet_{std::move(fleet)} {}

asio::awaitable<bool> KubeMirror::node(const DeviceRecord& device, const json::object& status) {
    if (!co_await client_.map(node_kind)) co_return false;  // nobody to show it to, yet
    const std::string everywhere;
    const auto name = device.name;
    if (!co_await client_.get(node_kind, everywhere, name)) {
        const auto object = node_object(device, fleet_, json::object());
        co_await client_.create(object);
    }
    json::object patch;
    patch["status"] = status;
    const json::value value(std::move(patch));
    co_await client_.patch(node_kind, everywhere, name, kube::PatchType::merge, value, "status");
    co_return true;
}

asio::awaitable<bool> KubeMirror::removed(const std::string& device) {
    if (!co_await client_.map(node_kind)) co_return false;
    const std::string everywhere;
    const auto object = co_await client_.get(node_kind, everywhere, device);
    // Of another hub's fleet it is not ours to delete.
    if (!object || kube::find_string(object->fields(), {"spec", "fleet"}) != fleet_) co_return true;
    const kube::DeleteOptions options;
    co_await client_.remove(node_kind, everywhere, device, options);
    co_return true;
}

asio::awaitable<bool> KubeMirror::deployment(const std::string& ns, const std::string& name,
                                             const json::object& status) {
    if (!co_await client_.map(deployment_kind)) co_return false;
    for (int attempt = 1;; ++attempt) {
        const auto object = co_await client_.get(deployment_kind, ns, name);
        if (!object) co_return true;  // it stands in Git alone, or is gone
        auto ours = status;
        ours["conditions"] = merged_conditions(*object, status.at("conditions").as_array());
        json::object metadata;
        metadata["resourceVersion"] = object->resource_version();
        json::object patch;
        patch["metadata"] = std::move(metadata);
        patch["status"] = std::move(ours);
        const json::value value(std::move(patch));
        try {
            co_await client_.patch(deployment_kind, ns, name, kube::PatchType::merge, value,
                                   "status");
            co_return true;
        } catch (const Error& error) {
            if (error.kind() != ErrorKind::conflict || attempt == conflicts) throw;
        }
    }
}

namespace {

/// Brings what the informer has to the hub; all of it, because it is little and seldom.
asio::awaitable<void> tell(Hub& hub, kube::Informer& informer, Signal& changed) {
    for (;;) {
        co_await changed.wait();
        std::vector<Hub::NodeSpec> specs;
        for (const auto& object : informer.list()) {
            Hub::NodeSpec spec{.name = std::string{object.name()}, .labels = {}, .hold = false};
            const auto* labels = kube::find(object.fields(), {"metadata", "labels"});
            if (labels != nullptr && labels->is_object()) {
                for (const auto& label : labels->get_object())
                    if (const auto* value = label.value().if_string())
                        spec.labels.emplace(label.key(), *value);
            }
            const auto* hold = kube::find(object.fields(), {"spec", "hold"});
            spec.hold = hold != nullptr && hold->is_bool() && hold->get_bool();
            specs.push_back(std::move(spec));
        }
        try {
            co_await hub.nodes(std::move(specs));
        } catch (const Error& error) {
            log::error("edge", "cannot place by new labels", {{"error", error.what()}});
        }
    }
}

/// What could not be shown before there was a kind for it is shown then.
asio::awaitable<void> show_when_served(Hub& hub, kube::Client& client, kube::GroupVersionKind gvk) {
    co_await kube::until_served(client, std::move(gvk));
    hub.show_again();
}

}  // namespace

asio::awaitable<void> KubeMirror::follow(Hub& hub) {
    const auto loop = co_await asio::this_coro::executor;
    Signal changed{loop};
    kube::Informer informer{loop, client_, node_kind};
    informer.add_handler([&changed, &hub](const kube::Informer::Change& change) {
        if (change.kind == kube::Informer::Change::Kind::removed) {
            hub.show_again(std::string{change.object.name()});
        } else {
            changed.notify();  // status comes from the hub itself
        }
    });
    TaskGroup tasks{loop};
    tasks.spawn(informer.run());
    tasks.spawn(tell(hub, informer, changed));
    tasks.spawn(show_when_served(hub, client_, node_kind));
    tasks.spawn(show_when_served(hub, client_, deployment_kind));
    co_await even_if_cancelled;
    co_await tasks.join();
}

}  // namespace kled::edge
