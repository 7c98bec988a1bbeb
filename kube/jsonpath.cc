#include "kube/jsonpath.h"

#include "base/error.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <limits>
#include <optional>

namespace kled::kube {

namespace {
enum class Comparison : std::uint8_t {
    exists,
    equal,
    not_equal,
    less,
    less_or_equal,
    greater,
    greater_or_equal
};
using Steps = std::vector<std::shared_ptr<const JsonPath::Step>>;
}  // namespace

struct JsonPath::Step {
    enum class Kind : std::uint8_t { field, slice, wildcard, recursive, filter, alternatives };
    explicit Step(Kind of = Kind::field, std::string named = {})
        : kind{of}, name{std::move(named)} {}

    Kind kind;
    std::string name;
    std::optional<std::int64_t> from;  ///< of a slice; an index is the slice that takes one
    std::optional<std::int64_t> to;
    std::int64_t stride = 1;
    bool index = false;
    Steps left;  ///< of a filter: paths from "@", or a literal when there are none
    json::value left_literal;
    bool left_is_path = false;
    Comparison comparison = Comparison::exists;
    Steps right;
    json::value right_literal;
    bool right_is_path = false;
    Steps alternatives;  ///< ['a','b'] and [0,2]
};

namespace {

using Step = JsonPath::Step;
using Values = std::vector<const json::value*>;

constexpr int most_nested = 32;

class Parser {
public:
    explicit Parser(std::string_view text) : text_{text} {}

    Steps parse() {
        const bool braces = take('{');
        auto steps = path(0);
        if (braces && !take('}')) refuse("expected }");
        if (at_ != text_.size()) refuse("unexpected text");
        return steps;
    }

private:
    [[noreturn]] void refuse(const std::string& what) const {
        throw Error{ErrorKind::invalid,
                    "JSONPath " + std::string{text_} + ": " + what + " at " + std::to_string(at_)};
    }
    [[nodiscard]] bool more() const noexcept { return at_ < text_.size(); }
    [[nodiscard]] char peek() const noexcept { return more() ? text_[at_] : '\0'; }
    bool take(char wanted) noexcept {
        if (peek() != wanted) return false;
        ++at_;
        return true;
    }
    bool take(std::string_view wanted) noexcept {
        if (text_.substr(at_, wanted.size()) != wanted) return false;
        at_ += wanted.size();
        return true;
    }
    void skip_blanks() noexcept {
        while (peek() == ' ' || peek() == '\t') ++at_;
    }

    /// Up to the first character that no path has.
    Steps path(int depth) {
        if (depth > most_nested) refuse("nested too deep");
        Steps steps;
        if (take('$') && !more()) return steps;
        if (more() && (std::isalpha(static_cast<unsigned char>(peek())) != 0))
            steps.push_back(field());
        while (more()) {
            if (take("..")) {
                steps.push_back(std::make_shared<Step>(Step::Kind::recursive));
                if (peek() != '[') steps.push_back(field());
            } else if (take('.')) {
                if (!more() || peek() == '}') break;  // "." alone is the value itself
                if (peek() != '[') steps.push_back(field());
            } else if (peek() == '[') {
                steps.push_back(bracket(depth));
            } else {
                break;
            }
        }
        return steps;
    }

    std::shared_ptr<const Step> field() {
        if (take('*')) return std::make_shared<Step>(Step::Kind::wildcard);
        Step step;
        while (more() && std::string_view{".[]{}()=<>! ,"}.find(peek()) == std::string_view::npos) {
            if (peek() == '\\' && at_ + 1 < text_.size()) ++at_;
            step.name += text_[at_++];
        }
        if (step.name.empty()) refuse("expected a field");
        return std::make_shared<Step>(std::move(step));
    }

    std::shared_ptr<const Step> bracket(int depth) {
        take('[');
        skip_blanks();
        if (take("?(")) return filter(depth);
        Step alternatives{Step::Kind::alternatives};
        do {
            skip_blanks();
            alternatives.alternatives.push_back(one_of_bracket());
            skip_blanks();
        } while (take(','));
        if (!take(']')) refuse("expected ]");
        if (alternatives.alternatives.size() == 1) return alternatives.alternatives[0];
        return std::make_shared<Step>(std::move(alternatives));
    }

    std::shared_ptr<const Step> one_of_bracket() {
        if (take('*')) return std::make_shared<Step>(Step::Kind::wildcard);
        if (peek() == '\'' || peek() == '"')
            return std::make_shared<Step>(Step::Kind::field, quoted());
        Step step{Step::Kind::slice};
        step.from = integer();
        if (take(':')) {
            step.to = integer();
            if (take(':')) {
                step.stride = integer().value_or(1);
                if (step.stride < 1) refuse("a step must be positive");
            }
        } else {
            if (!step.from) refuse("expected an index, a slice, a name or *");
            step.index = true;
        }
        return std::make_shared<Step>(std::move(step));
    }

    std::optional<std::int64_t> integer() {
        std::int64_t number = 0;
        const auto* const begin = text_.data() + at_;
        const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), number);
        if (error == std::errc::invalid_argument) return std::nullopt;
        if (error != std::errc{}) refuse("a number out of range");
        at_ += static_cast<std::size_t>(end - begin);
        return number;
    }

    std::string quoted() {
        const char quote = text_[at_++];
        std::string text;
        while (more() && peek() != quote) {
            if (peek() == '\\' && at_ + 1 < text_.size()) ++at_;
            text += text_[at_++];
        }
        if (!take(quote)) refuse("a quote is missing");
        return text;
    }

    std::shared_ptr<const Step> filter(int depth) {
        Step step{Step::Kind::filter};
        operand(step.left, step.left_literal, step.left_is_path, depth);
        skip_blanks();
        struct Sign {
            std::string_view text;
            Comparison comparison;
        };
        for (const auto& sign :
             {Sign{"==", Comparison::equal}, Sign{"!=", Comparison::not_equal},
              Sign{"<=", Comparison::less_or_equal}, Sign{">=", Comparison::greater_or_equal},
              Sign{"<", Comparison::less}, Sign{">", Comparison::greater}}) {
            if (!take(sign.text)) continue;
            step.comparison = sign.comparison;
            operand(step.right, step.right_literal, step.right_is_path, depth);
            break;
        }
        skip_blanks();
        if (!take(")]")) refuse("expected )]");
        return std::make_shared<Step>(std::move(step));
    }

    void operand(Steps& steps, json::value& literal, bool& is_path, int depth) {
        skip_blanks();
        if (take('@')) {
            is_path = true;
            steps = path(depth + 1);
        } else if (peek() == '\'' || peek() == '"') {
            literal = quoted();
        } else {
            const auto end = std::min(text_.find_first_of(" )=<>!", at_), text_.size());
            const auto word = text_.substr(at_, end - at_);
            try {
                literal = parse_json(word);
            } catch (const Error&) {
                refuse("expected @, a text or a number");
            }
            at_ = end;
        }
    }

    std::string_view text_;
    std::size_t at_ = 0;
};

Values walk(const Steps& steps, Values values);

void all_below(const json::value& value, Values& into) {
    into.push_back(&value);
    if (const auto* const object = value.if_object()) {
        for (const auto& member : *object) all_below(member.value(), into);
    } else if (const auto* const array = value.if_array()) {
        for (const auto& element : *array) all_below(element, into);
    }
}

/// nullopt: the two cannot be compared.
std::optional<std::partial_ordering> order(const json::value& a, const json::value& b) {
    if (a.is_string() && b.is_string())
        return std::string_view{a.get_string()} <=> std::string_view{b.get_string()};
    if (a.is_bool() && b.is_bool()) return a.get_bool() <=> b.get_bool();
    if (a.is_number() && b.is_number()) return a.to_number<double>() <=> b.to_number<double>();
    return std::nullopt;
}

bool accepts(const Step& filter, const json::value& value) {
    const auto side = [&](const Steps& steps, const json::value& literal,
                          bool is_path) -> const json::value* {
        if (!is_path) return &literal;
        const auto found = walk(steps, {&value});
        return found.empty() ? nullptr : found.front();
    };
    const auto* const left = side(filter.left, filter.left_literal, filter.left_is_path);
    if (left == nullptr) return false;
    if (filter.comparison == Comparison::exists) return true;
    const auto* const right = side(filter.right, filter.right_literal, filter.right_is_path);
    if (right == nullptr) return false;
    const auto ordering = order(*left, *right);
    if (!ordering) return false;
    switch (filter.comparison) {
        case Comparison::equal: return *ordering == 0;
        case Comparison::not_equal: return *ordering != 0;
        case Comparison::less: return *ordering < 0;
        case Comparison::less_or_equal: return *ordering <= 0;
        case Comparison::greater: return *ordering > 0;
        case Comparison::greater_or_equal: return *ordering >= 0;
        case Comparison::exists: break;
    }
    return true;
}

void take_slice(const Step& step, const json::array& array, Values& into) {
    const auto size = static_cast<std::int64_t>(array.size());
    const auto place = [&](std::int64_t at) { return at < 0 ? at + size : at; };
    auto from = place(step.from.value_or(0));
    auto to = step.index ? from + 1 : place(step.to.value_or(size));
    if (step.index && (from < 0 || from >= size)) return;
    from = std::max<std::int64_t>(from, 0);
    to = std::min(to, size);
    for (auto i = from; i < to; i += std::min(step.stride, size))
        into.push_back(&array[static_cast<std::size_t>(i)]);
}

/// `self` is the value that is this object, this array, or neither; null for a root that is no
/// value.
void apply(const Step& step, const json::value* self, const json::object* object,
           const json::array* array, Values& into) {
    switch (step.kind) {
        case Step::Kind::field:
            if (object != nullptr) {
                if (const auto* const member = object->if_contains(step.name))
                    into.push_back(member);
            }
            return;
        case Step::Kind::slice:
            if (array != nullptr) take_slice(step, *array, into);
            return;
        case Step::Kind::wildcard:
            if (object != nullptr) {
                for (const auto& member : *object) into.push_back(&member.value());
            } else if (array != nullptr) {
                for (const auto& element : *array) into.push_back(&element);
            }
            return;
        case Step::Kind::recursive:
            if (self != nullptr) return all_below(*self, into);
            for (const auto& member : *object) all_below(member.value(), into);
            return;
        case Step::Kind::filter:
            if (array == nullptr) return;
            for (const auto& element : *array) {
                if (accepts(step, element)) into.push_back(&element);
            }
            return;
        case Step::Kind::alternatives:
            for (const auto& alternative : step.alternatives)
                apply(*alternative, self, object, array, into);
            return;
    }
}

Values walk(const Steps& steps, Values values) {
    for (const auto& step : steps) {
        Values next;
        for (const auto* const value : values)
            apply(*step, value, value->if_object(), value->if_array(), next);
        values = std::move(next);
    }
    return values;
}

}  // namespace

JsonPath JsonPath::parse(std::string_view text) {
    JsonPath path;
    path.steps_ = Parser{text}.parse();
    return path;
}

std::vector<const json::value*> JsonPath::find(const json::value& root) const {
    return walk(steps_, {&root});
}

std::vector<const json::value*> JsonPath::find(const json::object& root) const {
    if (steps_.empty()) return {};
    const auto from = [&](std::size_t step) {
        Values first;
        apply(*steps_[step], nullptr, &root, nullptr, first);
        return walk({steps_.begin() + static_cast<std::ptrdiff_t>(step) + 1, steps_.end()},
                    std::move(first));
    };
    auto found = from(0);
    if (steps_[0]->kind == Step::Kind::recursive && steps_.size() > 1) {
        const auto own = from(1);
        found.insert(found.begin(), own.begin(), own.end());
    }
    return found;
}

}  // namespace kled::kube
