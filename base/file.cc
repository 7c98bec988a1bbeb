#include "base/file.h"

#include "base/error.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <utility>

namespace kled {

namespace fs = std::filesystem;

namespace {

FileDescriptor open_retrying(const fs::path& path, int flags) {
    int fd = -1;
    do fd = ::open(path.c_str(), flags | O_CLOEXEC);
    while (fd < 0 && errno == EINTR);
    return FileDescriptor{fd};
}

std::string read_all(const FileDescriptor& file, const fs::path& path, std::size_t limit_bytes) {
    struct stat info{};
    if (::fstat(file.get(), &info) < 0) throw from_errno(errno, path.string());
    const auto too_large = [&] {
        return Error{ErrorKind::exhausted, path.string() + ": larger than the limit of " +
                                               std::to_string(limit_bytes) + " bytes"};
    };
    if (S_ISREG(info.st_mode) && static_cast<std::uintmax_t>(info.st_size) > limit_bytes)
        throw too_large();
    // One byte more than expected, so that the end shows without growing.
    std::string content(S_ISREG(info.st_mode) ? static_cast<std::size_t>(info.st_size) + 1 : 4096,
                        '\0');
    std::size_t size = 0;
    for (;;) {
        if (size == content.size()) content.resize(content.size() * 2);
        const auto n = ::read(file.get(), content.data() + size, content.size() - size);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) throw from_errno(errno, path.string());
        if (n == 0) break;
        size += static_cast<std::size_t>(n);
        if (size > limit_bytes) throw too_large();
    }
    content.resize(size);
    return content;
}

void write_all(const FileDescriptor& file, std::string_view content, const std::string& name) {
    while (!content.empty()) {
        const auto n = ::write(file.get(), content.data(), content.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) throw from_errno(errno, name);
        content.remove_prefix(static_cast<std::size_t>(n));
    }
}

}  // namespace

std::string read_file(const fs::path& path, std::size_t limit_bytes) {
    const auto file = open_retrying(path, O_RDONLY);
    if (!file) throw from_errno(errno, path.string());
    return read_all(file, path, limit_bytes);
}

std::optional<std::string> read_file_if_exists(const fs::path& path, std::size_t limit_bytes) {
    const auto file = open_retrying(path, O_RDONLY);
    if (!file && errno == ENOENT) return std::nullopt;
    if (!file) throw from_errno(errno, path.string());
    return read_all(file, path, limit_bytes);
}

Secret read_private_file(const fs::path& path) {
    const auto file = open_retrying(path, O_RDONLY);
    if (!file) throw from_errno(errno, path.string());
    struct stat info{};
    if (::fstat(file.get(), &info) < 0) throw from_errno(errno, path.string());
    if ((info.st_mode & 077U) != 0) {
        throw Error{ErrorKind::denied, path.string() +
                                           ": others than its owner have access; chmod 600 it, and "
                                           "replace what it holds if they may have read it"};
    }
    return Secret{read_all(file, path, 1U << 20U)};
}

void write_file_atomic(const fs::path& path, std::string_view content, unsigned mode) {
    const auto folder = path.has_parent_path() ? path.parent_path() : fs::path{"."};
    std::string temporary = folder / ("." + path.filename().string() + ".XXXXXX");
    const FileDescriptor file{
        ::mkostemp(temporary.data(), O_CLOEXEC)};  // 0600 until it is complete
    if (!file) throw from_errno(errno, path.string());
    try {
        write_all(file, content, path.string());
        if (::fchmod(file.get(), mode) < 0 || ::fsync(file.get()) < 0 ||
            ::rename(temporary.c_str(), path.c_str()) < 0)
            throw from_errno(errno, path.string());
    } catch (...) {
        ::unlink(temporary.c_str());
        throw;
    }
    sync_directory(folder);
}

void sync_directory(const fs::path& directory) {
    const auto handle = open_retrying(directory, O_RDONLY | O_DIRECTORY);
    if (!handle || ::fsync(handle.get()) < 0) throw from_errno(errno, directory.string());
}

void make_directories(const fs::path& path, unsigned mode) {
    fs::path so_far;
    for (const auto& part : path) {
        so_far /= part;
        if (part.empty() || ::mkdir(so_far.c_str(), mode) == 0) continue;
        const int reason = errno;
        std::error_code ignored;
        if (fs::is_directory(so_far, ignored)) continue;
        throw from_errno(reason == EEXIST ? ENOTDIR : reason, so_far.string());
    }
}

fs::path default_state_directory() {
    // An XDG path that is not absolute is to be ignored (XDG Base Directory Specification 0.8).
    if (const char* xdg = std::getenv("XDG_STATE_HOME"); xdg != nullptr && xdg[0] == '/')
        return fs::path{xdg} / "kled";
    if (::geteuid() == 0) return "/var/lib/kled";
    if (const char* home = std::getenv("HOME"); home != nullptr && home[0] == '/')
        return fs::path{home} / ".local/state/kled";
    throw Error{ErrorKind::invalid,
                "no place for kled's state: set HOME or XDG_STATE_HOME to an absolute path"};
}

TemporaryDirectory::TemporaryDirectory(std::string_view prefix) {
    std::string name = fs::temp_directory_path() / (std::string{prefix} + ".XXXXXX");
    if (::mkdtemp(name.data()) == nullptr) throw from_errno(errno, name);
    path_ = name;
}

TemporaryDirectory::~TemporaryDirectory() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
}

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
    if (this != &other) {
        if (fd_ >= 0) ::close(fd_);
        fd_ = other.release();
    }
    return *this;
}

FileDescriptor::~FileDescriptor() {
    if (fd_ >= 0) ::close(fd_);
}

int FileDescriptor::release() noexcept { return std::exchange(fd_, -1); }

}  // namespace kled
