#include "kube/quantity.h"

#include "base/error.h"

#include <algorithm>
#include <array>
#include <limits>

namespace kled::kube {

namespace {

__extension__ using Integer = __int128;

constexpr Integer power(Integer base, int exponent) {
    Integer result = 1;
    while (exponent-- > 0) result *= base;
    return result;
}

constexpr Integer one = 1'000'000'000;    // nano units
constexpr Integer limit = power(10, 38);  // 10²⁹ in nano units
constexpr Integer max_binary = Integer{std::numeric_limits<std::int64_t>::max()} * one;

struct Suffix {
    std::string_view text;
    int exponent;  ///< of 10, or of 2
};
constexpr std::array<Suffix, 10> decimal_suffixes{{{"n", -9},
                                                   {"u", -6},
                                                   {"m", -3},
                                                   {"", 0},
                                                   {"k", 3},
                                                   {"M", 6},
                                                   {"G", 9},
                                                   {"T", 12},
                                                   {"P", 15},
                                                   {"E", 18}}};
constexpr std::array<Suffix, 6> binary_suffixes{
    {{"Ki", 10}, {"Mi", 20}, {"Gi", 30}, {"Ti", 40}, {"Pi", 50}, {"Ei", 60}}};

[[noreturn]] void refuse(std::string_view text) {
    throw Error{
        ErrorKind::invalid,
        "\"" + std::string{text.substr(0, 64)} +
            "\" is not a quantity: a number with one of the suffixes n u m k M G T P E, Ki Mi "
            "Gi Ti Pi Ei, or an exponent like e3"};
}

[[noreturn]] void refuse_large(std::string_view text) {
    throw Error{ErrorKind::exhausted,
                "quantity " + std::string{text.substr(0, 64)} + " is too large"};
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// `e3`, `E-3`: held to what a number of at most 38 digits can bear.
int parse_exponent(std::string_view text, std::string_view suffix) {
    if (suffix.size() < 2 || (suffix.front() != 'e' && suffix.front() != 'E')) refuse(text);
    auto digits = suffix.substr(1);
    const bool negative = digits.starts_with('-');
    if (negative || digits.starts_with('+')) digits.remove_prefix(1);
    if (digits.empty() || !std::ranges::all_of(digits, is_digit)) refuse(text);
    int exponent = 0;
    for (const char digit : digits) exponent = std::min(exponent * 10 + (digit - '0'), 1000);
    return negative ? -exponent : exponent;
}

std::string to_text(Integer number) {
    if (number == 0) return "0";
    std::string text;
    const bool negative = number < 0;
    for (; number != 0; number /= 10) {
        const auto digit = static_cast<int>(number % 10);
        text += static_cast<char>('0' + (digit < 0 ? -digit : digit));
    }
    if (negative) text += '-';
    std::ranges::reverse(text);
    return text;
}

}  // namespace

Quantity Quantity::parse(std::string_view text) {
    auto rest = text;
    const bool negative = rest.starts_with('-');
    if (negative || rest.starts_with('+')) rest.remove_prefix(1);

    Integer number = 0;  // times 10^exponent
    int exponent = 0;
    bool any = false;
    bool fraction = false;
    for (; !rest.empty(); rest.remove_prefix(1)) {
        if (rest.front() == '.' && !fraction) {
            fraction = true;
            continue;
        }
        if (!is_digit(rest.front())) break;
        if (number >= limit / 10) refuse_large(text);
        number = number * 10 + (rest.front() - '0');
        any = true;
        if (fraction) --exponent;
    }
    if (!any) refuse(text);

    Quantity result;
    int doublings = 0;
    const auto* binary = std::ranges::find(binary_suffixes, rest, &Suffix::text);
    const auto* decimal = std::ranges::find(decimal_suffixes, rest, &Suffix::text);
    if (binary != binary_suffixes.end()) {
        result.format_ = Format::binary;
        doublings = binary->exponent;
    } else if (decimal != decimal_suffixes.end()) {
        exponent += decimal->exponent;
    } else {
        result.format_ = Format::exponent;
        exponent += parse_exponent(text, rest);
    }

    exponent += 9;  // from here on in nano units
    Integer divisor = 1;
    if (exponent < 0) divisor = power(10, std::min(-exponent, 38));
    auto whole = number / divisor;
    auto part = number % divisor;
    constexpr auto too_large = limit + 1;
    for (; exponent > 0 && whole != 0 && whole != too_large; --exponent) {
        whole = whole > limit / 10 ? too_large : whole * 10;
    }
    for (; doublings > 0 && whole != too_large; --doublings) {
        part *= 2;
        whole = whole > limit / 2 ? too_large : whole * 2 + (part >= divisor ? 1 : 0);
        if (part >= divisor) part -= divisor;
    }
    if (part != 0) ++whole;
    if (result.format_ == Format::binary) {
        whole = std::min(whole, max_binary);
        if (whole > 0 && whole < one) result.format_ = Format::decimal;
    } else if (whole > limit) {
        refuse_large(text);
    }
    result.nano_ = negative ? -whole : whole;
    return result;
}

std::int64_t Quantity::rounded_up(Integer unit) const noexcept {
    auto number = nano_ / unit;
    if (nano_ % unit != 0) number += nano_ > 0 ? 1 : -1;
    constexpr Integer top = std::numeric_limits<std::int64_t>::max();
    return static_cast<std::int64_t>(std::clamp(number, -top, top));
}

std::int64_t Quantity::value() const noexcept { return rounded_up(one); }
std::int64_t Quantity::milli_value() const noexcept { return rounded_up(one / 1000); }

double Quantity::to_double() const noexcept { return static_cast<double>(nano_) / 1e9; }

std::string Quantity::to_string() const {
    if (nano_ == 0) return "0";
    const auto size = nano_ < 0 ? -nano_ : nano_;
    if (format_ == Format::binary && size >= 1024 * one && size % one == 0) {
        auto number = nano_ / one;
        std::string_view suffix;
        for (const auto& next : binary_suffixes) {
            if (number % 1024 != 0) break;
            number /= 1024;
            suffix = next.text;
        }
        return to_text(number).append(suffix);
    }
    auto number = nano_;
    int exponent = -9;
    const int last = format_ == Format::exponent ? 30 : decimal_suffixes.back().exponent;
    for (; exponent < last && number % 1000 == 0; exponent += 3) number /= 1000;
    auto text = to_text(number);
    if (format_ == Format::exponent)
        return exponent == 0 ? text : text + "e" + std::to_string(exponent);
    const auto* suffix = std::ranges::find(decimal_suffixes, exponent, &Suffix::exponent);
    return text.append(suffix->text);
}

void Quantity::add(Integer nano, Format format) {
    if (nano_ == 0) format_ = format;
    const auto sum = nano_ + nano;  // each is at most 10³⁸, half of what fits
    if (sum > limit || sum < -limit)
        throw Error{ErrorKind::exhausted, "a sum of quantities is too large"};
    nano_ = sum;
}

Quantity& Quantity::operator+=(const Quantity& other) {
    add(other.nano_, other.format_);
    return *this;
}

Quantity& Quantity::operator-=(const Quantity& other) {
    add(-other.nano_, other.format_);
    return *this;
}

}  // namespace kled::kube
