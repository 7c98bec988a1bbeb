#include "tests/fuzz/target.h"

#include <cstdio>
#include <cstdlib>

namespace kled::fuzz {

namespace {
std::size_t count = 0;
}  // namespace

void accepted() noexcept {
    if (count++ == 0) {
        std::atexit([] { std::fprintf(stderr, "accepted: %zu inputs\n", count); });
    }
}

std::size_t accepted_count() noexcept { return count; }

void broken(std::string_view promise, std::string_view detail) {
    std::fprintf(stderr, "BROKEN: %.*s\n%.*s\n", static_cast<int>(promise.size()), promise.data(),
                 static_cast<int>(detail.size()), detail.data());
    std::abort();
}

}  // namespace kled::fuzz
