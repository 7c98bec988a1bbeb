/// When to try again: exponential backoff with full jitter, as a value.
#pragma once

#include "base/clock.h"

#include <cstdint>

namespace kled {

/// Decides how long to wait and does not wait; the same seed gives the same delays.
///     Backoff backoff{{.first = 1s, .limit = 60s}, seed};
///     … failed: wait for backoff.next(); … worked: backoff.reset();
class Backoff {
public:
    struct Options {
        Duration first{1'000};   ///< upper bound of the first delay
        Duration limit{60'000};  ///< upper bound of all delays
    };

    Backoff(Options options, std::uint64_t seed) noexcept : options_{options}, state_{seed} {}

    /// Uniform between 0 and min(limit, first · 2ⁿ) for the n-th failure in a row: a fleet that
    /// lost its server together does not come back together.
    [[nodiscard]] Duration next() noexcept;
    void reset() noexcept { failures_ = 0; }
    /// Failures since the last reset.
    [[nodiscard]] unsigned failures() const noexcept { return failures_; }

private:
    Options options_;
    std::uint64_t state_;
    unsigned failures_ = 0;
};

}  // namespace kled
