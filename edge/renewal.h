/// When a device asks for a new certificate in place of its own. It decides by the hub's clock,
/// which each acknowledgement tells: the device's own may be years off.
#pragma once

#include "base/clock.h"

#include <chrono>
#include <cstdint>
#include <random>

namespace kled::edge {

/// The first time between half and two thirds of the certificate's life, so that devices that
/// joined together do not ask together; then, until there is an answer, after pauses that grow.
class Renewal {
public:
    struct Life {
        WallTime not_before;
        WallTime not_after;
    };
    Renewal(Life life, std::uint32_t seed);

    /// What the hub's clock shows now.
    void hub_time(WallTime hub, SteadyTime now);
    /// When to ask; `SteadyTime::max()`: the hub's clock is not known yet.
    [[nodiscard]] SteadyTime due() const noexcept { return due_; }
    /// It was asked: again after a pause.
    void asked(SteadyTime now);
    /// Another certificate is in place.
    void renewed(Life life, SteadyTime now);

    [[nodiscard]] const Life& life() const noexcept { return life_; }

private:
    using Seconds = std::chrono::duration<double>;

    void plan(SteadyTime now);
    [[nodiscard]] Seconds length() const noexcept { return life_.not_after - life_.not_before; }
    [[nodiscard]] double between(double low, double high);

    Life life_;
    std::minstd_rand random_;
    WallTime first_{};                  // by the hub's clock
    std::chrono::nanoseconds ahead_{};  // of the hub's clock, to the steady one's
    bool clock_known_ = false;
    Seconds pause_{};  // before it is asked again; zero: not asked yet
    SteadyTime due_ = SteadyTime::max();
};

}  // namespace kled::edge
