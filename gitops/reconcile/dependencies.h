/// `spec.dependsOn` as a graph. Pure.
#pragma once

#include "gitops/objects/api.h"
#include "kube/object.h"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace kled::gitops {

/// What `object` waits for: objects of its own kind. Entries that cannot be read are left out; who
/// parses the object names them.
[[nodiscard]] std::vector<Key> dependencies_of(const kube::Object& object);

/// The way from `start` back to itself, for people: "a -> b -> a", names of another namespace than
/// its own as "ns/name"; nullopt: there is none. `next` gives the dependencies of one. Who only
/// leads to a cycle is not in it.
[[nodiscard]] std::optional<std::string> cycle_through(
    const Key& start, const std::function<std::vector<Key>(const Key&)>& next);

}  // namespace kled::gitops
