/// Archives for tests, with whatever a header can say.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kled::testing {

struct TarEntry {
    std::string name;
    std::string content{};
    char type = '0';
    unsigned mode = 0644;
};

inline std::string tar_octal(std::size_t digits, std::uint64_t value) {
    std::string text(digits, '0');
    for (auto i = digits; i-- > 0; value >>= 3U) text[i] = static_cast<char>('0' + (value & 7U));
    return text;
}

/// ustar; names of at most 100 bytes. Without `end` the blocks of zeros are left out.
inline std::string tar(const std::vector<TarEntry>& entries, bool end = true) {
    std::string all;
    for (const auto& entry : entries) {
        std::string h(512, '\0');
        h.replace(0, entry.name.size(), entry.name);
        h.replace(100, 7, tar_octal(7, entry.mode));
        h.replace(124, 11, tar_octal(11, entry.content.size()));
        h.replace(148, 8, "        ");
        h[156] = entry.type;
        h.replace(257, 8, std::string_view{"ustar\00000", 8});
        unsigned sum = 0;
        for (const char c : h) sum += static_cast<unsigned char>(c);
        h.replace(148, 7, tar_octal(6, sum) + '\0');
        all += h + entry.content + std::string((512 - entry.content.size() % 512) % 512, '\0');
    }
    return end ? all + std::string(1'024, '\0') : all;
}

}  // namespace kled::testing
