/// `kled gitops approve`.
#pragma once

namespace CLI {
class App;
}

namespace kled::cli {

struct Globals;

void add_gitops_approve(CLI::App& group, Globals& globals);

}  // namespace kled::cli
