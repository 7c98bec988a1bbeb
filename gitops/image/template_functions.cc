#include "gitops/image/template_functions.h"

#include "base/error.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

namespace kled::gitops {

namespace {

using Arguments = std::vector<TemplateValue>;
using Function = TemplateValue (*)(const Arguments&);

constexpr std::string_view white = " \t\r\n\v\f";

Error bad(const std::string& what) { return {ErrorKind::invalid, what}; }

void need(const Arguments& arguments, std::size_t count) {
    if (arguments.size() != count) {
        throw bad("takes " + std::to_string(count) + " arguments, not " +
                  std::to_string(arguments.size()));
    }
}

std::string text(const TemplateValue& value) {
    if (const auto* string = value.get_if<std::string>()) return *string;
    throw bad("'" + value.text() + "' is not a text");
}

std::int64_t number(const TemplateValue& value) {
    if (const auto* whole = value.get_if<std::int64_t>()) return *whole;
    throw bad("'" + value.text() + "' is not a number");
}

std::string mapped(std::string value, int (*change)(int)) {
    std::ranges::transform(value, value.begin(), [change](unsigned char c) {
        return c < 0x80 ? static_cast<char>(change(c)) : static_cast<char>(c);
    });
    return value;
}

std::string trimmed(std::string_view value, std::string_view what) {
    const auto first = value.find_first_not_of(what);
    if (first == std::string_view::npos) return {};
    return std::string{value.substr(first, value.find_last_not_of(what) - first + 1)};
}

std::string quoted(const std::string& value) {
    std::string result = "\"";
    for (const char c : value) {
        switch (c) {
            case '"': result += "\\\""; break;
            case '\\': result += "\\\\"; break;
            case '\n': result += "\\n"; break;
            case '\t': result += "\\t"; break;
            case '\r': result += "\\r"; break;
            default: result += c;
        }
    }
    return result + "\"";
}

/// Said while it grows: it could become gigabytes.
void check_size(const std::string& text) {
    if (text.size() > template_limit)
        throw Error{ErrorKind::exhausted, "the text becomes too long"};
}

std::string replaced(std::string_view value, const std::string& from, const std::string& to) {
    if (from.empty()) throw bad("nothing to replace");
    std::string result;
    for (std::size_t at = 0;;) {
        const auto found = value.find(from, at);
        result += value.substr(at, found - at);
        if (found == std::string_view::npos) return result;
        result += to;
        check_size(result);
        at = found + from.size();
    }
}

std::string indented(std::int64_t by, const std::string& value) {
    if (by < 0 || by > 100) throw bad("0 to 100 blanks");
    const std::string blanks(static_cast<std::size_t>(by), ' ');
    return blanks + replaced(value, "\n", "\n" + blanks);
}

/// As Go's fmt.Sprint: a blank between two of which neither is a text.
TemplateValue print(const Arguments& arguments) {
    std::string result;
    bool text_before = true;
    for (const auto& argument : arguments) {
        const bool is_text = argument.get_if<std::string>() != nullptr;
        if (!is_text && !text_before) result += ' ';
        result += argument.text();
        check_size(result);
        text_before = is_text;
    }
    return result;
}

TemplateValue println(const Arguments& arguments) {
    std::string result;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        result += (i == 0 ? "" : " ") + arguments[i].text();
        check_size(result);
    }
    return result + "\n";
}

TemplateValue printf(const Arguments& arguments) {
    if (arguments.empty()) throw bad("takes a format");
    const auto format = text(arguments[0]);
    std::string result;
    std::size_t next = 1;
    for (std::size_t i = 0; i < format.size(); ++i) {
        if (format[i] != '%') {
            result += format[i];
            continue;
        }
        const char verb = ++i < format.size() ? format[i] : '\0';
        if (verb == '%') {
            result += '%';
            continue;
        }
        if (std::string_view{"svdq"}.find(verb) == std::string_view::npos || verb == '\0')
            throw bad("of the verbs only %s, %v, %d, %q and %% are supported");
        if (next == arguments.size()) throw bad("has fewer arguments than its format");
        const auto& argument = arguments[next++];
        if (verb == 'd') number(argument);
        result += verb == 'q' ? quoted(argument.text()) : argument.text();
        check_size(result);
    }
    if (next != arguments.size()) throw bad("has more arguments than its format");
    return result;
}

std::int64_t length(const TemplateValue& value) {
    std::size_t count = 0;
    if (const auto* string = value.get_if<std::string>()) {
        count = string->size();
    } else if (const auto* list = value.get_if<TemplateValue::List>()) {
        count = list->size();
    } else if (const auto* map = value.get_if<TemplateValue::Map>()) {
        count = map->size();
    } else {
        throw bad("'" + value.text() + "' has no length");
    }
    return static_cast<std::int64_t>(count);
}

TemplateValue index(const Arguments& arguments) {
    need(arguments, 2);
    if (const auto* list = arguments[0].get_if<TemplateValue::List>()) {
        const auto at = number(arguments[1]);
        if (at < 0 || at >= static_cast<std::int64_t>(list->size()))
            throw bad("there is no item " + std::to_string(at));
        return (*list)[static_cast<std::size_t>(at)];
    }
    if (const auto* map = arguments[0].get_if<TemplateValue::Map>()) {
        for (const auto& [key, item] : *map) {
            if (key.text() == arguments[1].text()) return item;
        }
        return {};
    }
    throw bad("'" + arguments[0].text() + "' has no items");
}

/// Texts, numbers and flags of one kind only, as in Go.
int compare(const TemplateValue& a, const TemplateValue& b) {
    if (a.get_if<std::string>() != nullptr) return text(a).compare(text(b));
    if (const auto* flag = a.get_if<bool>()) {
        const auto* other = b.get_if<bool>();
        if (other == nullptr) throw bad("compares a flag with something else");
        return static_cast<int>(*flag) - static_cast<int>(*other);
    }
    const auto x = number(a);
    const auto y = number(b);
    return x < y ? -1 : x > y ? 1 : 0;
}

TemplateValue equal(const Arguments& arguments) {
    if (arguments.size() < 2) throw bad("takes two arguments or more");
    for (std::size_t i = 1; i < arguments.size(); ++i) {
        if (compare(arguments[0], arguments[i]) == 0) return true;
    }
    return false;
}

template <typename Holds>
TemplateValue compared(const Arguments& arguments, Holds holds) {
    need(arguments, 2);
    return holds(compare(arguments[0], arguments[1]));
}

/// The first that decides, else the last.
TemplateValue chain(const Arguments& arguments, bool decides) {
    if (arguments.empty()) throw bad("takes arguments");
    for (const auto& argument : arguments) {
        if (argument.truth() == decides) return argument;
    }
    return arguments.back();
}

TemplateValue join(const Arguments& arguments) {
    need(arguments, 2);
    const auto* list = arguments[1].get_if<TemplateValue::List>();
    if (list == nullptr) throw bad("'" + arguments[1].text() + "' is not a list");
    const auto between = text(arguments[0]);
    std::string result;
    for (std::size_t i = 0; i < list->size(); ++i) {
        result += (i == 0 ? "" : between) + (*list)[i].text();
        check_size(result);
    }
    return result;
}

TemplateValue trunc(const Arguments& arguments) {
    need(arguments, 2);
    const auto count = number(arguments[0]);
    const auto value = text(arguments[1]);
    const auto size = static_cast<std::int64_t>(value.size());
    if (count < 0)
        return count < -size ? value : value.substr(static_cast<std::size_t>(size + count));
    return value.substr(0, static_cast<std::size_t>(count));
}

TemplateValue substr(const Arguments& arguments) {
    need(arguments, 3);
    const auto value = text(arguments[2]);
    const auto size = static_cast<std::int64_t>(value.size());
    const auto begin = std::clamp<std::int64_t>(number(arguments[0]), 0, size);
    const auto end = number(arguments[1]);
    const auto stop = end < 0 || end > size ? size : std::max(end, begin);
    return value.substr(static_cast<std::size_t>(begin), static_cast<std::size_t>(stop - begin));
}

TemplateValue split_list(const Arguments& arguments) {
    need(arguments, 2);
    const auto by = text(arguments[0]);
    const auto value = text(arguments[1]);
    if (by.empty()) throw bad("nothing to split by");
    TemplateValue::List items;
    for (std::size_t at = 0;;) {
        const auto found = value.find(by, at);
        items.emplace_back(value.substr(at, found - at));
        if (found == std::string::npos) return TemplateValue::list(std::move(items));
        at = found + by.size();
    }
}

TemplateValue last_or_first(const Arguments& arguments, bool first) {
    need(arguments, 1);
    const auto* list = arguments[0].get_if<TemplateValue::List>();
    if (list == nullptr) throw bad("'" + arguments[0].text() + "' is not a list");
    if (list->empty()) return {};
    return first ? list->front() : list->back();
}

struct Entry {
    std::string_view name;
    Function function;
};

// Sprig's take the text they change as their last argument: that is what a pipeline gives.
constexpr std::array functions{
    Entry{"print", print},
    Entry{"println", println},
    Entry{"printf", printf},
    Entry{"len",
          [](const Arguments& a) -> TemplateValue {
              need(a, 1);
              return length(a[0]);
          }},
    Entry{"index", index},
    Entry{"eq", equal},
    Entry{"ne", [](const Arguments& a) { return compared(a, [](int c) { return c != 0; }); }},
    Entry{"lt", [](const Arguments& a) { return compared(a, [](int c) { return c < 0; }); }},
    Entry{"le", [](const Arguments& a) { return compared(a, [](int c) { return c <= 0; }); }},
    Entry{"gt", [](const Arguments& a) { return compared(a, [](int c) { return c > 0; }); }},
    Entry{"ge", [](const Arguments& a) { return compared(a, [](int c) { return c >= 0; }); }},
    Entry{"and", [](const Arguments& a) { return chain(a, false); }},
    Entry{"or", [](const Arguments& a) { return chain(a, true); }},
    Entry{"not",
          [](const Arguments& a) -> TemplateValue {
              need(a, 1);
              return !a[0].truth();
          }},
    Entry{"empty",
          [](const Arguments& a) -> TemplateValue {
              need(a, 1);
              return !a[0].truth();
          }},
    Entry{"default",
          [](const Arguments& a) -> TemplateValue {
              need(a, 2);
              return a[1].truth() ? a[1] : a[0];
          }},
    Entry{"ternary",
          [](const Arguments& a) -> TemplateValue {
              need(a, 3);
              return a[2].truth() ? a[0] : a[1];
          }},
    Entry{"toString",
          [](const Arguments& a) -> TemplateValue {
              need(a, 1);
              return a[0].text();
          }},
    Entry{"lower",
          [](const Arguments& a) -> TemplateValue {
              need(a, 1);
              return mapped(text(a[0]), std::tolower);
          }},
    Entry{"upper",
          [](const Arguments& a) -> TemplateValue {
              need(a, 1);
              return mapped(text(a[0]), std::toupper);
          }},
    Entry{"trim",
          [](const Arguments& a) -> TemplateValue {
              need(a, 1);
              return trimmed(text(a[0]), white);
          }},
    Entry{"trimAll",
          [](const Arguments& a) -> TemplateValue {
              need(a, 2);
              return trimmed(text(a[1]), text(a[0]));
          }},
    Entry{"trimPrefix",
          [](const Arguments& a) -> TemplateValue {
              need(a, 2);
              const auto value = text(a[1]);
              return value.starts_with(text(a[0])) ? value.substr(text(a[0]).size()) : value;
          }},
    Entry{"trimSuffix",
          [](const Arguments& a) -> TemplateValue {
              need(a, 2);
              const auto value = text(a[1]);
              const auto end = text(a[0]);
              return value.ends_with(end) ? value.substr(0, value.size() - end.size()) : value;
          }},
    Entry{"hasPrefix",
          [](const Arguments& a) -> TemplateValue {
              need(a, 2);
              return text(a[1]).starts_with(text(a[0]));
          }},
    Entry{"hasSuffix",
          [](const Arguments& a) -> TemplateValue {
              need(a, 2);
              return text(a[1]).ends_with(text(a[0]));
          }},
    Entry{"contains",
          [](const Arguments& a) -> TemplateValue {
              need(a, 2);
              return text(a[1]).find(text(a[0])) != std::string::npos;
          }},
    Entry{"replace",
          [](const Arguments& a) -> TemplateValue {
              need(a, 3);
              return replaced(text(a[2]), text(a[0]), text(a[1]));
          }},
    Entry{"quote",
          [](const Arguments& a) -> TemplateValue {
              need(a, 1);
              return quoted(a[0].text());
          }},
    Entry{"squote",
          [](const Arguments& a) -> TemplateValue {
              need(a, 1);
              return "'" + a[0].text() + "'";
          }},
    Entry{"indent",
          [](const Arguments& a) -> TemplateValue {
              need(a, 2);
              return indented(number(a[0]), text(a[1]));
          }},
    Entry{"nindent",
          [](const Arguments& a) -> TemplateValue {
              need(a, 2);
              return "\n" + indented(number(a[0]), text(a[1]));
          }},
    Entry{"join", join},
    Entry{"trunc", trunc},
    Entry{"substr", substr},
    Entry{"splitList", split_list},
    Entry{"first", [](const Arguments& a) { return last_or_first(a, true); }},
    Entry{"last", [](const Arguments& a) { return last_or_first(a, false); }},
};

}  // namespace

bool is_template_function(std::string_view name) {
    return std::ranges::find(functions, name, &Entry::name) != functions.end();
}

TemplateValue call_template_function(std::string_view name,
                                     const std::vector<TemplateValue>& arguments) {
    const auto found = std::ranges::find(functions, name, &Entry::name);
    if (found == functions.end()) throw bad("there is no such function");
    return found->function(arguments);
}

std::string unescaped(std::string_view text) {
    std::string result;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '\\') {
            result += text[i];
            continue;
        }
        const char c = ++i < text.size() ? text[i] : '\0';
        switch (c) {
            case 'n': result += '\n'; break;
            case 't': result += '\t'; break;
            case 'r': result += '\r'; break;
            case '"':
            case '\\': result += c; break;
            default: throw bad("of the escapes only \\n, \\t, \\r, \\\" and \\\\ are supported");
        }
    }
    return result;
}

}  // namespace kled::gitops
