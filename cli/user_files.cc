#include "cli/user_files.h"

#include <filesystem>
#include <system_error>

namespace kled::cli {

namespace fs = std::filesystem;

std::string UserFiles::display(const std::string& path) const {
    auto shown = DiskFiles::display(path);
    if (absolute_ || !shown.starts_with('/')) return shown;
    std::error_code error;
    auto way = fs::path{shown}.lexically_relative(fs::current_path(error)).generic_string();
    // What has nothing in common with this place is not told by the way up to the root.
    return error || way.size() >= shown.size() ? shown : way;
}

}  // namespace kled::cli
