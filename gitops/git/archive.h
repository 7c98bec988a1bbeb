/// A revision as the archive that Flux's source-controller would make of it.
#pragma once

#include "gitops/git/gzip.h"
#include "gitops/git/tree.h"

#include <cstdint>
#include <stop_token>

namespace kled::gitops::git {

struct ArchiveLimits {
    std::size_t file = 64U << 20U;          ///< give it to the tree, which holds one file at a time
    std::uint64_t total = 1'024ULL << 20U;  ///< of all files, before compression
};

/// `tree` as tar.gz: what its ignore rules leave, folders before what is in them, names in order;
/// owner, times and links left out, modes 0750, 0600 and 0700. The same tree gives the same bytes.
/// Error(exhausted) past the limits; system_error(operation_aborted) once `stop` is requested.
void write_archive(const Tree& tree, const Sink& sink, const std::stop_token& stop,
                   const ArchiveLimits& limits = {});

}  // namespace kled::gitops::git
