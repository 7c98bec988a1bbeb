/// "host:port" of flags.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace kled::cli {

struct Address {
    std::string host;  ///< without brackets
    std::uint16_t port = 0;
};
/// "127.0.0.1:8883", "[::1]:8883", "edge.example:8883". Error(invalid) names `flag`.
[[nodiscard]] Address parse_address(std::string_view flag, std::string_view text);

}  // namespace kled::cli
