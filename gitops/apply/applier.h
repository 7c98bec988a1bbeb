/// Brings objects into a cluster and takes them out again: server-side apply, only what differs.
#pragma once

#include "gitops/api.h"
#include "gitops/inventory.h"
#include "kube/client.h"

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <map>
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
        kept,    ///< left alone on purpose: `message` says why
        failed,  ///< `message` says why; the others went on
    };
    kube::ObjectId id;
    Action action = Action::unchanged;
    std::string message;
};
[[nodiscard]] std::string_view to_string(Change::Action action) noexcept;

/// What was last applied, so that what is the same needs no request.
struct Remembered {
    std::uint64_t digest = 0;  ///< of the object as Git has it
    std::string resource_version;
    bool adopted = false;
};
using Memory = std::map<kube::ObjectId, Remembered>;

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

    /// The objects as they will be sent: labelled with their owner (none where its name is empty),
    /// a namespace on each namespaced one, in the order of application. Error(invalid): two are the
    /// same object, or one is encrypted.
    boost::asio::awaitable<std::vector<kube::Object>> prepare(
        const Key& owner, std::vector<kube::LoadedObject> objects);

    struct Order {
        Key owner;
        bool force = false;        ///< recreate where a field cannot be changed
        bool compare = true;       ///< also look for drift in what Git did not change
        Duration timeout{60'000};  ///< for what a stage must wait for
    };
    /// Applies stage by stage. One that fails does not hold back the others of its stage; the next
    /// stage begins when none of `definitions` failed. `objects` as `prepare` made them.
    boost::asio::awaitable<std::vector<Change>> apply(const Order& order,
                                                      const std::vector<kube::Object>& objects,
                                                      Memory& memory);

    /// Deletes what `gone` names, the other way round, if it still is the owner's and was made by
    /// kled; the rest is `kept`.
    boost::asio::awaitable<std::vector<Change>> prune(
        const Key& owner, std::vector<std::pair<kube::ObjectId, std::string>> gone, Memory& memory);

    /// Whether it is there and on its way out.
    boost::asio::awaitable<bool> is_going(const kube::ObjectId& id);

    /// What `apply` would do, without doing it, and the two states. What belongs to an owner stays
    /// his.
    struct Preview {
        Change change;
        kube::Object before;
        kube::Object after;
    };
    boost::asio::awaitable<Preview> preview(const kube::Object& object);

private:
    struct Batch;
    boost::asio::awaitable<void> work(Batch& batch);
    boost::asio::awaitable<Change> apply_one(const Batch& batch, const kube::Object& object);
    boost::asio::awaitable<Change> apply_checked(const Batch& batch, const kube::Object& object,
                                                 Remembered* known);
    boost::asio::awaitable<kube::Object> taken_over(kube::Object live);
    boost::asio::awaitable<void> mark_adopted(const kube::Object& live);
    boost::asio::awaitable<Change> recreate(const Batch& batch, const kube::Object& object);
    boost::asio::awaitable<void> list_live(Batch& batch);
    boost::asio::awaitable<bool> list_live(Batch& batch, const kube::GroupVersionKind& gvk,
                                           std::string ns);
    boost::asio::awaitable<void> wait_until_served(const Order& order,
                                                   const std::vector<kube::Object>& objects);
    boost::asio::awaitable<Change> prune_one(const Key& owner, const kube::ObjectId& id,
                                             const std::string& version);

    kube::Client& client_;
    Options options_;
};

/// Whether the server refused because a field cannot be changed on an existing object.
[[nodiscard]] bool is_immutable_error(const kube::StatusError& error);

/// The labels by which an object says which Kustomization brought it.
[[nodiscard]] bool belongs_to(const kube::Object& object, const Key& owner);

}  // namespace kled::gitops
