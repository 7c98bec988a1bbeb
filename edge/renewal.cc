#include "edge/renewal.h"

#include <algorithm>

namespace kled::edge {

namespace {

// Parts of a certificate's life. The last attempt of the first kind still comes before two thirds.
constexpr double earliest = 0.5;
constexpr double latest = 0.65;
constexpr double first_pause = 0.001;
constexpr double longest_pause = 0.02;

constexpr std::chrono::duration<double> shortest{1};
constexpr std::chrono::duration<double> minute = std::chrono::minutes{1};
constexpr std::chrono::duration<double> quarter_of_a_day = std::chrono::hours{6};

}  // namespace

Renewal::Renewal(Life life, std::uint32_t seed) : life_{life}, random_{seed} {
    first_ = life_.not_before +
             std::chrono::duration_cast<WallTime::duration>(length() * between(earliest, latest));
}

double Renewal::between(double low, double high) {
    return std::uniform_real_distribution<double>{low, high}(random_);
}

void Renewal::hub_time(WallTime hub, SteadyTime now) {
    ahead_ = std::chrono::duration_cast<std::chrono::nanoseconds>(hub.time_since_epoch()) -
             now.time_since_epoch();
    clock_known_ = true;
    if (pause_ == Seconds{0}) plan(now);
}

void Renewal::plan(SteadyTime now) {
    const auto at = SteadyTime{
        std::chrono::duration_cast<SteadyTime::duration>(first_.time_since_epoch() - ahead_)};
    due_ = std::max(now, at);
}

void Renewal::asked(SteadyTime now) {
    const auto least = std::clamp<Seconds>(length() * first_pause, shortest, minute);
    const auto most = std::clamp<Seconds>(length() * longest_pause, shortest, quarter_of_a_day);
    pause_ = pause_ == Seconds{0} ? least : std::min(pause_ * 2, most);
    due_ = now + std::chrono::duration_cast<SteadyTime::duration>(pause_ * between(0.5, 1));
}

void Renewal::renewed(Life life, SteadyTime now) {
    life_ = life;
    first_ = life_.not_before +
             std::chrono::duration_cast<WallTime::duration>(length() * between(earliest, latest));
    pause_ = Seconds{0};
    if (clock_known_) plan(now);
}

}  // namespace kled::edge
