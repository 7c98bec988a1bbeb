/// Files that survive a power cut, and reads that have a limit.
#pragma once

#include "base/secret.h"

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace kled {

/// The whole file. Error(not_found) when absent, Error(exhausted) over `limit_bytes`,
/// Error(denied) without permission, Error(unavailable) for an I/O failure.
[[nodiscard]] std::string read_file(const std::filesystem::path& path,
                                    std::size_t limit_bytes = 64U << 20U);
[[nodiscard]] std::optional<std::string> read_file_if_exists(const std::filesystem::path& path,
                                                             std::size_t limit_bytes = 64U << 20U);

/// A key or password, at most 1 MiB. Error(denied) when anyone but its owner may read or write the
/// file; else as read_file.
[[nodiscard]] Secret read_private_file(const std::filesystem::path& path);

/// After it returns the file holds `content`, also after a power cut; at any instant before, the
/// old content or none: temporary file in the same folder (mode from the start), fsync, rename,
/// fsync of the folder. Error(exhausted) on a full disk; the old file is then unchanged.
void write_file_atomic(const std::filesystem::path& path, std::string_view content,
                       unsigned mode = 0644);

/// Makes names in `directory` (a rename, a new file) survive a power cut.
void sync_directory(const std::filesystem::path& directory);

/// mkdir -p with `mode` on what it makes. Error(denied|unavailable).
void make_directories(const std::filesystem::path& path, unsigned mode = 0755);

/// `$XDG_STATE_HOME/kled`, `~/.local/state/kled`, or `/var/lib/kled` for root.
[[nodiscard]] std::filesystem::path default_state_directory();

/// A fresh directory below the system's temporary one, removed with all content at the end.
class TemporaryDirectory {
public:
    explicit TemporaryDirectory(std::string_view prefix = "kled");
    ~TemporaryDirectory();
    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
    [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

private:
    std::filesystem::path path_;
};

/// Closes on destruction; movable.
class FileDescriptor {
public:
    FileDescriptor() noexcept = default;
    explicit FileDescriptor(int fd) noexcept : fd_{fd} {}
    FileDescriptor(FileDescriptor&& other) noexcept : fd_{other.release()} {}
    FileDescriptor& operator=(FileDescriptor&& other) noexcept;
    ~FileDescriptor();
    [[nodiscard]] int get() const noexcept { return fd_; }
    [[nodiscard]] int release() noexcept;
    explicit operator bool() const noexcept { return fd_ >= 0; }

private:
    int fd_ = -1;
};

}  // namespace kled
