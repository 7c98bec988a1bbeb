/// Brings objects into a cluster: server-side apply, only what differs.
#pragma once

#include "gitops/apply/change.h"
#include "gitops/apply/memory.h"
#include "gitops/apply/ownership.h"
#include "gitops/apply/plan.h"
#include "gitops/drift/ignore_rules.h"
#include "gitops/objects/api.h"
#include "kube/client.h"

#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace kled::gitops {

/// Used from one loop; the client outlives it. What an API server refuses is the `Change` of that
/// one object; what does not reach the server at all is thrown: Error(unavailable).
class Applier {
public:
    struct Options {
        std::string field_manager = default_field_manager;
        std::size_t concurrency = 8;  ///< requests under way for one Kustomization
    };
    Applier(kube::Client& client, Options options)
        : client_{client}, options_{std::move(options)} {}

    [[nodiscard]] const std::string& field_manager() const noexcept {
        return options_.field_manager;
    }

    struct Order {
        Key owner;
        bool force = false;           ///< recreate where a field cannot be changed
        bool compare = true;          ///< also look for drift in what Git did not change
        bool one_by_one = false;      ///< few objects: each is read by itself, none is listed
        Duration timeout{60'000};     ///< for what a stage must wait for
        Drift drift = Drift::repair;  ///< what becomes of what others changed and Git did not
        bool applied_before = false;  ///< all of it, also what is not remembered
        const IgnoreRules* ignore = nullptr;  ///< what others may change; null: nothing
    };
    /// Applies stage by stage. One that fails does not hold back the others of its stage; the next
    /// stage begins when none of `definitions` failed. Objects that need nothing are in no Change
    /// where `order.compare` is not set.
    boost::asio::awaitable<std::vector<Change>> apply(const Order& order, const Plan& plan,
                                                      Memory& memory);

private:
    struct Batch;
    struct Task;
    boost::asio::awaitable<void> wait_until_served(const Order& order, const Plan& plan);
    boost::asio::awaitable<void> work(Batch& batch);
    boost::asio::awaitable<Change> apply_one(const Batch& batch, const Planned& planned);
    boost::asio::awaitable<Change> apply_object(const Task& task);
    boost::asio::awaitable<bool> apply_unread(const Task& task);
    boost::asio::awaitable<Change> make(const Task& task);
    boost::asio::awaitable<Change> apply_on(const Task& task, kube::Object live);
    boost::asio::awaitable<bool> was_changed_by_others(const Task& task, const kube::Object& live);
    boost::asio::awaitable<kube::Object> mark_adopted(const kube::Object& live);
    boost::asio::awaitable<kube::Object> taken_over(kube::Object live);
    boost::asio::awaitable<bool> may_recreate(const Task& task);
    boost::asio::awaitable<Change> recreate(const Task& task);
    boost::asio::awaitable<void> write(const Task& task, const kube::Object& wanted);
    [[nodiscard]] kube::Object wanted_on(const Task& task, const kube::Object& live) const;
    [[nodiscard]] kube::ApplyOptions options(bool dry_run) const;

    kube::Client& client_;
    Options options_;
};

}  // namespace kled::gitops
