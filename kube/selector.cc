#include "kube/selector.h"

#include "base/error.h"
#include "kube/names.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>

namespace kled::kube {

namespace {

std::optional<std::int64_t> to_integer(std::string_view text) {
    if (text.starts_with('+')) text.remove_prefix(1);
    std::int64_t number = 0;
    const auto* end = text.data() + text.size();
    const auto [stop, failure] = std::from_chars(text.data(), end, number);
    if (text.empty() || failure != std::errc{} || stop != end) return std::nullopt;
    return number;
}

[[noreturn]] void refuse(const std::string& what) {
    throw Error{ErrorKind::invalid, "label selector: " + what};
}

void check_key(std::string_view key) {
    if (const auto wrong = check_qualified_name(key); !wrong.empty()) {
        refuse("key \"" + std::string{key} + "\": " + wrong.front());
    }
}

void check_value(std::string_view key, std::string_view value) {
    if (const auto wrong = check_label_value(value); !wrong.empty()) {
        refuse("value \"" + std::string{value} + "\" of \"" + std::string{key} +
               "\": " + wrong.front());
    }
}

/// The tokens of a selector text: words and the signs = == != ! ( ) , < >.
class Scanner {
public:
    explicit Scanner(std::string_view text) : text_{text} { advance(); }

    [[nodiscard]] std::string_view token() const noexcept { return token_; }
    [[nodiscard]] bool at_end() const noexcept { return token_.empty(); }
    [[nodiscard]] bool at_word() const noexcept { return !at_end() && !is_sign(token_.front()); }

    bool take(std::string_view token) {
        if (token_ != token) return false;
        advance();
        return true;
    }
    std::string_view take_word(std::string_view expected) {
        if (!at_word()) fail(expected);
        const auto word = token_;
        advance();
        return word;
    }
    [[noreturn]] void fail(std::string_view expected) const {
        const auto found = at_end() ? std::string{"the end"} : "'" + std::string{token_} + "'";
        refuse("position " + std::to_string(start_ + 1) + ": found " + found + ", expected " +
               std::string{expected});
    }

private:
    static constexpr bool is_space(char c) noexcept {
        return c == ' ' || c == '\t' || c == '\r' || c == '\n';
    }
    static constexpr bool is_sign(char c) noexcept {
        return std::string_view{"=!(),<>"}.find(c) != std::string_view::npos;
    }
    void advance() {
        while (at_ < text_.size() && is_space(text_[at_])) ++at_;
        start_ = at_;
        if (at_ < text_.size() && is_sign(text_[at_])) {
            const char sign = text_[at_++];
            if ((sign == '=' || sign == '!') && at_ < text_.size() && text_[at_] == '=') ++at_;
        } else {
            while (at_ < text_.size() && !is_space(text_[at_]) && !is_sign(text_[at_])) ++at_;
        }
        token_ = text_.substr(start_, at_ - start_);
    }

    std::string_view text_;
    std::string_view token_;
    std::size_t start_ = 0;
    std::size_t at_ = 0;
};

/// "(a,b)"; an empty place is the empty value.
std::vector<std::string> take_values(Scanner& scanner) {
    if (!scanner.take("(")) scanner.fail("'('");
    std::vector<std::string> values;
    for (;;) {
        values.emplace_back(scanner.at_word() ? scanner.take_word("a value") : std::string_view{});
        if (scanner.take(")")) return values;
        if (!scanner.take(",")) scanner.fail("',' or ')'");
    }
}

void sort_and_unite(std::vector<std::string>& values) {
    std::ranges::sort(values);
    const auto repeated = std::ranges::unique(values);
    values.erase(repeated.begin(), repeated.end());
}

}  // namespace

LabelSelector LabelSelector::parse(std::string_view text) {
    LabelSelector selector;
    Scanner scanner{text};
    if (scanner.at_end()) return selector;
    do {
        const bool absent = scanner.take("!");
        Requirement requirement{.key = std::string{scanner.take_word("a key or '!'")},
                                .op = absent ? Operator::absent : Operator::exists,
                                .values = {}};
        check_key(requirement.key);
        const auto one_value = [&](Operator op) {
            requirement.op = op;
            requirement.values.emplace_back(scanner.at_word() ? scanner.take_word("a value")
                                                              : std::string_view{});
        };
        if (!absent && !scanner.at_end() && scanner.token() != ",") {
            if (scanner.take("=") || scanner.take("==")) {
                one_value(Operator::in);
            } else if (scanner.take("!=")) {
                one_value(Operator::not_in);
            } else if (scanner.take(">")) {
                one_value(Operator::greater);
            } else if (scanner.take("<")) {
                one_value(Operator::less);
            } else if (scanner.take("in")) {
                requirement.op = Operator::in;
                requirement.values = take_values(scanner);
            } else if (scanner.take("notin")) {
                requirement.op = Operator::not_in;
                requirement.values = take_values(scanner);
            } else {
                scanner.fail("one of in, notin, =, ==, !=, <, > or ','");
            }
        }
        selector.add(std::move(requirement));
    } while (scanner.take(","));
    if (!scanner.at_end()) scanner.fail("',' or the end");
    return selector;
}

void LabelSelector::add(Requirement requirement) {
    for (const auto& value : requirement.values) check_value(requirement.key, value);
    if (requirement.op == Operator::greater || requirement.op == Operator::less) {
        if (!to_integer(requirement.values.front())) {
            refuse("\"" + requirement.key + "\" is compared with \"" + requirement.values.front() +
                   "\", which is not an integer");
        }
    }
    sort_and_unite(requirement.values);
    const auto place =
        std::ranges::upper_bound(requirements_, requirement.key, {}, &Requirement::key);
    requirements_.insert(place, std::move(requirement));
}

LabelSelector LabelSelector::from_object(const json::object& value) {
    LabelSelector selector;
    for (const auto& [name, field] : value) {
        if (name != "matchLabels" && name != "matchExpressions") {
            refuse("unknown field \"" + std::string{name} + "\"");
        }
        if (field.is_null()) continue;
        if (name == "matchLabels") {
            const auto* labels = field.if_object();
            if (labels == nullptr) refuse("matchLabels is not a mapping");
            for (const auto& [key, wanted] : *labels) {
                if (!wanted.is_string())
                    refuse("matchLabels: \"" + std::string{key} + "\" is not a string");
                check_key(key);
                selector.add({std::string{key}, Operator::in, {std::string{wanted.get_string()}}});
            }
            continue;
        }
        const auto* expressions = field.if_array();
        if (expressions == nullptr) refuse("matchExpressions is not a list");
        for (const auto& expression : *expressions) {
            if (!expression.is_object()) refuse("an element of matchExpressions is not a mapping");
            selector.add(requirement(expression.get_object()));
        }
    }
    return selector;
}

LabelSelector::Requirement LabelSelector::requirement(const json::object& expression) {
    Requirement requirement{
        .key = std::string{find_string(expression, {"key"})}, .op = {}, .values = {}};
    check_key(requirement.key);
    const auto op = find_string(expression, {"operator"});
    if (const auto* values = find(expression, {"values"});
        values != nullptr && !values->is_null()) {
        const auto* list = values->if_array();
        if (list == nullptr || !std::ranges::all_of(*list, &json::value::is_string)) {
            refuse("the values of \"" + requirement.key + "\" are not a list of strings");
        }
        for (const auto& value : *list) requirement.values.emplace_back(value.get_string());
    }
    if (op == "In" || op == "NotIn") {
        requirement.op = op == "In" ? Operator::in : Operator::not_in;
        if (requirement.values.empty())
            refuse(std::string{op} + " of \"" + requirement.key + "\" needs values");
    } else if (op == "Exists" || op == "DoesNotExist") {
        requirement.op = op == "Exists" ? Operator::exists : Operator::absent;
        if (!requirement.values.empty())
            refuse(std::string{op} + " of \"" + requirement.key + "\" takes no values");
    } else {
        refuse("\"" + std::string{op} +
               "\" is not a valid label selector operator: one of In, NotIn, Exists, DoesNotExist");
    }
    return requirement;
}

bool LabelSelector::matches(const Object& object) const {
    return std::ranges::all_of(requirements_, [&](const Requirement& requirement) {
        const auto* label = find(object.fields(), {"metadata", "labels", requirement.key});
        const auto* text = label == nullptr ? nullptr : label->if_string();
        const auto is_wanted = [&] {
            return std::ranges::binary_search(requirement.values, std::string_view{*text});
        };
        switch (requirement.op) {
            case Operator::in: return text != nullptr && is_wanted();
            case Operator::not_in: return text == nullptr || !is_wanted();
            case Operator::exists: return text != nullptr;
            case Operator::absent: return text == nullptr;
            case Operator::greater:
            case Operator::less: break;
        }
        if (text == nullptr) return false;
        const auto number = to_integer(*text);
        const auto bound = to_integer(requirement.values.front());
        return number &&
               (requirement.op == Operator::greater ? *number > *bound : *number < *bound);
    });
}

std::string LabelSelector::to_string() const {
    std::string text;
    for (const auto& [key, op, values] : requirements_) {
        if (!text.empty()) text += ',';
        if (op == Operator::absent) text += '!';
        text += key;
        const bool single = values.size() == 1;
        switch (op) {
            case Operator::exists:
            case Operator::absent: continue;
            case Operator::in: text += single ? "=" : " in ("; break;
            case Operator::not_in: text += single ? "!=" : " notin ("; break;
            case Operator::greater: text += '>'; break;
            case Operator::less: text += '<'; break;
        }
        for (const auto& value : values) {
            if (&value != &values.front()) text += ',';
            text += value;
        }
        if (!single) text += ')';
    }
    return text;
}

std::vector<FieldRequirement> parse_field_selector(std::string_view text) {
    std::vector<FieldRequirement> requirements;
    const auto fail = [&text](const std::string& what) {
        throw Error{ErrorKind::invalid, "field selector \"" + std::string{text} + "\": " + what};
    };
    for (std::size_t at = 0; at < text.size(); ++at) {  // `at` ends on the comma
        FieldRequirement requirement;
        bool has_operator = false;
        for (; at < text.size() && text[at] != ','; ++at) {
            const char c = text[at];
            if (!has_operator && (c == '=' || (c == '!' && text.substr(at).starts_with("!=")))) {
                has_operator = true;
                requirement.equal = c == '=';
                if (text.substr(at + 1).starts_with('=')) ++at;
            } else if (!has_operator) {
                requirement.path += c;
            } else if (c == '=') {
                fail("'=' in a value must be written \\=");
            } else if (c == '\\') {
                const auto escaped = text.substr(at + 1, 1);
                if (escaped != "\\" && escaped != "," && escaped != "=") {
                    fail("only \\\\, \\, and \\= are escapes");
                }
                requirement.value += escaped;
                ++at;
            } else {
                requirement.value += c;
            }
        }
        if (requirement.path.empty() && !has_operator) continue;
        if (!has_operator) fail("\"" + requirement.path + "\" has no =, == or !=");
        if (requirement.path.empty()) fail("a field path is missing");
        requirements.push_back(std::move(requirement));
    }
    return requirements;
}

}  // namespace kled::kube
