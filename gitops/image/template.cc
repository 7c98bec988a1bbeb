#include "gitops/image/template.h"

#include "base/error.h"
#include "gitops/image/template_functions.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>
#include <utility>

namespace kled::gitops {

namespace {

constexpr std::size_t step_limit = 200'000;
/// Of all texts and lists that pass through its values: a step alone says little, as it may join
/// thousands of long texts.
constexpr std::size_t bytes_limit = 1'024 * template_limit;
constexpr int depth_limit = 50;
constexpr std::string_view white = " \t\r\n";

[[noreturn]] void fail(int line, const std::string& what) {
    throw Error{ErrorKind::invalid, "line " + std::to_string(line) + ": " + what};
}

// ---- what a template consists of

struct Token {
    enum class Kind { identifier, field, variable, dot, text, number, symbol, end };
    Kind kind = Kind::end;
    std::string text;  ///< without the '.' of a field and the '$' of a variable
    std::int64_t number = 0;
    bool joined = false;  ///< no blank before it: ".A.B"
};

struct Pipeline;

/// `.A.B`, `$x.A`, `"text"`, `len`, `(…).A`.
struct Operand {
    enum class Base { dot, variable, literal, pipeline, function };
    Base base = Base::dot;
    std::string name;  ///< of a variable or a function
    TemplateValue literal;
    std::shared_ptr<const Pipeline> inner;
    std::vector<std::string> fields;
};

struct Pipeline {
    int line = 0;
    std::vector<std::string> variables;  ///< that it sets
    bool declares = false;               ///< ":=", not "="
    std::vector<std::vector<Operand>> commands;
};

struct Node {
    enum class Kind { text, action, when, range, with };
    Kind kind = Kind::text;
    std::string text;
    Pipeline pipeline;
    std::vector<Node> body;
    std::vector<Node> otherwise;
};

// ---- reading an action

std::vector<Token> tokens_of(std::string_view action, int line) {
    using Kind = Token::Kind;
    const auto is_name = [](char c) {
        return c == '_' || std::isalnum(static_cast<unsigned char>(c)) != 0;
    };
    std::vector<Token> tokens;
    for (std::size_t at = 0; at < action.size();) {
        const bool joined = at > 0 && white.find(action[at - 1]) == std::string_view::npos;
        const char c = action[at];
        const auto name_from = [&](std::size_t begin) {
            auto end = begin;
            while (end < action.size() && is_name(action[end])) ++end;
            return std::string{action.substr(begin, end - begin)};
        };
        if (white.find(c) != std::string_view::npos) {
            ++at;
        } else if (c == '"') {
            auto end = at + 1;
            while (end < action.size() && action[end] != '"') end += action[end] == '\\' ? 2 : 1;
            if (end >= action.size()) fail(line, "a text without its closing '\"'");
            tokens.push_back(
                {Kind::text, unescaped(action.substr(at + 1, end - at - 1)), 0, joined});
            at = end + 1;
        } else if (c == '`') {
            const auto end = action.find('`', at + 1);
            if (end == std::string_view::npos) fail(line, "a text without its closing '`'");
            tokens.push_back(
                {Kind::text, std::string{action.substr(at + 1, end - at - 1)}, 0, joined});
            at = end + 1;
        } else if (c == '.') {
            auto name = name_from(at + 1);
            at += 1 + name.size();
            const auto kind = name.empty() ? Kind::dot : Kind::field;
            tokens.push_back({kind, std::move(name), 0, joined});
        } else if (c == '$') {
            auto name = name_from(at + 1);
            at += 1 + name.size();
            tokens.push_back({Kind::variable, std::move(name), 0, joined});
        } else if (std::isdigit(static_cast<unsigned char>(c)) != 0 ||
                   (c == '-' && at + 1 < action.size() &&
                    std::isdigit(static_cast<unsigned char>(action[at + 1])) != 0)) {
            std::int64_t number = 0;
            const auto* begin = action.data() + at;
            const auto* limit = action.data() + action.size();
            const auto read = std::from_chars(begin, limit, number);
            if (read.ec != std::errc{} ||
                (read.ptr != limit && (is_name(*read.ptr) || *read.ptr == '.')))
                fail(line, "a number that is not whole is not supported");
            tokens.push_back({Kind::number, {}, number, joined});
            at += static_cast<std::size_t>(read.ptr - begin);
        } else if (is_name(c)) {
            auto name = name_from(at);
            at += name.size();
            tokens.push_back({Kind::identifier, std::move(name), 0, joined});
        } else if (action.substr(at, 2) == ":=") {
            tokens.push_back({Kind::symbol, ":=", 0, joined});
            at += 2;
        } else if (std::string_view{"|()=,"}.find(c) != std::string_view::npos) {
            tokens.push_back({Kind::symbol, std::string(1, c), 0, joined});
            ++at;
        } else {
            fail(line, "unexpected '" + std::string(1, c) + "'");
        }
    }
    return tokens;
}

class PipelineParser {
public:
    PipelineParser(const std::vector<Token>& tokens, std::size_t from, int line)
        : tokens_{tokens}, at_{from}, line_{line} {}

    Pipeline whole() {
        auto result = pipeline(0);
        if (at_ != tokens_.size()) fail(line_, "unexpected '" + peek().text + "'");
        return result;
    }

private:
    const Token& peek(std::size_t ahead = 0) const {
        static const Token end;
        return at_ + ahead < tokens_.size() ? tokens_[at_ + ahead] : end;
    }
    bool is(std::string_view symbol, std::size_t ahead = 0) const {
        return peek(ahead).kind == Token::Kind::symbol && peek(ahead).text == symbol;
    }

    void variables(Pipeline& result) {
        using Kind = Token::Kind;
        if (peek().kind != Kind::variable) return;
        std::size_t count = 0;
        if (is(":=", 1) || is("=", 1)) count = 1;
        if (is(",", 1) && peek(2).kind == Kind::variable && (is(":=", 3) || is("=", 3))) count = 2;
        for (std::size_t i = 0; i < count; ++i) {
            result.variables.push_back(peek().text);
            result.declares = is(":=", 1);
            at_ += 2;
        }
    }

    Pipeline pipeline(int depth) {
        if (depth > depth_limit) fail(line_, "too deep");
        Pipeline result;
        result.line = line_;
        variables(result);
        for (;;) {
            std::vector<Operand> command;
            while (at_ < tokens_.size() && !is("|") && !is(")")) command.push_back(operand(depth));
            if (command.empty()) fail(line_, "a value is missing");
            result.commands.push_back(std::move(command));
            if (!is("|")) return result;
            ++at_;
        }
    }

    Operand operand(int depth) {
        using Kind = Token::Kind;
        Operand result;
        const auto token = peek();
        ++at_;
        switch (token.kind) {
            case Kind::dot: break;
            case Kind::field: result.fields.push_back(token.text); break;
            case Kind::variable:
                result.base = Operand::Base::variable;
                result.name = token.text;
                break;
            case Kind::text:
                result.base = Operand::Base::literal;
                result.literal = token.text;
                break;
            case Kind::number:
                result.base = Operand::Base::literal;
                result.literal = token.number;
                break;
            case Kind::identifier:
                if (token.text == "true" || token.text == "false") {
                    result.base = Operand::Base::literal;
                    result.literal = token.text == "true";
                } else if (token.text == "nil") {
                    result.base = Operand::Base::literal;
                } else {
                    if (!is_template_function(token.text))
                        fail(line_, "the function '" + token.text + "' is not supported");
                    result.base = Operand::Base::function;
                    result.name = token.text;
                }
                break;
            default:
                if (token.text != "(") fail(line_, "unexpected '" + token.text + "'");
                result.base = Operand::Base::pipeline;
                result.inner = std::make_shared<const Pipeline>(pipeline(depth + 1));
                if (!is(")")) fail(line_, "a '(' without ')'");
                ++at_;
        }
        while (peek().kind == Kind::field && peek().joined) {
            result.fields.push_back(peek().text);
            ++at_;
        }
        return result;
    }

    const std::vector<Token>& tokens_;
    std::size_t at_;
    int line_;
};

// ---- reading a template

class Parser {
public:
    explicit Parser(std::string_view text) : text_{text} {}

    std::vector<Node> whole() {
        auto nodes = list(0);
        if (!ended_.empty()) fail(line_, "'" + ended_ + "' without its beginning");
        return nodes;
    }

private:
    /// Up to {{end}}, {{else}} or the end of the text; `ended_` says which.
    std::vector<Node> list(int depth) {
        if (depth > depth_limit) fail(line_, "too deep");
        std::vector<Node> nodes;
        ended_.clear();
        while (at_ < text_.size()) {
            literal(nodes);
            if (at_ >= text_.size()) break;
            next_action();
            if (tokens_.empty()) continue;  // a comment
            const auto word =
                tokens_[0].kind == Token::Kind::identifier ? tokens_[0].text : std::string{};
            if (word == "end" || word == "else") {
                ended_ = word;
                return nodes;
            }
            for (const auto* other : {"define", "template", "block", "break", "continue"}) {
                if (word == other) fail(line_, "'" + word + "' is not supported");
            }
            if (word == "if" || word == "range" || word == "with") {
                nodes.push_back(branch(word, 1, depth));
            } else {
                Node node;
                node.kind = Node::Kind::action;
                node.pipeline = PipelineParser{tokens_, 0, line_}.whole();
                nodes.push_back(std::move(node));
            }
        }
        return nodes;
    }

    Node branch(const std::string& word, std::size_t from, int depth) {
        Node node;
        node.kind = word == "if"      ? Node::Kind::when
                    : word == "range" ? Node::Kind::range
                                      : Node::Kind::with;
        const int line = line_;
        node.pipeline = PipelineParser{tokens_, from, line_}.whole();
        node.body = list(depth + 1);
        if (ended_ == "else") {
            if (tokens_.size() > 1) {  // "else if", which the same {{end}} ends
                const auto inner = tokens_[1].text;
                if (inner != "if" && inner != "with") fail(line_, "unexpected '" + inner + "'");
                node.otherwise.push_back(branch(inner, 2, depth + 1));
                return node;
            }
            node.otherwise = list(depth + 1);
        }
        if (ended_ != "end") fail(line, "'" + word + "' without {{end}}");
        ended_.clear();
        return node;
    }

    void literal(std::vector<Node>& nodes) {
        const auto open = std::min(text_.find("{{", at_), text_.size());
        auto text = text_.substr(at_, open - at_);
        line_ += static_cast<int>(std::ranges::count(text, '\n'));
        at_ = open;
        if (trim_) text.remove_prefix(std::min(text.find_first_not_of(white), text.size()));
        const auto rest = text_.substr(open);
        const bool trims =
            rest.size() > 3 && rest[2] == '-' && white.find(rest[3]) != std::string_view::npos;
        if (trims) text = text.substr(0, text.find_last_not_of(white) + 1);
        trim_ = false;
        if (text.empty()) return;
        Node node;
        node.text = text;
        nodes.push_back(std::move(node));
    }

    /// The tokens between "{{" and "}}"; none for a comment.
    void next_action() {
        at_ += 2;
        if (at_ + 1 < text_.size() && text_[at_] == '-' &&
            white.find(text_[at_ + 1]) != std::string_view::npos)
            at_ += 2;
        const auto end = action_end();
        auto content = text_.substr(at_, end - at_);
        line_ += static_cast<int>(std::ranges::count(content, '\n'));
        at_ = end + 2;
        if (content.size() > 1 && content.back() == '-' &&
            white.find(content[content.size() - 2]) != std::string_view::npos) {
            content.remove_suffix(1);
            trim_ = true;
        }
        const auto begin = std::min(content.find_first_not_of(white), content.size());
        tokens_.clear();
        if (content.substr(begin).starts_with("/*")) return;
        tokens_ = tokens_of(content, line_);
        if (tokens_.empty()) fail(line_, "an empty action");
    }

    std::size_t action_end() const {
        const auto rest = text_.substr(at_);
        const auto begin = std::min(rest.find_first_not_of(white), rest.size());
        if (rest.substr(begin).starts_with("/*")) {
            const auto end = text_.find("*/", at_);
            const auto close = end == std::string_view::npos ? end : text_.find("}}", end);
            if (close == std::string_view::npos) fail(line_, "a comment without its end");
            return close;
        }
        char quote = '\0';
        for (auto i = at_; i < text_.size(); ++i) {
            const char c = text_[i];
            if (quote != '\0') {
                if (c == '\\' && quote == '"') {
                    ++i;
                } else if (c == quote) {
                    quote = '\0';
                }
            } else if (c == '"' || c == '`') {
                quote = c;
            } else if (c == '}' && i + 1 < text_.size() && text_[i + 1] == '}') {
                return i;
            }
        }
        fail(line_, "'{{' without '}}'");
    }

    std::string_view text_;
    std::size_t at_ = 0;
    int line_ = 1;
    bool trim_ = false;  // blanks at the beginning of what follows
    std::vector<Token> tokens_;
    std::string ended_;
};

// ---- running it

class Run {
public:
    explicit Run(const TemplateValue& data) { variables_.emplace_back("", data); }

    void nodes(const std::vector<Node>& list, const TemplateValue& dot) {
        for (const auto& node : list) this->node(node, dot);
    }
    std::string out;

private:
    void count(int line) {
        if (++steps_ > step_limit || out.size() > template_limit) {
            throw Error{ErrorKind::exhausted,
                        "line " + std::to_string(line) + ": the message becomes too long"};
        }
    }

    void pay(const TemplateValue& value, int line) {
        if (const auto* text = value.get_if<std::string>()) bytes_ += text->size();
        if (const auto* list = value.get_if<TemplateValue::List>())
            bytes_ += list->size() * sizeof(TemplateValue);
        if (bytes_ > bytes_limit) {
            throw Error{ErrorKind::exhausted, "line " + std::to_string(line) +
                                                  ": it works on more than " +
                                                  std::to_string(bytes_limit) + " bytes"};
        }
    }

    void node(const Node& node, const TemplateValue& dot) {
        count(node.pipeline.line);
        const auto scope = variables_.size();
        switch (node.kind) {
            case Node::Kind::text: out += node.text; break;
            case Node::Kind::action: {
                const auto value = pipeline(node.pipeline, dot);
                if (node.pipeline.variables.empty()) out += value.text();
                return;  // what it declares stays until the block ends
            }
            case Node::Kind::when:
            case Node::Kind::with: {
                const auto value = pipeline(node.pipeline, dot);
                const auto& inner = node.kind == Node::Kind::with ? value : dot;
                if (value.truth()) {
                    nodes(node.body, inner);
                } else {
                    nodes(node.otherwise, dot);
                }
                break;
            }
            case Node::Kind::range: range(node, dot); break;
        }
        variables_.resize(scope);
    }

    void range(const Node& node, const TemplateValue& dot) {
        auto source = node.pipeline;
        const auto names = std::exchange(source.variables, {});
        const auto value = pipeline(source, dot);
        const auto scope = variables_.size();
        const auto each = [&](const TemplateValue& key, const TemplateValue& item) {
            count(source.line);
            if (names.size() == 2) variables_.emplace_back(names[0], key);
            if (!names.empty()) variables_.emplace_back(names.back(), item);
            nodes(node.body, item);
            variables_.resize(scope);
        };
        if (const auto* list = value.get_if<TemplateValue::List>()) {
            for (std::size_t i = 0; i < list->size(); ++i)
                each(static_cast<std::int64_t>(i), (*list)[i]);
        } else if (const auto* map = value.get_if<TemplateValue::Map>()) {
            for (const auto& [key, item] : *map) each(key, item);
        } else if (value.truth()) {
            fail(source.line, "range needs a list or a map, not '" + value.text() + "'");
        }
        if (!value.truth()) nodes(node.otherwise, dot);
    }

    TemplateValue pipeline(const Pipeline& pipeline, const TemplateValue& dot) {
        count(pipeline.line);
        std::optional<TemplateValue> last;
        for (const auto& command : pipeline.commands)
            last = this->command(command, dot, last, pipeline.line);
        for (const auto& name : pipeline.variables) {
            if (pipeline.declares) {
                variables_.emplace_back(name, *last);
            } else {
                variable(name, pipeline.line) = *last;
            }
        }
        return *last;
    }

    TemplateValue command(const std::vector<Operand>& command, const TemplateValue& dot,
                          const std::optional<TemplateValue>& piped, int line) {
        const auto& first = command.front();
        if (first.base != Operand::Base::function) {
            if (command.size() > 1 || piped)
                fail(line, "arguments go to a function, and there is none");
            return operand(first, dot, line);
        }
        std::vector<TemplateValue> arguments;
        for (std::size_t i = 1; i < command.size(); ++i)
            arguments.push_back(operand(command[i], dot, line));
        if (piped) arguments.push_back(*piped);
        return call(first, arguments, line);
    }

    TemplateValue call(const Operand& function, const std::vector<TemplateValue>& arguments,
                       int line) {
        try {
            auto value = call_template_function(function.name, arguments);
            if (const auto* text = value.get_if<std::string>();
                text != nullptr && text->size() > template_limit)
                throw Error{ErrorKind::exhausted, "the text becomes too long"};
            pay(value, line);
            for (const auto& name : function.fields) value = field(value, name, line);
            return value;
        } catch (const Error& error) {
            throw error.within("line " + std::to_string(line) + ": " + function.name);
        }
    }

    TemplateValue operand(const Operand& operand, const TemplateValue& dot, int line) {
        TemplateValue value;
        switch (operand.base) {
            case Operand::Base::dot: value = dot; break;
            case Operand::Base::variable: value = variable(operand.name, line); break;
            case Operand::Base::literal: value = operand.literal; break;
            case Operand::Base::pipeline: value = pipeline(*operand.inner, dot); break;
            case Operand::Base::function: return call(operand, {}, line);
        }
        for (const auto& name : operand.fields) value = field(value, name, line);
        if (value.get_if<std::string>() != nullptr) pay(value, line);  // which is a copy
        return value;
    }

    static TemplateValue field(const TemplateValue& value, const std::string& name, int line) {
        if (const auto* record = value.get_if<TemplateValue::Record>()) {
            const auto found = record->fields.find(name);
            if (found != record->fields.end()) return found->second;
        } else if (const auto* map = value.get_if<TemplateValue::Map>()) {
            for (const auto& [key, item] : *map) {
                if (const auto* text = key.get_if<std::string>(); text != nullptr && *text == name)
                    return item;
            }
            return {};
        }
        fail(line, "there is no field '." + name + "' here");
    }

    TemplateValue& variable(const std::string& name, int line) {
        for (auto at = variables_.rbegin(); at != variables_.rend(); ++at) {
            if (at->first == name) return at->second;
        }
        fail(line, "the variable '$" + name + "' is not declared");
    }

    std::vector<std::pair<std::string, TemplateValue>> variables_;  // "" is "$"
    std::size_t steps_ = 0;
    std::size_t bytes_ = 0;
};

}  // namespace

TemplateValue TemplateValue::list(List items) {
    TemplateValue result;
    result.value_ = std::make_shared<const List>(std::move(items));
    return result;
}

TemplateValue TemplateValue::map(Map items) {
    TemplateValue result;
    result.value_ = std::make_shared<const Map>(std::move(items));
    return result;
}

TemplateValue TemplateValue::record(std::string text, std::map<std::string, TemplateValue> fields) {
    TemplateValue result;
    result.value_ = std::make_shared<const Record>(Record{std::move(text), std::move(fields)});
    return result;
}

bool TemplateValue::truth() const {
    if (const auto* flag = get_if<bool>()) return *flag;
    if (const auto* number = get_if<std::int64_t>()) return *number != 0;
    if (const auto* text = get_if<std::string>()) return !text->empty();
    if (const auto* list = get_if<List>()) return !list->empty();
    if (const auto* map = get_if<Map>()) return !map->empty();
    return get_if<Record>() != nullptr;
}

std::string TemplateValue::text() const {
    if (const auto* flag = get_if<bool>()) return *flag ? "true" : "false";
    if (const auto* number = get_if<std::int64_t>()) return std::to_string(*number);
    if (const auto* text = get_if<std::string>()) return *text;
    if (const auto* record = get_if<Record>()) return record->text;
    std::string result;
    if (const auto* list = get_if<List>()) {
        for (const auto& item : *list) result += (result.empty() ? "" : " ") + item.text();
        return "[" + result + "]";
    }
    if (const auto* map = get_if<Map>()) {
        for (const auto& [key, item] : *map)
            result += (result.empty() ? "" : " ") + key.text() + ":" + item.text();
        return "map[" + result + "]";
    }
    return "<no value>";
}

std::string render_template(std::string_view text, const TemplateValue& data) {
    if (text.size() > template_limit)
        throw Error{ErrorKind::exhausted,
                    "the template has more than " + std::to_string(template_limit) + " bytes"};
    const auto nodes = Parser{text}.whole();
    Run run{data};
    run.nodes(nodes, data);
    if (run.out.size() > template_limit)
        throw Error{ErrorKind::exhausted,
                    "the message becomes longer than " + std::to_string(template_limit) + " bytes"};
    return std::move(run.out);
}

}  // namespace kled::gitops
