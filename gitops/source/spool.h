/// An archive from elsewhere: kept aside until it is known to be what its digest says, then read
/// into a source's mirror.
#pragma once

#include "base/file.h"
#include "gitops/git/imported.h"
#include "gitops/git/untar.h"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <string_view>

namespace kled::gitops {

/// Bytes that nobody may use yet: a file without a name, gone with whoever has it. Blocking, and by
/// one thread at a time.
class Spool {
public:
    explicit Spool(const std::filesystem::path& folder);

    void write(std::string_view bytes);
    /// All of it, from the beginning.
    void read(const std::function<void(std::string_view)>& each);

private:
    FileDescriptor file_;
};

struct UnpackLimits {
    std::uint64_t archive = 256U << 20U;  ///< bytes, as it came
    std::uint64_t tar = 1'280ULL << 20U;  ///< of all files with their headers
    git::UntarLimits files{};
};

struct Unpacked {
    git::Imported::Files files;
    std::optional<git::Oid> archive;  ///< its own bytes, when they are wanted too
    std::string unusable;             ///< then: why there are no files; empty: there are
};

/// The files of a tar.gz, written for a commit to come. Blocking. Error(invalid|exhausted) as of
/// git::GzipReader and git::Untar, unless its own bytes are wanted; system_error(operation_aborted)
/// once `stop` is requested.
[[nodiscard]] Unpacked unpack(Spool& archive, git::Imported imported, bool keep_archive,
                              const UnpackLimits& limits, const std::stop_token& stop);

}  // namespace kled::gitops
