/// Archives that others made (POSIX pax and ustar, GNU tar), read as Flux's controllers read them
/// (fluxcd/pkg/tar).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>

namespace kled::gitops::git {

struct UntarLimits {
    std::size_t entries = 100'000;
    std::size_t file = 64U << 20U;          ///< bytes of one file, which is held
    std::uint64_t total = 1'024ULL << 20U;  ///< of all files
    std::size_t path = 1'024;               ///< bytes
    std::size_t paths = 16U << 20U;         ///< bytes of all of them
};

/// A tar in pieces of any size. Regular files are handed over whole, with a path that has no empty
/// part, no "." and no ".."; symbolic links are left out (nothing is read through one), and so is
/// whatever is below ".git". Error(invalid) for a path that leads out, a hard link, a device, or
/// what is no tar; Error(exhausted) past a limit, before what passes it is held.
class Untar {
public:
    /// A path may come again: the later counts. None is both a file and a folder.
    using Each = std::function<void(const std::string& path, bool executable, std::string content)>;
    explicit Untar(Each each) : Untar{std::move(each), UntarLimits{}} {}
    Untar(Each each, const UntarLimits& limits) : each_{std::move(each)}, limits_{limits} {}

    void put(std::string_view bytes);
    /// Once, at the end. Error(invalid) when it was cut short.
    void finish() const;

private:
    enum class Kind { file, skipped, pax, long_name };
    void header();
    void entry_ends();
    void begin(Kind kind, std::uint64_t size, std::size_t limit);
    void read_pax();
    /// Checked and cleaned; empty: the root.
    [[nodiscard]] std::string clean(std::string_view path) const;
    void note(const std::string& path, bool folder);

    Each each_;
    UntarLimits limits_;
    std::string block_;       // a header, as far as it came
    std::string content_;     // of what is kept
    std::string path_;        // of the file that is read; empty: it is left out
    std::string given_path_;  // by a header of its own, for the next entry
    std::string given_size_;
    std::map<std::string, bool> seen_;  // whether a folder
    std::size_t path_bytes_ = 0;
    std::size_t entries_ = 0;
    std::uint64_t total_ = 0;
    std::uint64_t left_ = 0;     // of the entry's content
    std::uint64_t padding_ = 0;  // behind it
    Kind kind_ = Kind::skipped;
    bool executable_ = false;
    bool reading_ = false;
    bool ended_ = false;
};

}  // namespace kled::gitops::git
