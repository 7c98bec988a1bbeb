/// Text that others made, for those who take nothing but UTF-8.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace kled {

/// `bytes` with U+FFFD for each byte that is no part of UTF-8, as Go's JSON encoder does it.
[[nodiscard]] std::string to_utf8(std::string_view bytes);

/// UTF-8 of at most `limit` (3 or more) bytes, with "..." at its end where more was there.
[[nodiscard]] std::string shortened(std::string_view text, std::size_t limit);

}  // namespace kled
