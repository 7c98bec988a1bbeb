#include "gitops/drift/watches.h"

#include "base/error.h"
#include "base/signal.h"
#include "kube/informer.h"
#include "kube/watch.h"

#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <exception>

namespace kled::gitops {

namespace asio = boost::asio;

struct DriftWatches::Watch : kube::WatchHandler {
    Watch(const asio::any_io_executor& loop, std::shared_ptr<Destination> where,
          kube::GroupVersionKind what, std::string in, std::shared_ptr<const Listener> told)
        : destination{std::move(where)},
          gvk{std::move(what)},
          ns{std::move(in)},
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
        for (const auto& owner : owners) listener->listed(owner, gvk, ns, there[owner]);
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
    /// What else is wrong, the watch says itself.
    asio::awaitable<bool> is_denied() {
        kube::ListOptions options;
        options.field_selector = "metadata.name=kled";  // nothing, or little
        options.metadata_only = true;
        try {
            co_await destination->client.list(gvk, options);
        } catch (const Error& error) {
            co_return error.kind() == ErrorKind::denied;
        }
        co_return false;
    }
    asio::awaitable<void> observe(std::shared_ptr<DriftWatches*> all) {
        // Not within what spawns this: others are to be followed by then.
        co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
        if (ns.empty() && co_await is_denied()) {
            if (*all != nullptr) (*all)->narrow(*this);  // which stops this
            co_return;
        }
        kube::WatchOptions options;
        options.list.ns = ns;
        options.list.label_selector = owner_name_label;
        options.list.metadata_only = true;
        co_await kube::watch(destination->client, gvk, options, *this);
    }
    static asio::awaitable<void> run(std::shared_ptr<Watch> watch,
                                     std::shared_ptr<DriftWatches*> all) {
        TaskGroup group{co_await asio::this_coro::executor};
        group.spawn(watch->observe(std::move(all)));
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
    std::string ns;
    std::shared_ptr<const Listener> listener;
    std::set<Key> owners;
    std::map<Key, std::set<std::string>> there;  ///< of a list that is coming in
    Signal stop;
};

DriftWatches::DriftWatches(asio::any_io_executor loop, TaskGroup& tasks, Listener listener)
    : loop_{std::move(loop)},
      tasks_{tasks},
      listener_{std::make_shared<const Listener>(std::move(listener))},
      self_{std::make_shared<DriftWatches*>(this)} {}

DriftWatches::~DriftWatches() { *self_ = nullptr; }

void DriftWatches::follow(const Key& owner, const std::shared_ptr<Destination>& destination,
                          const Kinds& kinds) {
    auto& followed = followed_[owner];
    followed = {.destination = destination, .kinds = kinds};
    update(owner, followed);
}

std::set<DriftWatches::Place> DriftWatches::places_of(const Key& owner, const Followed& followed) {
    std::set<Place> places;
    auto* const destination = followed.destination.get();
    const auto narrowed = narrowed_.find(followed.destination);
    for (const auto& gvk : followed.kinds) {
        if (narrowed == narrowed_.end() || !narrowed->second.contains(gvk)) {
            places.emplace(destination, gvk, "");
            continue;
        }
        for (const auto& ns : listener_->namespaces(owner, gvk))
            if (!ns.empty()) places.emplace(destination, gvk, ns);
    }
    return places;
}

void DriftWatches::update(const Key& owner, const Followed& followed) {
    const auto places = places_of(owner, followed);
    for (const auto& place : places) {
        auto& watch = watches_[place];
        if (!watch) {
            watch = std::make_shared<Watch>(loop_, followed.destination, std::get<1>(place),
                                            std::get<2>(place), listener_);
            tasks_.spawn(Watch::run(watch, self_));
        }
        watch->owners.insert(owner);
    }
    std::erase_if(watches_, [&](const auto& entry) {
        const auto& [place, watch] = entry;
        if (places.contains(place)) return false;
        watch->owners.erase(owner);
        if (!watch->owners.empty()) return false;
        watch->stop.notify();
        return true;
    });
}

void DriftWatches::narrow(const Watch& watch) {
    std::erase_if(narrowed_, [](const auto& entry) { return entry.first.expired(); });
    narrowed_[watch.destination].insert(watch.gvk);
    const auto owners = watch.owners;
    for (const auto& owner : owners) update(owner, followed_.at(owner));
}

void DriftWatches::forget(const Key& owner) {
    update(owner, {});
    followed_.erase(owner);
}

}  // namespace kled::gitops
