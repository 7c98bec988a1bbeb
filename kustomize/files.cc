#include "kustomize/files.h"

#include "base/error.h"
#include "base/file.h"

#include <algorithm>
#include <filesystem>

namespace kled::kustomize {

namespace fs = std::filesystem;

std::optional<std::string> resolve(std::string_view directory, std::string_view relative) {
    std::vector<std::string_view> parts;
    const auto walk = [&parts](std::string_view path) {
        while (!path.empty()) {
            const auto slash = std::min(path.find('/'), path.size());
            const auto part = path.substr(0, slash);
            path.remove_prefix(std::min(slash + 1, path.size()));
            if (part.empty() || part == ".") continue;
            if (part != "..") {
                parts.push_back(part);
            } else if (parts.empty()) {
                return false;
            } else {
                parts.pop_back();
            }
        }
        return true;
    };
    if (!relative.starts_with('/') && !walk(directory)) return std::nullopt;
    if (!walk(relative)) return std::nullopt;
    std::string joined;
    for (const auto part : parts) {
        if (!joined.empty()) joined += '/';
        joined += part;
    }
    return joined;
}

std::string_view parent_of(std::string_view path) noexcept {
    const auto slash = path.rfind('/');
    return slash == std::string_view::npos ? std::string_view{} : path.substr(0, slash);
}

std::string DiskFiles::path_of(const std::string& user_path) {
    std::error_code error;
    const auto absolute = fs::absolute(user_path.empty() ? "." : user_path, error);
    if (error) throw Error{ErrorKind::not_found, "the current directory is gone"};
    return resolve("", absolute.generic_string()).value_or("");
}

std::optional<Files::Entry> DiskFiles::find(const std::string& path) const {
    std::error_code error;
    const auto real = fs::canonical("/" + path, error);
    if (error) return std::nullopt;
    const auto type = fs::status(real, error).type();
    if (type == fs::file_type::directory) {
        return Entry{.kind = Kind::directory, .path = real.generic_string().substr(1)};
    }
    // Devices and pipes could block a build for ever.
    if (type != fs::file_type::regular) return std::nullopt;
    return Entry{.kind = Kind::file, .path = real.generic_string().substr(1)};
}

std::string DiskFiles::read(const std::string& path) const { return read_file("/" + path, limit_); }

std::vector<std::string> DiskFiles::list(const std::string& directory) const {
    std::vector<std::string> names;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator{"/" + directory, error}) {
        names.push_back(entry.path().filename().string());
    }
    if (error) {
        throw Error{ErrorKind::unavailable, display(directory) + ": " + error.message()};
    }
    std::sort(names.begin(), names.end());
    return names;
}

std::string DiskFiles::display(const std::string& path) const {
    std::error_code error;
    const auto here = fs::current_path(error).generic_string();
    const auto absolute = "/" + path;
    if (!error && absolute == here) return ".";
    if (!error && absolute.starts_with(here + "/")) return absolute.substr(here.size() + 1);
    return absolute;
}

std::optional<Files::Entry> MemoryFiles::find(const std::string& path) const {
    if (files_.contains(path)) return Entry{.kind = Kind::file, .path = path};
    const auto below = path.empty() ? std::string{} : path + "/";
    const auto first = files_.lower_bound(below);
    if (first == files_.end() || !first->first.starts_with(below)) return std::nullopt;
    return Entry{.kind = Kind::directory, .path = path};
}

std::string MemoryFiles::read(const std::string& path) const {
    const auto file = files_.find(path);
    if (file == files_.end()) throw Error{ErrorKind::not_found, path + ": no such file"};
    return file->second;
}

std::vector<std::string> MemoryFiles::list(const std::string& directory) const {
    std::vector<std::string> names;
    const auto below = directory.empty() ? std::string{} : directory + "/";
    for (auto file = files_.lower_bound(below);
         file != files_.end() && file->first.starts_with(below); ++file) {
        auto name = file->first.substr(below.size());
        name.resize(std::min(name.find('/'), name.size()));
        if (names.empty() || names.back() != name) names.push_back(std::move(name));
    }
    // "a-b" sorts before "a/…": a directory's files need not be neighbours.
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    return names;
}

}  // namespace kled::kustomize
