/// The text of JSON pointers (RFC 6901 §3).
#pragma once

#include <string>
#include <string_view>

namespace kled::kube {

/// Adds '/' and `name`, with its '~' and '/' escaped.
inline void append_step(std::string& pointer, std::string_view name) {
    pointer += '/';
    for (const char c : name) {
        if (c == '~') {
            pointer += "~0";
        } else if (c == '/') {
            pointer += "~1";
        } else {
            pointer += c;
        }
    }
}

}  // namespace kled::kube
