/// What every program does around what it is for.
#pragma once

#include <functional>
#include <optional>

namespace CLI {
class App;
}

namespace kled::cli {

/// `--version`: "kled 1.2.3".
void add_version_flag(CLI::App& app);

/// nullopt: go on. Else the status to exit with: it printed what was asked for, or what is wrong.
[[nodiscard]] std::optional<int> parse(CLI::App& app, int argc, char** argv);

/// Error(exhausted) where what was printed went nowhere.
void flush_output();

/// The status to exit with, for a command that people type: says what `main` throws, and that what
/// it printed went nowhere.
[[nodiscard]] int run_program(const char* name, const std::function<int()>& main) noexcept;

}  // namespace kled::cli
