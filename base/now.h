/// What time it is: for what carries decisions out. What decides is told it as a value.
#pragma once

#include "base/clock.h"

namespace kled {

inline SteadyTime steady_now() { return std::chrono::steady_clock::now(); }
inline WallTime wall_now() { return std::chrono::system_clock::now(); }

}  // namespace kled
