#include "base/core_dumps.h"

#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace kled {
namespace {

/// What `check` says in a process of its own: the settings do not come back.
int in_child(int (*check)()) {
    const auto child = ::fork();
    if (child == 0) ::_exit(check());
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(CoreDumps, AProcessThatForbidsThemIsNotDumpable) {
    const auto result = in_child([] {
        const int before = ::prctl(PR_GET_DUMPABLE);
        forbid_core_dumps();
        return before == 1 && ::prctl(PR_GET_DUMPABLE) == 0 ? 0 : 1;
    });
    EXPECT_EQ(result, 0);
}

TEST(CoreDumps, ProgramsExecutedFromHereHaveALimitOfNothing) {
    const auto result = in_child([] {
        forbid_core_dumps_of_children();
        rlimit limit{};
        ::getrlimit(RLIMIT_CORE, &limit);
        return limit.rlim_cur == 0 && limit.rlim_max == 0 ? 0 : 1;
    });
    EXPECT_EQ(result, 0);
}

}  // namespace
}  // namespace kled
