#include "base/retry.h"

#include <algorithm>

namespace kled {

namespace {

/// SplitMix64 (Steele, Lea, Flood 2014): eight bytes of state, any seed.
std::uint64_t next_random(std::uint64_t& state) noexcept {
    auto z = state += 0x9e3779b97f4a7c15U;
    z = (z ^ z >> 30U) * 0xbf58476d1ce4e5b9U;
    z = (z ^ z >> 27U) * 0x94d049bb133111ebU;
    return z ^ z >> 31U;
}

}  // namespace

Duration Backoff::next() noexcept {
    auto bound = std::min(options_.first, options_.limit);
    for (unsigned i = 0; i < failures_ && bound < options_.limit; ++i)
        bound = bound > options_.limit / 2 ? options_.limit : bound * 2;
    ++failures_;
    const auto choices = static_cast<std::uint64_t>(std::max<Duration::rep>(bound.count(), 0)) + 1;
    return Duration{static_cast<Duration::rep>(next_random(state_) % choices)};
}

}  // namespace kled
