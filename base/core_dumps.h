/// Core dumps: an image of memory on disk, with every secret in it.
#pragma once

namespace kled {

/// The kernel writes none of this process, whatever RLIMIT_CORE and core_pattern say, and only root
/// reads its memory or attaches to it (prctl(2), PR_SET_DUMPABLE). A program that is executed from
/// here has a say of its own.
void forbid_core_dumps() noexcept;

/// The same for every program executed from here on, as far as RLIMIT_CORE reaches: for those that
/// are given secrets and bring no setting of their own (ssh).
void forbid_core_dumps_of_children() noexcept;

}  // namespace kled
