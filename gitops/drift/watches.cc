#include "gitops/drift/watches.h"

#include "base/signal.h"
#include "kube/informer.h"
#include "kube/watch.h"

#include <exception>

namespace kled::gitops {

namespace asio = boost::asio;

struct DriftWatches::Watch : kube::WatchHandler {
    Watch(const asio::any_io_executor& loop, std::shared_ptr<Destination> where,
          kube::GroupVersionKind what, std::shared_ptr<const Listener> told)
        : destination{std::move(where)},
          gvk{std::move(what)},
          listener{std::move(told)},
          stop{loop} {}

    void list_page(std::vector<kube::Object> items, bool first) override {
        if (first) there.clear();
        for (auto& item : items) {
            auto owner = owner_of(item);
            if (!owners.contains(owner)) continue;
            auto& its = there[std::move(owner)];
            its.insert(kube::object_key(item));
            changed(std::move(item));
        }
    }
    void list_complete() override {
        for (const auto& owner : owners) listener->listed(owner, gvk, there[owner]);
        there.clear();
    }
    void changed(kube::Object object) override {
        const auto& manager = destination->applier.field_manager();
        say(object, Sighting::of(object, manager));
    }
    void deleted(kube::Object object) override { say(object, Sighting{}); }

    static Key owner_of(const kube::Object& object) {
        return {.kind = "Kustomization",
                .ns = std::string{object.label(owner_namespace_label)},
                .name = std::string{object.label(owner_name_label)}};
    }
    void say(const kube::Object& object, Sighting sighting) const {
        const kube::ObjectId id{.group = gvk.group,
                                .kind = gvk.kind,
                                .ns = std::string{object.ns()},
                                .name = std::string{object.name()}};
        const auto owner = owner_of(object);
        if (owners.contains(owner)) {
            listener->saw(owner, id, std::move(sighting));
        } else {  // somebody else's, or somebody made it look so
            for (const auto& one : owners) listener->saw(one, id, sighting);
        }
    }

    struct Stopped {};
    asio::awaitable<void> until_stopped() {
        co_await stop.wait();
        throw Stopped{};
    }
    static asio::awaitable<void> run(std::shared_ptr<Watch> watch) {
        kube::WatchOptions options;
        options.list.label_selector = owner_name_label;
        options.list.metadata_only = true;
        TaskGroup group{co_await asio::this_coro::executor};
        group.spawn(kube::watch(watch->destination->client, watch->gvk, options, *watch));
        group.spawn(watch->until_stopped());
        try {
            co_await even_if_cancelled;
            co_await group.join();
        } catch (const Stopped&) {
            // Nobody has anything of it any more.
        }
    }

    std::shared_ptr<Destination> destination;
    kube::GroupVersionKind gvk;
    std::shared_ptr<const Listener> listener;
    std::set<Key> owners;
    std::map<Key, std::set<std::string>> there;  ///< of a list that is coming in
    Signal stop;
};

DriftWatches::DriftWatches(asio::any_io_executor loop, TaskGroup& tasks, Listener listener)
    : loop_{std::move(loop)},
      tasks_{tasks},
      listener_{std::make_shared<const Listener>(std::move(listener))} {}

DriftWatches::~DriftWatches() = default;

void DriftWatches::follow(const Key& owner, const std::shared_ptr<Destination>& destination,
                          const Kinds& kinds) {
    for (const auto& gvk : kinds) {
        auto& watch = watches_[{destination.get(), gvk}];
        if (!watch) {
            watch = std::make_shared<Watch>(loop_, destination, gvk, listener_);
            tasks_.spawn(Watch::run(watch));
        }
        watch->owners.insert(owner);
    }
    std::erase_if(watches_, [&](const auto& entry) {
        const auto& [place, watch] = entry;
        if (place.first == destination.get() && kinds.contains(place.second)) return false;
        watch->owners.erase(owner);
        if (!watch->owners.empty()) return false;
        watch->stop.notify();
        return true;
    });
}

void DriftWatches::forget(const Key& owner) { follow(owner, nullptr, {}); }

}  // namespace kled::gitops
