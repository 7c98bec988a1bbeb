/// A question to whoever sits at the terminal.
#pragma once

#include <string>

namespace kled::cli {

/// Whether the answer to `question` is "y" or "yes". Error(invalid) where nobody can be asked:
/// `instead` is the flag that answers it.
[[nodiscard]] bool confirmed(const std::string& question, const std::string& instead = "--yes");

}  // namespace kled::cli
