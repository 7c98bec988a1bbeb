#include "edge/runtime/materialize.h"

#include "base/error.h"
#include "base/file.h"

#include <string>
#include <system_error>

namespace kled::edge {

namespace fs = std::filesystem;

namespace {

fs::path below(const fs::path& root, std::string_view absolute) {
    return root / fs::path{absolute}.relative_path();
}

/// Untouched where it is there already: a device may start on a full disk.
void write_if_other(const fs::path& path, std::string_view content, unsigned mode) {
    constexpr std::size_t slack = 1;  // enough to see that a file is longer
    try {
        if (read_file_if_exists(path, content.size() + slack) == content) return;
    } catch (const Error&) {
        // longer, or a link to nowhere: replaced
    }
    write_file_atomic(path, content, mode);
}

void write_mount(const fs::path& where, const Mount& mount) {
    make_directories(mount.directory ? where : where.parent_path(), mount.secret ? 0700 : 0755);
    for (const auto& file : mount.files) {
        const auto path = mount.directory ? where / file.name : where;
        make_directories(path.parent_path(), mount.secret ? 0700 : 0755);
        write_if_other(path, file.content, mount.secret ? file.mode & 0700U : file.mode);
    }
}

/// The link may stand from a start before.
void link(const fs::path& target, const fs::path& at) {
    make_directories(at.parent_path());
    std::error_code error;
    fs::remove(at, error);
    fs::create_symlink(target, at, error);
    if (error) throw Error{ErrorKind::unavailable, at.string() + ": " + error.message()};
}

}  // namespace

void materialize(const Workload& workload, const Container& container, const fs::path& secrets) {
    const auto kept = secrets / workload.id.folder() / container.name;
    // Beside the root, where the container does not look.
    auto mark = container.root;
    mark += ".digest";
    if (read_file_if_exists(mark, 1024) != workload.digest) {
        std::error_code ignored;
        fs::remove_all(container.root, ignored);
        fs::remove_all(kept, ignored);
    }
    make_directories(container.root, 0700);
    std::size_t index = 0;
    for (const auto& mount : container.mounts) {
        const auto at = below(container.root, mount.path);
        if (mount.secret) {
            const auto held = kept / std::to_string(index++);
            write_mount(held, mount);
            link(held, at);
        } else {
            write_mount(at, mount);
        }
    }
    if (!container.directory.empty()) make_directories(below(container.root, container.directory));
    write_if_other(mark, workload.digest, 0600);
}

void remove_files(const WorkloadId& id, const fs::path& roots, const fs::path& secrets) noexcept {
    std::error_code ignored;
    fs::remove_all(roots / id.folder(), ignored);
    fs::remove_all(secrets / id.folder(), ignored);
}

}  // namespace kled::edge
