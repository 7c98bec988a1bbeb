/// What became of one object that was to be applied or pruned.
#pragma once

#include "kube/object.h"

#include <string>
#include <string_view>

namespace kled::gitops {

struct Change {
    enum class Action {
        unchanged,
        created,
        configured,
        recreated,  ///< deleted and made anew: a field that cannot change, and `force`
        pruned,
        kept,     ///< left alone on purpose: `message` says why
        waiting,  ///< would be pruned, and waits until somebody says so: `uid` is whose end it is
        drifted,  ///< others changed what Git says, and it is left so: Applier::Order::drift
        failed,   ///< `message` says why; the others went on
    };
    kube::ObjectId id;
    Action action = Action::unchanged;
    std::string message{};
    std::string uid{};
    bool by_others = false;  ///< they had changed it, Git had not: `message` says who
};
[[nodiscard]] std::string_view to_string(Change::Action action) noexcept;

/// Why an object is `kept` that has one of Flux's switches (annotations.h).
inline constexpr const char* as_it_says = "its labels or annotations say so";

[[nodiscard]] Change changed(const kube::ObjectId& id, Change::Action action);
[[nodiscard]] Change kept(const kube::ObjectId& id, std::string why);
[[nodiscard]] Change failed(const kube::ObjectId& id, std::string why);

}  // namespace kled::gitops
