/// Whether an object has become what its spec says: the rules of kstatus
/// (kubernetes-sigs/cli-utils, pkg/kstatus/status), pure.
#pragma once

#include "kube/object.h"

#include <string>

namespace kled::gitops {

struct Health {
    enum class State {
        current,      ///< it is what its spec says
        in_progress,  ///< its controller is working on it
        failed,       ///< its controller gave up, or says so
        terminating,
    };
    State state = State::current;
    std::string message;  ///< why not current

    bool operator==(const Health&) const = default;
};

[[nodiscard]] std::string_view to_string(Health::State state) noexcept;

/// Of an object as read from an API server whose controllers run. Any object is accepted.
[[nodiscard]] Health health_of(const kube::Object& object);

}  // namespace kled::gitops
