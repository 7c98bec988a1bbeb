/// `kled gitops promote`, and how a Pipeline is shown.
#pragma once

#include "cli/output.h"
#include "kube/object.h"

namespace CLI {
class App;
}

namespace kled::cli {

struct Globals;

/// Its stages, one a row.
[[nodiscard]] Table stages_of(const kube::Object& pipeline);

void add_gitops_promote(CLI::App& group, Globals& globals);

}  // namespace kled::cli
