#include "kube/yaml_comment_tokens.h"

#include "base/error.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <utility>

namespace kled::kube {

namespace {

using Position = std::ptrdiff_t;

/// yaml.v3 looks no further than this for a comment over blanks and empty lines.
constexpr std::size_t look_ahead = 512;

bool is_blank(char c) { return c == ' ' || c == '\t'; }

/// A place in the text, with what yaml.v3 knows of it.
class Cursor {
public:
    explicit Cursor(std::string_view text) : text_{text} {}

    /// '\0' behind the end.
    [[nodiscard]] char ahead(std::size_t bytes = 0) const {
        return byte_ + bytes < text_.size() ? text_[byte_ + bytes] : '\0';
    }
    [[nodiscard]] bool at_break() const { return ahead() == '\n' || ahead() == '\0'; }
    [[nodiscard]] bool at_end() const { return byte_ >= text_.size(); }

    /// One character.
    void skip() {
        if (ahead() == '\n') {
            ++byte_, ++index, ++line, ++newlines;
            column = 0;
            return;
        }
        if (!is_blank(ahead())) newlines = 0;
        do ++byte_;
        while (byte_ < text_.size() && (static_cast<unsigned char>(text_[byte_]) & 0xC0U) == 0x80U);
        ++index, ++column;
    }
    void skip_to(Position end) {
        while (index < end && !at_end()) skip();
    }
    /// To the end of the line; what was passed.
    std::string rest_of_line() {
        const auto from = byte_;
        while (!at_break()) skip();
        return std::string{text_.substr(from, byte_ - from)};
    }

    Position index = 0;
    std::size_t line = 0;
    std::size_t column = 0;
    std::size_t newlines = 0;  ///< since the last character that is no blank

private:
    std::string_view text_;
    std::size_t byte_ = 0;
};

class Scanner {
public:
    explicit Scanner(std::string_view text) : cursor_{text} {
        if (yaml_parser_initialize(&parser_) == 0)
            throw Error{ErrorKind::exhausted, "YAML: no memory"};
        yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text.data()),
                                     text.size());
    }
    ~Scanner() { yaml_parser_delete(&parser_); }
    Scanner(const Scanner&) = delete;
    Scanner& operator=(const Scanner&) = delete;

    ScannedText run() {
        bool content = false;
        bool ended = false;
        for (bool more = true; more;) {
            yaml_token_t token;
            if (yaml_parser_scan(&parser_, &token) == 0) break;
            add(token);
            const auto type = token.type;
            yaml_token_delete(&token);
            // One token more, for the comments directly behind the one that ends the document.
            more = !ended && type != YAML_STREAM_END_TOKEN;
            ended =
                type == YAML_DOCUMENT_END_TOKEN || (type == YAML_DOCUMENT_START_TOKEN && content);
            content = content ||
                      (type != YAML_STREAM_START_TOKEN && type != YAML_VERSION_DIRECTIVE_TOKEN &&
                       type != YAML_TAG_DIRECTIVE_TOKEN);
        }
        return std::move(found_);
    }

private:
    void add(const yaml_token_t& token) {
        auto start = static_cast<Position>(token.start_mark.index);
        if (token.type == YAML_STREAM_START_TOKEN) {
            found_.tokens.push_back({token.type, start});
            return;
        }
        if (start > cursor_.index) to_next_token(start);
        switch (token.type) {
            case YAML_BLOCK_END_TOKEN:
                found_.tokens.push_back({token.type, end_of_block()});
                if (!indents_.empty()) indents_.pop_back();
                return;
            case YAML_BLOCK_SEQUENCE_START_TOKEN:
            case YAML_BLOCK_MAPPING_START_TOKEN:
                indents_.push_back(token.start_mark.column);
                found_.tokens.push_back({token.type, start});
                return;
            default: break;
        }
        found_.tokens.push_back({token.type, start});
        const auto end = static_cast<Position>(token.end_mark.index);
        if (end == start) return;  // a key without its `?`, the stream's end
        if (token.type == YAML_FLOW_SEQUENCE_START_TOKEN ||
            token.type == YAML_FLOW_MAPPING_START_TOKEN) {
            ++flow_level_;
        } else if ((token.type == YAML_FLOW_SEQUENCE_END_TOKEN ||
                    token.type == YAML_FLOW_MAPPING_END_TOKEN) &&
                   flow_level_ > 0) {
            --flow_level_;
        }
        pass(token, start, end);
        former_line_ = cursor_.line;
        block_mark_ = cursor_.index - 1;
        ends_all_ = false;
        gap_ = found_.comments.size();
        first_in_gap_.clear();
    }

    /// Over a token and over what yaml.v3's scanner reads together with it.
    void pass(const yaml_token_t& token, Position start, Position end) {
        const bool scalar = token.type == YAML_SCALAR_TOKEN;
        const auto style = scalar ? token.data.scalar.style : YAML_ANY_SCALAR_STYLE;
        const bool block = style == YAML_LITERAL_SCALAR_STYLE || style == YAML_FOLDED_SCALAR_STYLE;
        if (block) {
            while (!cursor_.at_break() && !is_blank(cursor_.ahead())) cursor_.skip();
            line_comment(start);
        }
        cursor_.skip_to(end);
        if (block) {
            while (cursor_.ahead() == ' ') cursor_.skip();
        } else if (style == YAML_PLAIN_SCALAR_STYLE) {
            while (is_blank(cursor_.ahead()) || cursor_.ahead() == '\n') cursor_.skip();
        }
        switch (token.type) {
            case YAML_BLOCK_ENTRY_TOKEN:
            case YAML_DOCUMENT_START_TOKEN:
            case YAML_DOCUMENT_END_TOKEN:
            case YAML_VERSION_DIRECTIVE_TOKEN:
            case YAML_TAG_DIRECTIVE_TOKEN: return;
            default: break;
        }
        const auto& tokens = found_.tokens;
        const bool is_of_former =
            tokens.size() > 1 && ((flow_level_ == 0 && token.type == YAML_VALUE_TOKEN) ||
                                  (flow_level_ > 0 && token.type == YAML_FLOW_ENTRY_TOKEN));
        line_comment(is_of_former ? tokens[tokens.size() - 2].start : start);
    }

    /// Whether a comment begins within sight in this line, and how many bytes ahead.
    [[nodiscard]] std::optional<std::size_t> comment_ahead() const {
        std::size_t ahead = 0;
        while (ahead < look_ahead && is_blank(cursor_.ahead(ahead))) ++ahead;
        if (ahead == look_ahead || cursor_.ahead(ahead) != '#') return std::nullopt;
        return ahead;
    }

    void line_comment(Position belongs_at) {
        if (cursor_.newlines > 0) return;
        const auto ahead = comment_ahead();
        if (!ahead) return;
        cursor_.skip_to(cursor_.index + static_cast<Position>(*ahead));
        ScannedComment comment{
            .belongs_at = belongs_at, .start = cursor_.index, .column = cursor_.column};
        comment.line = cursor_.rest_of_line();
        found_.comments.push_back(std::move(comment));
    }

    void to_next_token(Position start) {
        while (cursor_.index < start && !cursor_.at_end()) {
            while (is_blank(cursor_.ahead())) cursor_.skip();
            if (cursor_.ahead() == '#') comments_before_next();
            if (cursor_.ahead() != '\n') break;
            cursor_.skip();
        }
        cursor_.skip_to(start);
    }

    /// The comments from here on that stand in lines of their own: which belong to what was before
    /// and which to what follows.
    void comments_before_next() {
        const auto& tokens = found_.tokens;
        const auto& former = tokens.back().type == YAML_FLOW_ENTRY_TOKEN && tokens.size() > 1
                                 ? tokens[tokens.size() - 2]
                                 : tokens.back();
        const bool behind_colon = former.type == YAML_VALUE_TOKEN;
        const auto next_indent = indents_.empty() ? std::size_t{0} : indents_.back();
        auto belongs_at = former.start;
        Position start = 0;
        std::size_t start_line = 0;
        std::size_t start_column = 0;
        std::string text;

        // A comment in this line follows directly on what was before.
        std::optional<std::size_t> foot_line;
        if (former_line_ > 0) {
            foot_line = cursor_.line + 1 - cursor_.newlines;
            if (cursor_.newlines == 0 && cursor_.column > 1) ++*foot_line;
        }

        bool recent_empty = false;
        bool first_empty = cursor_.newlines <= 1;
        auto line = cursor_.line;
        auto column = cursor_.column;
        std::size_t ahead = 0;
        const auto here = [&] { return cursor_.index + static_cast<Position>(ahead); };
        const auto end_foot = [&] {
            found_.comments.push_back({.belongs_at = belongs_at,
                                       .start = start,
                                       .column = start_column,
                                       .end = here(),
                                       .foot = std::exchange(text, {})});
            belongs_at = here();
        };
        for (; ahead < look_ahead; ++ahead) {
            ++column;
            const auto c = cursor_.ahead(ahead);
            if (is_blank(c)) continue;
            const bool closes = flow_level_ > 0 && (c == ']' || c == '}');
            const bool dedented = start_column < next_indent + 1;
            if (closes || c == '\n' || c == '\0') {
                if (closes || !recent_empty) {
                    const bool is_foot = foot_line == start_line && !behind_colon;
                    if (closes || (first_empty && (is_foot || dedented))) {
                        if (!text.empty()) {
                            if (dedented) belongs_at = start;
                            end_foot();
                        }
                    } else if (!text.empty() && c != '\0') {
                        text += '\n';
                    }
                }
                if (c != '\n') break;
                first_empty = false;
                recent_empty = true;
                column = 0;
                ++line;
                continue;
            }
            if (!text.empty() && (column < next_indent + 1 && column != start_column)) end_foot();
            if (c != '#') break;
            if (text.empty()) {
                start = here();
                start_line = line;
                start_column = column;
            } else {
                text += '\n';
            }
            recent_empty = false;
            cursor_.skip_to(here());
            text += cursor_.rest_of_line();
            ahead = 0;
            column = 0;
            line = cursor_.line;
        }
        if (text.empty()) return;
        found_.comments.push_back({.belongs_at = start,
                                   .start = start,
                                   .column = start_column,
                                   .end = here() - 1,
                                   .head = std::move(text)});
    }

    /// Where the innermost block ends: before the comments at its own indentation.
    Position end_of_block() {
        const auto indent = indents_.empty() ? std::size_t{0} : indents_.back();
        if (indent <= cursor_.column && !ends_all_) {
            // The document ends here, not the block before something further out.
            ends_all_ = true;
            block_mark_ = cursor_.index - 1;
        }
        const auto& comments = found_.comments;
        if (gap_ == comments.size() || comments.back().end < block_mark_) return block_mark_;
        if (first_in_gap_.empty()) {
            for (auto i = gap_; i < comments.size(); ++i)
                first_in_gap_.try_emplace(comments[i].column, comments[i].start);
        }
        const auto first = first_in_gap_.find(indent + 1);
        if (first != first_in_gap_.end()) block_mark_ = first->second;
        return block_mark_;
    }

    Cursor cursor_;
    yaml_parser_t parser_{};
    ScannedText found_;
    std::vector<std::size_t> indents_;
    std::size_t flow_level_ = 0;
    std::size_t former_line_ = 0;                   ///< where the last token ended
    std::size_t gap_ = 0;                           ///< the first comment behind that
    std::map<std::size_t, Position> first_in_gap_;  ///< the first one of a column, once asked for
    Position block_mark_ = -1;
    bool ends_all_ = false;
};

}  // namespace

ScannedText scan_comments(std::string_view text) {
    constexpr std::array<std::string_view, 5> other = {"\r", "\xC2\x85", "\xE2\x80\xA8",
                                                       "\xE2\x80\xA9", "\xEF\xBB\xBF"};
    if (std::ranges::any_of(other, [&](auto part) { return text.find(part) != text.npos; }))
        return {};
    return Scanner{text}.run();
}

}  // namespace kled::kube
