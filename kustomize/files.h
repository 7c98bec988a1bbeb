/// The tree a build reads: a disk, a map in memory, a commit of a Git repository.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kled::kustomize {

/// Paths are relative to the tree's root: '/' between parts, no leading '/', no "." or "..", "" for
/// the root itself. A build asks for everything it depends on through this interface, what turned
/// out to be absent too, so an implementation that notes its calls knows what a result hangs on.
/// Used by one build on one thread.
class Files {
public:
    enum class Kind { file, directory };
    struct Entry {
        Kind kind = Kind::file;
        std::string path;  ///< with every symbolic link resolved: equal paths are one file
    };

    virtual ~Files() = default;

    /// nullopt: nothing is there; a link that dangles or leaves the root is nothing.
    [[nodiscard]] virtual std::optional<Entry> find(const std::string& path) const = 0;

    /// The bytes of the file at an `Entry::path`. Error(exhausted) over the implementation's limit,
    /// Error(unavailable|denied) when it cannot be read.
    [[nodiscard]] virtual std::string read(const std::string& path) const = 0;

    /// Names in the directory at an `Entry::path`, sorted bytewise.
    [[nodiscard]] virtual std::vector<std::string> list(const std::string& directory) const = 0;

    /// The path as the user knows it, for messages.
    [[nodiscard]] virtual std::string display(const std::string& path) const { return path; }
};

/// `relative` seen from `directory`, with "." and ".." taken away; nullopt when it leaves the root.
/// A leading '/' means the root.
[[nodiscard]] std::optional<std::string> resolve(std::string_view directory,
                                                 std::string_view relative);

/// The directory part: "a/b" of "a/b/c", "" of "c".
[[nodiscard]] std::string_view parent_of(std::string_view path) noexcept;

/// The machine's file system; paths are absolute ones without their leading '/'.
class DiskFiles : public Files {
public:
    static constexpr std::size_t default_limit_bytes = 64U << 20U;
    explicit DiskFiles(std::size_t file_limit_bytes = default_limit_bytes)
        : limit_{file_limit_bytes} {}

    /// "overlays/dev", relative to the working directory or absolute, as a path of this tree.
    [[nodiscard]] static std::string path_of(const std::string& user_path);

    [[nodiscard]] std::optional<Entry> find(const std::string& path) const override;
    [[nodiscard]] std::string read(const std::string& path) const override;
    [[nodiscard]] std::vector<std::string> list(const std::string& directory) const override;
    /// Relative to the working directory where it lies below it, else absolute.
    [[nodiscard]] std::string display(const std::string& path) const override;

private:
    std::size_t limit_;
};

/// Path → content; directories are implied.
class MemoryFiles : public Files {
public:
    explicit MemoryFiles(std::map<std::string, std::string> files) : files_{std::move(files)} {}

    [[nodiscard]] std::optional<Entry> find(const std::string& path) const override;
    [[nodiscard]] std::string read(const std::string& path) const override;
    [[nodiscard]] std::vector<std::string> list(const std::string& directory) const override;

private:
    std::map<std::string, std::string> files_;
};

}  // namespace kled::kustomize
