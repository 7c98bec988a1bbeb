/// Text that must not leak: wiped when it goes, never printed, never logged, not copied by
/// accident.
#pragma once

#include <string>
#include <string_view>

namespace kled {

class Secret {
public:
    Secret() = default;
    /// Takes the bytes over and wipes what was left in `text`.
    explicit Secret(std::string&& text);
    Secret(Secret&& other) noexcept;
    Secret& operator=(Secret&& other) noexcept;
    Secret(const Secret&) = delete;
    Secret& operator=(const Secret&) = delete;
    ~Secret();

    [[nodiscard]] Secret clone() const;
    /// The one way to the bytes; the name makes each use visible in review.
    [[nodiscard]] std::string_view reveal() const noexcept { return text_; }
    [[nodiscard]] bool empty() const noexcept { return text_.empty(); }

private:
    std::string text_;
};

/// Overwrites the whole capacity in a way the compiler keeps.
void wipe(std::string& text) noexcept;

/// Same length and bytes; the time taken does not depend on where they differ.
[[nodiscard]] bool equal_constant_time(std::string_view a, std::string_view b) noexcept;

}  // namespace kled
