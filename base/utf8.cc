#include "base/utf8.h"

#include "base/encoding.h"

namespace kled {

std::string to_utf8(std::string_view bytes) {
    if (is_utf8(bytes)) return std::string{bytes};
    std::string out;
    while (!bytes.empty()) {
        std::size_t size = 1;
        while (size <= 4 && size <= bytes.size() && !is_utf8(bytes.substr(0, size))) ++size;
        if (size > 4 || size > bytes.size()) {
            out += "\xEF\xBF\xBD";
            size = 1;
        } else {
            out.append(bytes, 0, size);
        }
        bytes.remove_prefix(size);
    }
    return out;
}

std::string shortened(std::string_view text, std::size_t limit) {
    auto all = to_utf8(text);
    if (all.size() <= limit) return all;
    auto end = limit - 3;
    while (end > 0 && (static_cast<unsigned char>(all[end]) & 0xC0U) == 0x80U) --end;
    all.resize(end);
    return all + "...";
}

}  // namespace kled
