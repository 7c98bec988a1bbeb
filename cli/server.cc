#include "base/file.h"
#include "cli/command.h"

#include <CLI/CLI.hpp>

#include <iostream>
#include <memory>

namespace kled::cli {

void add_server(CLI::App& app, Globals& globals) {
    auto* server = app.add_subcommand("server", "The kledd of this machine");
    server->require_subcommand(1);

    auto* run =
        server->add_subcommand("run",
                               "Run kledd in the foreground\n\nExamples:\n"
                               "  kled server run                        API, GitOps and edge hub\n"
                               "  kled server run --roles api            the embedded API alone\n"
                               "  kled server run --api-port 7443        any flag of kledd");
    auto roles = std::make_shared<std::string>("api,gitops,edge");
    run->add_option("--roles", *roles, "Which parts, separated by commas")->capture_default_str();
    run->allow_extras();
    run->fallthrough(false);  // what follows is kledd's
    run->callback([&globals, roles, run] { exec_kledd(*roles, globals, run->remaining()); });

    auto* kubeconfig = server->add_subcommand(
        "kubeconfig",
        "Print the administrator's kubeconfig of the embedded API\n\nExample:\n"
        "  kubectl --kubeconfig <(kled server kubeconfig) get nodes");
    kubeconfig->callback(
        [&globals] { std::cout << read_file(globals.state / "api" / "admin.kubeconfig"); });
}

}  // namespace kled::cli
