/// What may stand behind a flag, for shells that complete it.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class Option;
}

namespace kled::cli {

void complete_flag(const CLI::Option& flag, std::vector<std::string> values);
/// Empty: not known.
[[nodiscard]] const std::vector<std::string>& values_of_flag(const CLI::Option& flag);

}  // namespace kled::cli
