/// Objects of the cluster that something is done for beside what is deployed: they are followed,
/// looked at in turn, and their status says what came of it.
#pragma once

#include "base/error.h"
#include "base/now.h"
#include "base/retry.h"
#include "base/task_group.h"
#include "gitops/objects/annotations.h"
#include "gitops/objects/api.h"
#include "gitops/reconcile/events.h"
#include "gitops/reconcile/turns.h"
#include "gitops/store/cluster_store.h"
#include "kube/client.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

namespace kled::gitops {

/// How a look at an object ended.
struct Ended {
    enum class How { ready, failed, stalled, later };
    How how = How::later;  ///< `later`: nothing is said, something else will touch it
    std::string reason{};
    std::string message{};
    std::optional<Duration> again{};  ///< of `ready`; none: when something touches it
};
inline Ended ready(std::string message, std::optional<Duration> again) {
    return {.how = Ended::How::ready,
            .reason = "Succeeded",
            .message = std::move(message),
            .again = again};
}
/// It is looked at again by itself, less and less often.
inline Ended failed(std::string reason, std::string message) {
    return {.how = Ended::How::failed, .reason = std::move(reason), .message = std::move(message)};
}
inline Ended stalled(std::string reason, std::string message) {
    return {.how = Ended::How::stalled, .reason = std::move(reason), .message = std::move(message)};
}

/// What is known of an object; what else is, its kind adds, and in `became_other()` forgets what
/// need not be true of another spec.
struct FollowedNode {
    explicit FollowedNode(kube::Object o) : object{std::move(o)} {}

    kube::Object object;
    Backoff backoff{{.first = Duration{1'000}, .limit = Duration{60'000}}, 1};
};

/// Used from one loop; what it refers to outlives it.
template <typename Node>
class FollowedObjects : protected ObjectStore::Listener {
public:
    /// Until cancelled.
    boost::asio::awaitable<void> run() {
        start();
        tasks_.spawn(turns_.run(tasks_));
        co_await even_if_cancelled;
        co_await tasks_.join();
    }

protected:
    using NodePtr = std::shared_ptr<Node>;
    using Again = std::optional<SteadyTime>;  ///< when it is looked at if nothing touches it before

    static constexpr std::size_t concurrency = 4;

    FollowedObjects(const boost::asio::any_io_executor& loop, kube::Client& client, Events& events,
                    std::string label_selector)
        : client_{client},
          api_{client, {.target_kinds = {}, .label_selector = std::move(label_selector)}},
          events_{events},
          turns_{loop, concurrency, [this](Key key) { return turn(std::move(key)); }},
          tasks_{loop} {}

    /// Spawns what tells of objects, and what else it needs.
    virtual void start() = 0;
    virtual boost::asio::awaitable<Again> look(NodePtr node) = 0;

    void follow(std::string_view group, std::string_view kind) {
        tasks_.spawn(api_.follow(std::string{group}, std::string{kind}, *this));
    }
    /// Whether `object` asks for a look: it is another one or has another spec, it is to go, or
    /// somebody asks by an annotation.
    bool take(kube::Object object) {
        auto& node = nodes_[key_of(object)];
        if (!node || node->object.uid() != object.uid()) {
            node = std::make_shared<Node>(std::move(object));
            return true;
        }
        const bool other = node->object.generation() != object.generation() ||
                           node->object.deleting() != object.deleting();
        const bool asked = reconcile_request(node->object) != reconcile_request(object);
        node->object = std::move(object);
        if (other) node->became_other();
        return other || asked;
    }
    void changed(kube::Object object) override {
        const auto key = key_of(object);
        if (take(std::move(object))) turns_.touch(key);
    }
    void known(std::string_view kind) override { known_kinds_.emplace(kind); }
    void served(std::string_view kind, bool is) override {
        if (!is) known(kind);
    }
    /// Whether what is not found of this kind is not there: else it may be told of yet.
    [[nodiscard]] bool knows(std::string_view kind) const { return known_kinds_.contains(kind); }
    void removed(const Key& key) override {
        nodes_.erase(key);
        turns_.forget(key);
        events_.forget(key);
    }
    [[nodiscard]] NodePtr find(const Key& key) const {
        const auto found = nodes_.find(key);
        return found == nodes_.end() ? nullptr : found->second;
    }

    /// The end of a look that began with `object`. `quiet`: that it went well is no event.
    template <typename Status>
    boost::asio::awaitable<Again> conclude(NodePtr node, kube::Object object, Status status,
                                           Ended ended, bool quiet) {
        const auto generation = object.generation();
        const bool good = ended.how == Ended::How::ready;
        // Of another spec, or another object of this name, there is another look right away.
        if (ended.how == Ended::How::later || node->object.generation() != generation ||
            find(key_of(object)) != node)
            co_return std::nullopt;
        auto& conditions = status.conditions;
        std::optional<Duration> pause = ended.again;
        if (good) {
            node->backoff.reset();
            conditions.ready(ended.reason, ended.message, generation, wall_now());
        } else if (ended.how == Ended::How::failed) {
            pause = node->backoff.next();
            conditions.failed(ended.reason, ended.message, generation, wall_now());
        } else {
            conditions.stalled(ended.reason, ended.message, generation, wall_now());
        }
        Again again;
        if (pause) again = steady_now() + std::max(*pause, Duration{500});
        if (!good || !quiet) events_.record(object, !good, ended.reason, ended.message);
        status.observed_generation = generation;
        status.handled_request = reconcile_request(object);
        if (status == Status::from_object(object)) co_return again;
        status.write_to(object);
        try {
            co_await api_.write_status(std::move(object));
        } catch (const Error& error) {
            if (error.kind() != ErrorKind::not_found) throw;  // it went meanwhile
        }
        co_return again;
    }

    /// Asks whoever reconciles that object to look now.
    boost::asio::awaitable<void> request_reconcile(kube::GroupVersionKind gvk, std::string ns,
                                                   std::string name) {
        const kube::json::value patch(
            annotation_patch({{std::string{requested_at}, to_rfc3339_micro(wall_now())}}));
        const std::string whole;
        co_await client_.patch(gvk, ns, name, kube::PatchType::merge, patch, whole);
    }

    kube::Client& client_;
    ClusterStore api_;
    Events& events_;
    std::map<Key, NodePtr> nodes_;
    std::set<std::string, std::less<>> known_kinds_;
    Turns turns_;
    TaskGroup tasks_;

private:
    boost::asio::awaitable<Again> turn(Key key) {
        const auto node = find(key);
        if (!node) co_return std::nullopt;
        if (node->object.deleting()) {  // Flux's own controllers may have held it
            const auto object = node->object;
            co_await api_.release(object);
            co_return std::nullopt;
        }
        auto looking = look(node);
        co_return co_await std::move(looking);
    }
};

}  // namespace kled::gitops
