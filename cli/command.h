/// What the commands of `kled` share. One file per command group (`cli/build.cc`, `cli/gitops.cc`,
/// …) with a function `add_<group>` that hangs its verbs on the application.
#pragma once

#include "base/error.h"

#include <boost/asio/awaitable.hpp>

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
}

namespace kled::cli {

/// Flags before and after every verb.
struct Globals {
    bool verbose = false;
    std::string kubeconfig;       ///< --kubeconfig; empty: $KUBECONFIG, ~/.kube/config
    std::string context;          ///< --context
    std::filesystem::path state;  ///< --state: where a kledd of this machine keeps its data
    /// Error(invalid) as `socket_in`.
    [[nodiscard]] std::filesystem::path socket() const;
};

/// `<state>/kledd.sock`, absolute. Error(invalid) where the kernel takes no path of this length.
[[nodiscard]] std::filesystem::path socket_in(const std::filesystem::path& state);

/// Exit statuses, the one table (docs/reference/exit-status.md): 0 done; 1 the answer is "no"
/// (`kled diff` found differences, something is not ready); the rest say what stopped the command.
[[nodiscard]] int exit_status(ErrorKind kind) noexcept;

/// Thrown by a command that has said all there is to say.
struct Exit {
    int status;
};

/// Runs a command's coroutine on a loop of its own until it ends; SIGINT and SIGTERM cancel it
/// (then Exit{130}). What it throws is thrown here.
void run(const std::function<boost::asio::awaitable<void>()>& command);

/// `kled X run`: becomes `kledd --roles <role> <arguments…>` from the folder of this program or
/// PATH. Returns only by throwing Error(not_found).
[[noreturn]] void exec_kledd(std::string_view role, const Globals& globals,
                             const std::vector<std::string>& arguments);

/// Whether stdout/stderr may be coloured: a terminal, and NO_COLOR is not set.
[[nodiscard]] bool coloured(int fd) noexcept;

void add_build(CLI::App& app, Globals& globals);
void add_diff(CLI::App& app, Globals& globals);
void add_gitops(CLI::App& app, Globals& globals);
void add_edge(CLI::App& app, Globals& globals);
void add_server(CLI::App& app, Globals& globals);
void add_version(CLI::App& app, Globals& globals);
void add_completion(CLI::App& app, Globals& globals);
/// What may stand as a positional of `verb`; asked when a shell completes it.
void complete_with(CLI::App& verb, std::function<std::vector<std::string>()> values);
/// The verbs, values and flags that may follow `words`, one a line: `kled __complete WORD...` for
/// the shells.
void print_candidates(CLI::App* app, Globals& globals, const std::vector<std::string>& words);

}  // namespace kled::cli
