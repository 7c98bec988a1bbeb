/// The files a container finds below $KLED_ROOT.
#pragma once

#include "edge/workload.h"

#include <filesystem>

namespace kled::edge {

/// Makes root, mounts and working directory. What is there from another workload digest is removed
/// first; of the same digest, what the container wrote stays. Secret volumes are put below
/// `secrets` and linked from the root. Blocks; throws Error with the path.
void materialize(const Workload& workload, const Container& container,
                 const std::filesystem::path& secrets);

/// Removes all of it.
void remove_files(const WorkloadId& id, const std::filesystem::path& roots,
                  const std::filesystem::path& secrets) noexcept;

}  // namespace kled::edge
