#include "base/secret.h"

#include <cstring>
#include <utility>

namespace kled {

// A moved-from std::string may keep a short text in its own buffer, so both sides are wiped.

Secret::Secret(std::string&& text) : text_{std::move(text)} { wipe(text); }

Secret::Secret(Secret&& other) noexcept : text_{std::move(other.text_)} { wipe(other.text_); }

Secret& Secret::operator=(Secret&& other) noexcept {
    if (this != &other) {
        wipe(text_);
        text_ = std::move(other.text_);
        wipe(other.text_);
    }
    return *this;
}

Secret::~Secret() { wipe(text_); }

Secret Secret::clone() const { return Secret{std::string{text_}}; }

void wipe(std::string& text) noexcept {
    text.resize(text.capacity());
    ::explicit_bzero(text.data(), text.size());
    text.clear();
}

bool equal_constant_time(std::string_view a, std::string_view b) noexcept {
    if (a.size() != b.size()) return false;
    volatile unsigned char difference = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        difference = static_cast<unsigned char>(
            difference | (static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i])));
    }
    return difference == 0;
}

}  // namespace kled
