#include "gitops/git/gitmodules.h"

#include "base/error.h"

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <map>
#include <utility>

namespace kled::gitops::git {

namespace {

std::string lower(std::string_view text) {
    std::string result{text};
    std::ranges::transform(result, result.begin(), [](unsigned char c) { return std::tolower(c); });
    return result;
}

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }
bool is_name(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-'; }

/// Git's configuration language (git-config(1), "Syntax"), one thing after the other.
class Parser {
public:
    explicit Parser(std::string_view text) : text_{text} {}

    std::map<std::string, Submodule> run() {
        if (text_.starts_with("\xEF\xBB\xBF")) at_ = 3;
        while (skip_to_something()) {
            if (peek() == '[') {
                section();
            } else {
                variable();
            }
        }
        return std::move(found_);
    }

private:
    [[nodiscard]] bool done() const { return at_ == text_.size(); }
    [[nodiscard]] char peek() const { return done() ? '\n' : text_[at_]; }
    char next() {
        const char c = peek();
        if (!done()) ++at_;
        if (c == '\n') ++line_;
        return c;
    }
    [[nodiscard]] Error bad(std::string_view what) const {
        return {ErrorKind::invalid,
                ".gitmodules:" + std::to_string(line_) + ": " + std::string{what}};
    }

    void skip_blanks() {
        while (!done() && is_blank(peek())) next();
    }
    void skip_line() {
        while (!done() && next() != '\n') {
        }
    }
    /// Past blanks, empty lines and comments; false at the end.
    bool skip_to_something() {
        for (;;) {
            skip_blanks();
            if (done()) return false;
            if (peek() == '#' || peek() == ';') {
                skip_line();
            } else if (peek() == '\n') {
                next();
            } else {
                return true;
            }
        }
    }

    void section() {
        next();
        std::string name;
        while (is_name(peek()) || peek() == '.') name += next();
        skip_blanks();
        std::string sub;
        if (peek() == '"') {
            next();
            for (char c = next(); c != '"'; c = next()) {
                if (c == '\\') c = next();
                if (c == '\n') throw bad("a section's name has no end");
                sub += c;
            }
        }
        if (next() != ']') throw bad("a section has no ']'");
        current_ = lower(name) == "submodule" && !sub.empty() ? &found_[sub] : nullptr;
    }

    void variable() {
        std::string name;
        while (is_name(peek())) name += next();
        if (name.empty()) throw bad("neither a section nor a name");
        skip_blanks();
        std::string text;
        if (peek() == '=') {
            next();
            text = value();
        } else if (peek() != '\n') {
            throw bad("'=' is missing after '" + name + "'");
        }
        if (current_ == nullptr) return;
        if (lower(name) == "path") current_->path = std::move(text);
        if (lower(name) == "url") current_->url = std::move(text);
    }

    std::string value() {
        skip_blanks();
        std::string text;
        std::size_t kept = 0;  // blanks behind it go, unless they are quoted
        bool quoted = false;
        for (;;) {
            if (done()) break;
            char c = next();
            if (c == '\n') {
                if (quoted) throw bad("a quotation has no end");
                break;
            }
            if (c == '"') {
                quoted = !quoted;
                kept = text.size();
                continue;
            }
            if (!quoted && (c == '#' || c == ';')) {
                skip_line();
                break;
            }
            if (c == '\\') {
                if (peek() == '\r') next();
                c = next();
                if (c == '\n') continue;  // it goes on
                switch (c) {
                    case 'n': c = '\n'; break;
                    case 't': c = '\t'; break;
                    case 'b': c = '\b'; break;
                    case '"':
                    case '\\': break;
                    default: throw bad("'\\' before something that it does not stand with");
                }
                text += c;
                kept = text.size();
                continue;
            }
            text += c;
            if (quoted || !is_blank(c)) kept = text.size();
        }
        text.resize(kept);
        return text;
    }

    std::string_view text_;
    std::size_t at_ = 0;
    std::size_t line_ = 1;
    std::map<std::string, Submodule> found_;
    Submodule* current_ = nullptr;
};

void check_path(std::string_view path) {
    std::string_view rest = path;
    for (;;) {
        const auto slash = rest.find('/');
        const auto part = rest.substr(0, slash);
        if (part.empty() || part == "." || part == ".." || lower(part) == ".git") {
            throw Error{ErrorKind::invalid, ".gitmodules: '" + std::string{path.substr(0, 200)} +
                                                "' is no path inside the repository"};
        }
        if (slash == std::string_view::npos) return;
        rest.remove_prefix(slash + 1);
    }
}

}  // namespace

std::vector<Submodule> parse_gitmodules(std::string_view text) {
    std::vector<Submodule> result;
    for (auto& [name, module] : Parser{text}.run()) {
        while (module.path.ends_with('/')) module.path.pop_back();
        if (module.path.empty() || module.url.empty()) continue;
        check_path(module.path);
        result.push_back(std::move(module));
    }
    return result;
}

}  // namespace kled::gitops::git
