/// For tests: an embedded API, and one who applies YAML to it again and again.
#pragma once

#include "gitops/apply/applier.h"
#include "gitops/testing/world.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace kled::gitops::testing {

/// Passes everything on; what is put in its way, others say.
class Passing : public kube::Transport {
public:
    explicit Passing(kube::Transport& way) : way_{way} {}
    boost::asio::awaitable<net::Response> send(net::Request request) override {
        return way_.send(std::move(request));
    }
    boost::asio::awaitable<net::StreamResponse> open(net::Request request) override {
        return way_.open(std::move(request));
    }

private:
    kube::Transport& way_;
};

/// Somebody who comes for the first time between what is read of an object of the namespace
/// `default` and what is written to it.
class Faster : public Passing {
public:
    struct Patch {
        kube::GroupVersionKind gvk;
        std::string name;
        std::string yaml;  ///< merged into it
        std::string subresource{};
    };
    Faster(kube::Client& client, Patch patch)
        : Passing{client.transport()}, client_{client}, patch_{std::move(patch)} {}
    boost::asio::awaitable<net::Response> send(net::Request request) override {
        const auto path = request.target.substr(0, request.target.find('?'));
        const bool writes = request.method == "PATCH" && path.ends_with("/" + patch_.name) &&
                            request.target.find("dryRun") == std::string::npos;
        if (writes && !std::exchange(came_, true)) {
            const auto patch = kube::parse_yaml(patch_.yaml);
            co_await client_.patch(patch_.gvk, "default", patch_.name, kube::PatchType::merge,
                                   patch, patch_.subresource);
        }
        co_return co_await Passing::send(std::move(request));
    }

private:
    kube::Client& client_;
    Patch patch_;
    bool came_ = false;
};

class ApplyWorld : public ::testing::Test {
protected:
    using Wrap = std::function<std::shared_ptr<kube::Transport>(kube::Transport&)>;
    /// `wrap`: what stands between the applier and the API.
    explicit ApplyWorld(const Wrap& wrap = nullptr)
        : client{wrap ? wrap(world.client().transport())
                      : std::make_shared<Passing>(world.client().transport())} {}
    std::vector<Change> apply(const std::string& yaml, bool force = false) {
        return apply_by(client, yaml, force);
    }
    /// By another way to the API.
    std::vector<Change> apply_by(kube::Client& way, const std::string& yaml, bool force = false) {
        const auto manifests = manifests_of(kube::load_manifest(yaml));
        auto next = world.sync(make_plan(way, manifests, plan));
        plan = std::move(next);
        Applier applier{way, {}};
        Applier::Order order;
        order.owner = owner;
        order.force = force;
        order.compare = compare;
        order.drift = drift;
        order.ignore = &ignore;
        return world.sync(applier.apply(order, plan, memory));
    }
    static std::vector<std::string> actions(const std::vector<Change>& changes) {
        std::vector<std::string> result;
        for (const auto& change : changes) result.emplace_back(to_string(change.action));
        return result;
    }
    static std::string config(const std::string& name, const std::string& value) {
        return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + "}\ndata: {k: '" +
               value + "'}\n";
    }

    World world;
    const Key owner{.kind = "Kustomization", .ns = "default", .name = "apps"};
    kube::Client client;
    Memory memory;
    Plan plan;
    IgnoreRules ignore;
    bool compare = true;
    Drift drift = Drift::repair;
};

}  // namespace kled::gitops::testing
