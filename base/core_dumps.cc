#include "base/core_dumps.h"

#include <sys/prctl.h>
#include <sys/resource.h>

namespace kled {

void forbid_core_dumps() noexcept { ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); }

void forbid_core_dumps_of_children() noexcept {
    // The hard limit too: nobody raises it again by accident.
    const rlimit none{.rlim_cur = 0, .rlim_max = 0};
    ::setrlimit(RLIMIT_CORE, &none);
}

}  // namespace kled
