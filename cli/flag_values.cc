#include "cli/flag_values.h"

#include <map>
#include <utility>

namespace kled::cli {

namespace {

std::map<const CLI::Option*, std::vector<std::string>>& all() {
    static std::map<const CLI::Option*, std::vector<std::string>> values;
    return values;
}

}  // namespace

void complete_flag(const CLI::Option& flag, std::vector<std::string> values) {
    all()[&flag] = std::move(values);
}

const std::vector<std::string>& values_of_flag(const CLI::Option& flag) { return all()[&flag]; }

}  // namespace kled::cli
