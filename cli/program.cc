#include "cli/program.h"

#include "base/error.h"
#include "cli/command.h"
#include "cli/version.h"

#include <CLI/CLI.hpp>
#include <unistd.h>

#include <cstdlib>
#include <exception>
#include <iostream>
#include <new>

namespace kled::cli {

bool coloured(int fd) noexcept {
    const char* no = std::getenv("NO_COLOR");
    return (no == nullptr || *no == '\0') && ::isatty(fd) == 1;
}

void add_version_flag(CLI::App& app) {
    app.set_version_flag("--version", app.get_name() + " " KLED_VERSION);
}

std::optional<int> parse(CLI::App& app, int argc, char** argv) {
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : exit_status(ErrorKind::invalid);
    }
    return std::nullopt;
}

void flush_output() {
    std::cout.flush();
    if (!std::cout)
        throw Error{ErrorKind::exhausted, "standard output cannot be written: is the disk full?"};
}

int run_program(const char* name, const std::function<int()>& main) noexcept {
    try {
        const int status = main();
        flush_output();
        return status;
    } catch (const Exit& exit) {
        return exit.status;
    } catch (const Error& error) {
        std::cerr << (coloured(STDERR_FILENO) ? "\033[31merror:\033[0m " : "error: ")
                  << error.what() << '\n';
        return exit_status(error.kind());
    } catch (const std::bad_alloc&) {
        std::cerr << "error: there is not enough memory\n";
        return exit_status(ErrorKind::exhausted);
    } catch (const std::exception& error) {
        std::cerr << "error: " << error.what() << " (a bug in " << name << ")\n";
        return exit_status(ErrorKind::internal);
    }
}

}  // namespace kled::cli
