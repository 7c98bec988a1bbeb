#include "gitops/transform/envsubst.h"

#include "base/error.h"
#include "gitops/objects/glob.h"
#include "gitops/transform/letter_case.h"
#include "kube/unicode.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <memory>
#include <ranges>
#include <set>
#include <string_view>
#include <variant>
#include <vector>

namespace kled::gitops {

namespace {

void encode(std::string& out, std::uint32_t point) {
    const auto put = [&](std::uint32_t byte) { out += static_cast<char>(byte); };
    if (point < 0x80) {
        put(point);
    } else if (point < 0x800) {
        put(0xC0U | point >> 6U);
        put(0x80U | (point & 0x3FU));
    } else if (point < 0x10000) {
        put(0xE0U | point >> 12U);
        put(0x80U | (point >> 6U & 0x3FU));
        put(0x80U | (point & 0x3FU));
    } else {
        put(0xF0U | point >> 18U);
        put(0x80U | (point >> 12U & 0x3FU));
        put(0x80U | (point >> 6U & 0x3FU));
        put(0x80U | (point & 0x3FU));
    }
}

bool is_name_part(std::uint32_t point) {
    if (point < 0x80) {
        return (point >= 'a' && point <= 'z') || (point >= 'A' && point <= 'Z') ||
               (point >= '0' && point <= '9') || point == '_';
    }
    return kube::is_unicode_letter(point) || kube::is_unicode_digit(point);
}

// ---- the functions ------------------------------------------------------------------------------

/// Work left; every loop over a pattern pays.
class Budget {
public:
    explicit Budget(const EnvsubstLimits& limits) : steps_{limits.steps}, bytes_{limits.bytes} {}

    void spend(std::size_t steps) {
        if (steps > steps_) throw Error{ErrorKind::exhausted, "substitution takes too long"};
        steps_ -= steps;
    }
    void check(std::size_t bytes) const {
        if (bytes > bytes_) {
            throw Error{ErrorKind::exhausted,
                        "substitution gives more than " + std::to_string(bytes_) + " bytes"};
        }
    }

private:
    std::size_t steps_;
    std::size_t bytes_;
};

/// What is left of `text` without its shortest or longest non-empty beginning that matches.
std::string trim(const std::string& text, const std::string& pattern, bool longest,
                 Budget& budget) {
    const auto spend = [&](std::size_t steps) { budget.spend(steps); };
    const Glob matcher{pattern, spend};
    std::size_t cut = 0;
    for (std::size_t length = text.size(); length > 0; --length) {
        const auto match = matcher.matches(std::string_view{text}.substr(0, length));
        if (!match) return text;
        if (!*match) continue;
        cut = length;
        if (longest) break;
    }
    return text.substr(cut);
}

std::string reversed(std::string_view text) {
    std::vector<std::uint32_t> points;
    while (!text.empty()) {
        const auto rune = Rune::first_of(text);
        points.push_back(rune.point);
        text.remove_prefix(rune.width);
    }
    std::string result;
    for (const auto point : std::views::reverse(points)) encode(result, point);
    return result;
}

std::string change_case(std::string_view text, bool upper) {
    std::string result;
    while (!text.empty()) {
        const auto rune = Rune::first_of(text);
        encode(result, with_case(rune.point, upper));
        text.remove_prefix(rune.width);
    }
    return result;
}

std::string change_first(std::string_view text, bool upper) {
    const auto rune = Rune::first_of(text);
    return change_case(text.substr(0, rune.width), upper) + std::string{text.substr(rune.width)};
}

/// strconv.Atoi.
std::optional<std::int64_t> number(std::string_view text) {
    if (text.starts_with('+') && !text.substr(1).starts_with('-')) text.remove_prefix(1);
    std::int64_t value = 0;
    const auto* end = text.data() + text.size();
    const auto [stop, failure] = std::from_chars(text.data(), end, value);
    if (failure != std::errc{} || stop != end) return std::nullopt;
    return value;
}

std::string substring(const std::string& text, const std::vector<std::string>& arguments) {
    const auto size = static_cast<std::int64_t>(text.size());
    auto position = number(arguments[0]);
    if (!position) return text;
    if (*position < 0) position = *position < -size ? 0 : size + *position;
    const auto from = std::min(*position, size);
    if (arguments.size() == 1) return text.substr(static_cast<std::size_t>(from));
    const auto length = number(arguments[1]);
    if (!length) return text;
    // A negative length counts from the end.
    auto to = size;
    if (*length < 0) {
        if (*length < -size || size + *length < *position) return {};
        to = size + *length;
    } else if (*length < size - from) {
        to = from + *length;
    }
    return text.substr(static_cast<std::size_t>(from), static_cast<std::size_t>(to - from));
}

/// strings.Replace: an empty `from` stands before each code point and at the end.
std::string replace(const std::string& text, const std::string& from, const std::string& to,
                    bool all, Budget& budget) {
    std::string result;
    std::size_t at = 0;
    for (bool go_on = true; go_on; go_on = all) {
        if (from.empty()) {
            result += to;
            if (at == text.size()) break;
            const auto width = all ? Rune::first_of(std::string_view{text}.substr(at)).width : 0;
            result.append(text, at, width);
            at += width;
        } else {
            const auto found = text.find(from, at);
            if (found == std::string::npos) break;
            result.append(text, at, found - at).append(to);
            at = found + from.size();
        }
        budget.check(result.size());
    }
    return result.append(text, at, std::string::npos);
}

/// Operators that give a word where the variable is empty, so it need not be set.
bool gives_default(std::string_view name) {
    return name == "=" || name == ":=" || name == ":-" || name == ":?" || name == ":+";
}

std::string apply(std::string_view name, std::string value,
                  const std::vector<std::string>& arguments, Budget& budget) {
    budget.spend(value.size());
    if (name == "^" || name == ",") return change_first(value, name == "^");
    if (name == "^^" || name == ",,") return change_case(value, name == "^^");
    if (name == "#" && arguments.empty()) return std::to_string(value.size());
    if (name == "#" || name == "##") return trim(value, arguments[0], name == "##", budget);
    if (name == "%" || name == "%%") {
        return reversed(trim(reversed(value), reversed(arguments[0]), name == "%%", budget));
    }
    if (name == ":") return substring(value, arguments);
    if (name == "/" || name == "//") {
        return replace(value, arguments[0], arguments.size() > 1 ? arguments[1] : "", name == "//",
                       budget);
    }
    if (name == "/#" || name == "/%") {
        if (arguments.size() != 2) return value;
        if (name == "/#") {
            return value.starts_with(arguments[0])
                       ? replace(value, arguments[0], arguments[1], false, budget)
                       : value;
        }
        if (!value.ends_with(arguments[0])) return value;
        value.resize(value.size() - arguments[0].size());
        return value + arguments[1];
    }
    if (!value.empty()) return value;
    for (const auto& argument : arguments) value += argument;
    return value;
}

// ---- the text -----------------------------------------------------------------------------------

struct Call;
using Node = std::variant<std::string, std::unique_ptr<Call>>;
struct Call {
    std::string variable;
    std::string name;  ///< of the function; empty: just the value
    std::vector<Node> arguments;
    std::size_t offset = 0;
};

class Parser {
public:
    Parser(std::string_view text, const EnvsubstLimits& limits) : text_{text}, limits_{limits} {}

    std::vector<Node> parse() {
        std::vector<Node> nodes;
        // Go's scanner takes a NUL for the end.
        while (peek() != 0) {
            if (at_call()) {
                nodes.emplace_back(call(1));
            } else {
                auto literal = word([](std::uint32_t) { return true; }, "$");
                nodes.emplace_back(std::move(literal));
            }
        }
        return nodes;
    }

private:
    [[nodiscard]] Error bad(const std::string& what) const { return error_at(at_, what); }
    [[nodiscard]] Error error_at(std::size_t offset, const std::string& what) const {
        const auto line = 1 + std::ranges::count(text_.substr(0, offset), '\n');
        return {ErrorKind::invalid, "line " + std::to_string(line) + ": " + what};
    }

    [[nodiscard]] std::uint32_t peek() const { return Rune::first_of(text_.substr(at_)).point; }
    [[nodiscard]] bool at_call() const { return text_.substr(at_).starts_with("${"); }
    [[nodiscard]] bool take(char c) {
        if (!text_.substr(at_).starts_with(c)) return false;
        ++at_;
        return true;
    }

    /// Code points that `accept`, up to a `${`. `escapes`: '$' makes `$$` a '$', '/' makes `\/` and
    /// `\\` their second.
    template <typename Accept>
    std::string word(Accept accept, std::string_view escapes = {}) {
        std::string result;
        while (!at_call()) {
            const auto rest = text_.substr(at_);
            const auto rune = Rune::first_of(rest);
            if (rune.point == 0) break;
            const bool dollar = rest.starts_with("$$") && escapes.find('$') != escapes.npos;
            const bool slash = (rest.starts_with("\\/") || rest.starts_with("\\\\")) &&
                               escapes.find('/') != escapes.npos;
            if (dollar || slash) {
                result += rest[1];
                at_ += 2;
            } else if (accept(rune.point)) {
                result.append(rest.substr(0, rune.width));
                at_ += rune.width;
            } else {
                break;
            }
        }
        return result;
    }

    std::string name() { return word(is_name_part); }

    /// One of the operators, the longest first.
    std::string one_of(std::initializer_list<std::string_view> operators) {
        for (const auto candidate : operators) {
            if (!text_.substr(at_).starts_with(candidate)) continue;
            at_ += candidate.size();
            return std::string{candidate};
        }
        throw bad("bad substitution");
    }

    void close() {
        if (!take('}')) throw bad("bad substitution: '}' is missing");
    }

    template <typename Accept>
    Node argument(std::size_t depth, Accept accept, std::string_view escapes = {}) {
        if (at_call()) return call(depth + 1);
        auto result = word(accept, escapes);
        if (result.empty()) throw bad("bad substitution: an argument is missing");
        return result;
    }

    std::unique_ptr<Call> call(std::size_t depth) {
        if (depth > limits_.depth)
            throw Error{ErrorKind::exhausted, "substitutions are nested too deep"};
        auto result = std::make_unique<Call>();
        result->offset = at_;
        at_ += 2;
        const auto not_closing = [](std::uint32_t c) { return c != '}'; };
        if (take('#')) {
            result->name = "#";
            result->variable = name();
            if (result->variable.empty()) throw bad("bad substitution");
            close();
            return result;
        }
        result->variable = name();
        if (result->variable.empty()) throw bad("bad substitution: no variable name behind '${'");
        auto& arguments = result->arguments;
        const auto rest = text_.substr(at_);
        switch (rest.empty() ? '\0' : rest.front()) {
            case ':':
                if (rest.size() > 1 && std::string_view{"=-?+"}.find(rest[1]) != rest.npos) {
                    defaults(*result, depth);
                    break;
                }
                result->name = one_of({":"});
                // Flux's scanner trips over one; the offset could not be a number anyway.
                if (peek() >= 0x80) throw bad("bad substitution: the offset is no number");
                arguments.push_back(
                    argument(depth, [](std::uint32_t c) { return c != ':' && c != '}'; }));
                if (take(':')) {
                    while (take(':')) {
                    }
                    arguments.push_back(argument(depth, not_closing));
                }
                break;
            case '=': defaults(*result, depth); break;
            case ',': result->name = one_of({",,", ",^", ","}); break;
            case '^': result->name = one_of({"^^", "^,", "^"}); break;
            case '#':
                result->name = one_of({"##", "#"});
                arguments.push_back(argument(depth, not_closing));
                break;
            case '%':
                result->name = one_of({"%%", "%"});
                arguments.push_back(argument(depth, not_closing));
                break;
            case '/':
                result->name = one_of({"//", "/#", "/%", "/"});
                arguments.push_back(
                    argument(depth, [](std::uint32_t c) { return c != '/'; }, "$/"));
                if (!take('/')) throw bad("bad substitution: '/' is missing");
                while (take('/')) {
                }
                if (peek() != '}') arguments.push_back(argument(depth, not_closing, "$/"));
                break;
            default: break;
        }
        close();
        return result;
    }

    /// Up to the '}': words and further calls, joined later.
    void defaults(Call& result, std::size_t depth) {
        result.name = one_of({":=", ":-", ":?", ":+", "="});
        while (peek() != '}') {
            result.arguments.push_back(argument(depth, [](std::uint32_t c) { return c != '}'; }));
        }
    }

    std::string_view text_;
    const EnvsubstLimits& limits_;
    std::size_t at_ = 0;
};

class Evaluation {
public:
    Evaluation(std::string_view text, const Lookup& lookup, const EnvsubstLimits& limits)
        : text_{text}, lookup_{lookup}, budget_{limits} {}

    std::string run(const std::vector<Node>& nodes) {
        std::string result;
        for (const auto& node : nodes) {
            result += value_of(node);
            budget_.check(result.size());
        }
        if (!unset_.empty()) throw not_set();
        return result;
    }

private:
    /// All of them: whoever sets one should not find the next only then.
    [[nodiscard]] Error not_set() const {
        constexpr std::size_t shown = 20;
        std::string message;
        for (std::size_t i = 0; i < std::min(unset_.size(), shown); ++i) {
            const auto& call = *unset_[i];
            const auto line = 1 + std::ranges::count(text_.substr(0, call.offset), '\n');
            message += (i == 0 ? "line " : "; line ") + std::to_string(line) +
                       ": variable not set (strict mode): \"" + call.variable + "\"";
        }
        if (unset_.size() > shown)
            message += "; and " + std::to_string(unset_.size() - shown) + " more";
        return {ErrorKind::invalid, message};
    }

    std::string value_of(const Node& node) {
        if (const auto* literal = std::get_if<std::string>(&node)) return *literal;
        const auto& call = *std::get<std::unique_ptr<Call>>(node);
        std::vector<std::string> arguments;
        for (const auto& argument : call.arguments) arguments.push_back(value_of(argument));
        auto value = lookup_(call.variable);
        if (!value && !gives_default(call.name) && named_.insert(call.variable).second)
            unset_.push_back(&call);
        auto result = apply(call.name, std::move(value).value_or(""), arguments, budget_);
        budget_.check(result.size());
        return result;
    }

    std::string_view text_;
    const Lookup& lookup_;
    Budget budget_;
    std::vector<const Call*> unset_;
    std::set<std::string_view> named_;  // of these, which live as long as the nodes
};

}  // namespace

std::string envsubst(std::string_view text, const Lookup& lookup, const EnvsubstLimits& limits) {
    const auto nodes = Parser{text, limits}.parse();
    return Evaluation{text, lookup, limits}.run(nodes);
}

}  // namespace kled::gitops
