/// Completion of the names of deployment objects.
#pragma once

#include "cli/command.h"
#include "kube/object.h"

#include <functional>

namespace kled::cli {

/// Has `verb` complete the names of the objects that are `wanted`, of all namespaces.
void complete_with_objects(CLI::App& verb, const Globals& globals,
                           std::function<bool(const kube::Object&)> wanted);

}  // namespace kled::cli
