/// Amounts as Kubernetes writes them: "100m", "1.5Gi", "2e3" (apimachinery pkg/api/resource).
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace kled::kube {

/// Exact in steps of 10⁻⁹ (finer parts are rounded up, away from zero) up to 10²⁹ and 38 digits;
/// with a binary suffix held below 2⁶³.
class Quantity {
public:
    enum class Format : std::uint8_t { decimal, binary, exponent };  ///< 12M, 12Mi, 12e6

    Quantity() = default;
    /// Error(invalid) for other text, Error(exhausted) for what is too large.
    static Quantity parse(std::string_view text);

    /// The value; rounded up, and held within 64 bits.
    [[nodiscard]] std::int64_t value() const noexcept;
    [[nodiscard]] std::int64_t milli_value() const noexcept;
    [[nodiscard]] double to_double() const noexcept;
    [[nodiscard]] Format format() const noexcept { return format_; }
    /// No fraction, the largest suffix that fits: "1500m", "1536Mi", "1k".
    [[nodiscard]] std::string to_string() const;

    /// Keep the format of the left side, unless that is zero.
    Quantity& operator+=(const Quantity& other);
    Quantity& operator-=(const Quantity& other);

    // By value, whatever the format.
    std::strong_ordering operator<=>(const Quantity& other) const noexcept {
        return nano_ <=> other.nano_;
    }
    bool operator==(const Quantity& other) const noexcept { return nano_ == other.nano_; }

private:
    __extension__ using Integer = __int128;

    void add(Integer nano, Format format);
    [[nodiscard]] std::int64_t rounded_up(Integer unit) const noexcept;

    Integer nano_ = 0;
    Format format_ = Format::decimal;
};

}  // namespace kled::kube
