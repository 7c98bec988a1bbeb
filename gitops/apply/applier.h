/// Brings objects into a cluster and takes them out again: server-side apply, only what differs.
#pragma once

#include "gitops/api.h"
#include "gitops/drift/ignore_rules.h"
#include "gitops/inventory.h"
#include "gitops/manifest.h"
#include "kube/client.h"

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace kled::gitops {

/// What became of one object.
struct Change {
    enum class Action {
        unchanged,
        created,
        configured,
        recreated,  ///< deleted and made anew: a field that cannot change, and `force`
        pruned,
        kept,     ///< left alone on purpose: `message` says why
        waiting,  ///< would be pruned, and waits until somebody says so: `uid` is whose end it is
        drifted,  ///< others changed what Git says, and it is left so: Order::drift
        failed,   ///< `message` says why; the others went on
    };
    kube::ObjectId id;
    Action action = Action::unchanged;
    std::string message;
    std::string uid{};
    bool by_others = false;  ///< they had changed it, Git had not: `message` says who
};
[[nodiscard]] std::string_view to_string(Change::Action action) noexcept;

/// An object on its way into a cluster.
struct Planned {
    std::shared_ptr<const Manifest> manifest;
    kube::ObjectId id;  ///< with the namespace it gets there
    std::uint64_t digest = 0;
    std::size_t rank = 0;  ///< rank_of(id)

    /// As it will be sent: labelled with its owner (none where its name is empty).
    [[nodiscard]] kube::Object object(const Key& owner) const;
};

/// All of a deployment object's, in the order of application.
struct Plan {
    std::vector<std::shared_ptr<const Planned>> objects;
    Inventory inventory;
    std::map<kube::GroupVersionKind, std::optional<kube::Scope>> scopes;  ///< as it was made with
};

/// What was last applied, so that what is the same needs no request.
struct Remembered {
    std::uint64_t digest = 0;  ///< of the object as Git has it
    std::string resource_version;
    std::uint64_t record = 0;  ///< record_of what the server has
    bool adopted = false;
    bool left = false;     ///< others changed it, and it was left so
    bool expires = false;  ///< it goes by itself
};
using Memory = std::map<kube::ObjectId, Remembered>;

/// The labels by which an object says which Kustomization brought it.
inline constexpr const char* owner_name_label = "kustomize.toolkit.fluxcd.io/name";
inline constexpr const char* owner_namespace_label = "kustomize.toolkit.fluxcd.io/namespace";

/// Annotation on an object that was there before kled: applied, and never pruned.
inline constexpr std::string_view adopted_annotation = "gitops.kled.io/adopted";

/// Used from one loop; the client outlives it. What an API server refuses is the `Change` of that
/// one object; what does not reach the server at all is thrown: Error(unavailable).
class Applier {
public:
    struct Options {
        /// Flux's own name: whoever of the two applies next goes on with the same fields.
        std::string field_manager = "kustomize-controller";
        std::size_t concurrency = 8;  ///< requests under way for one Kustomization
    };
    Applier(kube::Client& client, Options options)
        : client_{client}, options_{std::move(options)} {}

    [[nodiscard]] const std::string& field_manager() const noexcept {
        return options_.field_manager;
    }

    /// With a namespace for each namespaced one, in the order of application. What `before` has of
    /// them already is taken from there, so that a plan costs what changed. Error(invalid): two are
    /// the same object, or one is encrypted.
    boost::asio::awaitable<Plan> plan(const Manifests& manifests, const Plan& before);

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

    /// What is not pruned before somebody says so.
    enum class Confirm {
        marked,  ///< what its own annotation says so of
        all,
        given,  ///< nothing: it was said
    };
    /// Deletes what `gone` names, the other way round, if it still is the owner's and was made by
    /// kled; the rest is `kept`, or `waiting`.
    boost::asio::awaitable<std::vector<Change>> prune(
        const Key& owner, std::vector<std::pair<kube::ObjectId, std::string>> gone, Memory& memory,
        Confirm confirm = Confirm::marked);

    /// Whether it is there and on its way out.
    boost::asio::awaitable<bool> is_going(const kube::ObjectId& id);

    /// What `apply` would do, without doing it, and the two states. What belongs to an owner stays
    /// his.
    struct Preview {
        Change change;
        kube::Object before;
        kube::Object after;
        /// Why it is refused: the server does not know its kind, or not the place it belongs to.
        enum class Missing { nothing, kind, place } missing = Missing::nothing;
    };
    boost::asio::awaitable<Preview> preview(const kube::Object& object);

private:
    struct Batch;
    boost::asio::awaitable<void> work(Batch& batch);
    boost::asio::awaitable<Change> apply_one(const Batch& batch, const Planned& planned);
    boost::asio::awaitable<Change> apply_checked(const Batch& batch, const Planned& planned,
                                                 const kube::Object& object, Remembered* known);
    /// `live` is what is there, if it is.
    boost::asio::awaitable<Change> apply_on(const Batch& batch, const Planned& planned,
                                            const kube::Object& object, Remembered* known,
                                            std::optional<kube::Object> live,
                                            const std::vector<IgnoreRules::Steps>& ignored);
    boost::asio::awaitable<kube::Object> taken_over(kube::Object live);
    /// `object` without what the rules leave to others on `live`.
    [[nodiscard]] kube::Object wanted_on(const Batch& batch, const kube::Object& object,
                                         const kube::Object& live,
                                         const std::vector<IgnoreRules::Steps>& ignored) const;
    boost::asio::awaitable<bool> may_recreate(const Batch& batch, const kube::Object& object);
    [[nodiscard]] Remembered remembered(const Planned& planned, const kube::Object& live,
                                        bool adopted) const;
    boost::asio::awaitable<void> mark_adopted(const kube::Object& live);
    boost::asio::awaitable<Change> recreate(const Batch& batch, const Planned& planned,
                                            const kube::Object& object);
    boost::asio::awaitable<void> list_live(Batch& batch);
    boost::asio::awaitable<bool> list_live(Batch& batch, const kube::GroupVersionKind& gvk,
                                           std::string ns);
    boost::asio::awaitable<void> wait_until_served(const Order& order, const Plan& plan);
    boost::asio::awaitable<Change> prune_one(const Key& owner, const kube::ObjectId& id,
                                             const std::string& version, Confirm confirm);

    boost::asio::awaitable<bool> is_not_served(const std::string& group,
                                               const std::string& version);

    kube::Client& client_;
    Options options_;
};

/// Whether the server refused because a field cannot be changed on an existing object.
[[nodiscard]] bool is_immutable_error(const kube::StatusError& error);

/// Whether the cluster deletes it once it is done: a Job with ttlSecondsAfterFinished.
[[nodiscard]] bool expires(const kube::Object& object);

/// The labels by which an object says which Kustomization brought it.
[[nodiscard]] bool belongs_to(const kube::Object& object, const Key& owner);

}  // namespace kled::gitops
