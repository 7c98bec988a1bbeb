/// `kled gitops rollback`.
#pragma once

namespace CLI {
class App;
}

namespace kled::cli {

struct Globals;

void add_gitops_rollback(CLI::App& group, Globals& globals);

}  // namespace kled::cli
