#include "cli/version.h"

#include "cli/command.h"

#include <CLI/CLI.hpp>

#include <iostream>

namespace kled::cli {

void add_version(CLI::App& app, Globals& globals) {
    auto* version =
        app.add_subcommand("version", "The version of kled, and where it looks for kledd");
    version->callback([&globals] {
        std::cout << "kled " << KLED_VERSION << "\nstate: " << globals.state.string()
                  << (std::filesystem::exists(globals.socket()) ? " (kledd is running there)" : "")
                  << '\n';
    });
}

}  // namespace kled::cli
