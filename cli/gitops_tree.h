/// `kled gitops tree`.
#pragma once

namespace CLI {
class App;
}

namespace kled::cli {

struct Globals;

void add_gitops_tree(CLI::App& group, Globals& globals);

}  // namespace kled::cli
