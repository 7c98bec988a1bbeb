#include "cli/stop_signals.h"

#include <csignal>

namespace kled::cli {

namespace {

void mask(int how) noexcept {
    sigset_t both;
    ::sigemptyset(&both);
    ::sigaddset(&both, SIGINT);
    ::sigaddset(&both, SIGTERM);
    ::pthread_sigmask(how, &both, nullptr);
}

}  // namespace

HeldSignals::HeldSignals() noexcept { hold(); }
void HeldSignals::release() noexcept { mask(SIG_UNBLOCK); }
void HeldSignals::hold() noexcept { mask(SIG_BLOCK); }

}  // namespace kled::cli
