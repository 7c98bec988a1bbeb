/// How the programs print `--help` and `--help-all`.
#pragma once

namespace CLI {
class App;
}

namespace kled::cli {

/// For `app` and the commands added to it afterwards: what it is, usage, arguments, commands with a
/// line each, and last the examples, which stand in a description after its first "\n\nExample".
/// `--help-all` is the help of every command, one after the other.
void format_help(CLI::App& app);

}  // namespace kled::cli
