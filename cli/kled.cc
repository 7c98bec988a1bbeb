// kled: the command line. Each command group is a file of its own; this one only joins them.
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "cli/command.h"
#include "cli/help.h"
#include "cli/program.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <string>
#include <vector>

namespace {

using namespace kled;

/// Of a word where a verb belongs, CLI11 would only say that a verb is missing.
void check_verbs(CLI::App* app, const std::vector<std::string>& words) {
    std::string path = "kled";
    for (const auto& word : words) {
        const auto verbs = app->get_subcommands({});
        if (verbs.empty() || word.empty() || word.front() == '-') return;
        const auto verb = std::ranges::find_if(
            verbs, [&](const auto* candidate) { return candidate->check_name(word); });
        if (verb == verbs.end()) {
            throw Error{ErrorKind::invalid,
                        word + ": no such command; " + path + " --help lists them"};
        }
        app = *verb;
        path += " " + word;
    }
}

int main_or_throw(int argc, char** argv) {
    CLI::App app{
        "kled: from a Git repository to workloads in clusters and on edge devices\n\n"
        "Examples:\n"
        "  kled build overlays/dev                 what kustomize build prints\n"
        "  kled gitops get                         what is deployed from Git, and how it is doing\n"
        "  kled edge get                           the devices of the fleet",
        "kled"};
    cli::Globals globals;
    cli::format_help(app);
    globals.state = default_state_directory();
    app.require_subcommand(1);
    app.fallthrough();
    app.set_help_all_flag("--help-all", "Help of every command");
    cli::add_version_flag(app);
    app.add_flag("-v,--verbose", globals.verbose, "Say what is done, to stderr");
    app.add_option("--kubeconfig", globals.kubeconfig, "Kubeconfig file")->envname("KUBECONFIG");
    app.add_option("--context", globals.context, "Context of the kubeconfig");
    app.add_option("--state", globals.state, "Directory of the kledd on this machine")
        ->envname("KLED_STATE")
        ->capture_default_str();
    cli::add_build(app, globals);
    cli::add_diff(app, globals);
    cli::add_edge(app, globals);
    cli::add_gitops(app, globals);
    cli::add_server(app, globals);
    cli::add_version(app, globals);
    cli::add_completion(app, globals);

    app.parse_complete_callback([&] {
        log::configure(globals.verbose ? log::Level::debug : log::Level::warn, log::Format::text);
    });
    const std::string first = argc > 1 ? argv[1] : "";
    if (first == "__complete") {
        cli::print_candidates(&app, globals, {argv + 2, argv + argc});
        return 0;
    }
    check_verbs(&app, {argv + 1, argv + argc});
    return cli::parse(app, argc, argv).value_or(0);
}

}  // namespace

int main(int argc, char** argv) {
    return kled::cli::run_program("kled", [&] { return main_or_throw(argc, argv); });
}
