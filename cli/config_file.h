/// `--config FILE`: every flag of a daemon may stand in a YAML file instead.
#pragma once

namespace CLI {
class App;
}

namespace kled::cli {

/// Adds `--config`. A key is a flag's name; a mapping's keys continue it, so `gitops: {path: apps}`
/// is `--gitops-path apps`; a list repeats the flag. A flag on the command line wins. An unknown
/// key is a usage error that names it.
void add_config_flag(CLI::App& app);

}  // namespace kled::cli
