#include "kube/yaml_comment_writer.h"

#include "base/error.h"

#include <yaml.h>

#include <algorithm>
#include <array>
#include <utility>

namespace kled::kube {

namespace {

/// Comments go as far in as what they belong to, wherever they stood: many times what was read.
constexpr std::size_t max_padding = 16'777'216;

struct Event {
    yaml_event_type_t type = YAML_NO_EVENT;
    std::string_view text = {};  ///< a scalar as it stands there
    std::size_t length = 0;      ///< of a scalar's value
    bool has_breaks = false;     ///< the value
    bool is_block = false;       ///< a text block
    std::string value = {};      ///< of what is folded or in double quotes
    char wanted_block = '\0';
    bool is_flow = false;
    YamlComments comments = {};
    std::string tail = {};  ///< the foot of the pair before, which is written when this one begins
};

bool is_start(const Event& event) {
    return event.type == YAML_MAPPING_START_EVENT || event.type == YAML_SEQUENCE_START_EVENT;
}

/// YAML's line breaks, of which Unicode has more.
bool has_break(std::string_view text) {
    constexpr std::array<std::string_view, 5> breaks = {"\n", "\r", "\xC2\x85", "\xE2\x80\xA8",
                                                        "\xE2\x80\xA9"};
    return std::ranges::any_of(breaks, [&](auto one) { return text.find(one) != text.npos; });
}

/// What stands in `text`, from start to end of the root.
class EventReader {
public:
    explicit EventReader(std::string_view text) : text_{text} {
        if (yaml_parser_initialize(&parser_) == 0)
            throw Error{ErrorKind::exhausted, "YAML: no memory"};
        yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text.data()),
                                     text.size());
    }
    ~EventReader() { yaml_parser_delete(&parser_); }
    EventReader(const EventReader&) = delete;
    EventReader& operator=(const EventReader&) = delete;

    std::vector<Event> run() {
        std::vector<Event> events;
        for (;;) {
            yaml_event_t raw;
            if (yaml_parser_parse(&parser_, &raw) == 0)
                throw Error{ErrorKind::invalid, "no YAML document"};
            const auto type = raw.type;
            if (type == YAML_SCALAR_EVENT || type == YAML_MAPPING_START_EVENT ||
                type == YAML_MAPPING_END_EVENT || type == YAML_SEQUENCE_START_EVENT ||
                type == YAML_SEQUENCE_END_EVENT)
                events.push_back(convert(raw));
            yaml_event_delete(&raw);
            if (type == YAML_DOCUMENT_END_EVENT || type == YAML_STREAM_END_EVENT) return events;
        }
    }

private:
    Event convert(const yaml_event_t& raw) {
        Event event{.type = raw.type};
        if (raw.type == YAML_MAPPING_START_EVENT) {
            event.is_flow = raw.data.mapping_start.style == YAML_FLOW_MAPPING_STYLE;
        } else if (raw.type == YAML_SEQUENCE_START_EVENT) {
            event.is_flow = raw.data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE;
        } else if (raw.type == YAML_SCALAR_EVENT) {
            const auto style = raw.data.scalar.style;
            event.is_block =
                style == YAML_LITERAL_SCALAR_STYLE || style == YAML_FOLDED_SCALAR_STYLE;
            const std::string_view value{reinterpret_cast<const char*>(raw.data.scalar.value),
                                         raw.data.scalar.length};
            event.length = value.size();
            event.has_breaks = has_break(value);
            if (style == YAML_FOLDED_SCALAR_STYLE || style == YAML_DOUBLE_QUOTED_SCALAR_STYLE)
                event.value = value;
            const auto from = byte_of(raw.start_mark.index);
            event.text = text_.substr(from, byte_of(raw.end_mark.index) - from);
        }
        return event;
    }

    /// Marks count characters, and each asked for is no less than the one before.
    std::size_t byte_of(std::size_t index) {
        for (; index_ < index && byte_ < text_.size(); ++index_) {
            do ++byte_;
            while (byte_ < text_.size() &&
                   (static_cast<unsigned char>(text_[byte_]) & 0xC0U) == 0x80U);
        }
        return byte_;
    }

    std::string_view text_;
    yaml_parser_t parser_{};
    std::size_t index_ = 0;
    std::size_t byte_ = 0;
};

/// Puts the comments on the events, as yaml.v3 does when it encodes nodes.
class Attacher {
public:
    Attacher(std::vector<Event>& events, std::vector<YamlNodeNotation> nodes)
        : events_{events}, nodes_{std::move(nodes)} {}

    void run() {
        node({});
        if (next_node_ != nodes_.size()) mismatch();
    }

private:
    [[noreturn]] static void mismatch() {
        throw Error{ErrorKind::invalid, "comments for another document"};
    }

    Event& next() {
        if (at_ == events_.size()) mismatch();
        return events_[at_++];
    }

    /// The node's foot where it is a key: it goes behind the value.
    std::string node(std::string tail, bool is_key = false) {
        if (next_node_ == nodes_.size()) mismatch();
        auto comments = std::move(nodes_[next_node_].comments);
        const auto wanted_block = nodes_[next_node_++].block;
        std::string foot;
        if (is_key) foot = std::exchange(comments.foot, {});
        auto& start = next();
        start.tail = std::move(tail);
        if (!is_key) start.wanted_block = wanted_block;
        if (!is_start(start)) {
            start.comments = std::move(comments);
            return foot;
        }
        start.comments.head = std::move(comments.head);
        const bool mapping = start.type == YAML_MAPPING_START_EVENT;
        const auto end_type = mapping ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT;
        std::string open;
        while (at_ < events_.size() && events_[at_].type != end_type) {
            if (mapping) open = node(std::move(open), true);
            node({});
        }
        auto& end = next();
        end.tail = std::move(open);
        end.comments.line = std::move(comments.line);
        end.comments.foot = std::move(comments.foot);
        return foot;
    }

    std::vector<Event>& events_;
    std::vector<YamlNodeNotation> nodes_;
    std::size_t at_ = 0;
    std::size_t next_node_ = 0;
};

/// Where a node stands; yaml.v3 indents by that.
enum class In { root, block_sequence, flow_sequence, key, block_value, flow_value };

/// Writes events by yaml.v3's rules. A comment that has no place where its event is written waits
/// for the next that has, unless another one comes first.
class Writer {
public:
    Writer(std::vector<Event> events, YamlComments document)
        : events_{std::move(events)}, document_{std::move(document)} {}

    CommentedYaml run() {
        if (!document_.head.empty()) {
            waiting_.head = std::move(document_.head);
            head_comment();
            line_break();
        }
        if (!events_.empty()) {
            take();
            head_comment();
            node(In::root);
        }
        if (!document_.foot.empty()) waiting_.foot = std::move(document_.foot);
        foot_indent_ = 0;
        foot_comment();
        foot_indent_ = -1;
        indent();
        return {.text = std::move(out_), .within_brackets = within_brackets_};
    }

private:
    [[nodiscard]] const Event& event() const { return events_[at_]; }

    /// The present event's comments are to be written.
    void take() {
        auto& from = events_[at_];
        const auto move = [](std::string& text, std::string& into) {
            if (!text.empty()) into = std::move(text);
        };
        move(from.comments.head, waiting_.head);
        move(from.comments.line, waiting_.line);
        move(from.comments.foot, waiting_.foot);
        move(from.tail, tail_);
    }
    void advance() {
        ++at_;
        take();
    }

    void put(char c) {
        out_ += c;
        ++column_;
    }
    void put(std::string_view text) {
        out_ += text;
        const auto last = text.rfind('\n');
        column_ = last == text.npos ? column_ + text.size() : text.size() - last - 1;
    }
    void line_break() {
        out_ += '\n';
        column_ = 0;
        fresh_line_ = true;
    }
    /// A new line where there is none, with an empty one before it after a foot.
    void indent() {
        const auto want = indent_ < 0 ? std::ptrdiff_t{0} : indent_;
        const auto wanted = static_cast<std::size_t>(want);
        if (!fresh_line_ || column_ > wanted || (column_ == wanted && !blank_before_)) line_break();
        if (foot_indent_ == want) line_break();
        while (column_ < wanted) put(' ');
        blank_before_ = true;
        foot_indent_ = -1;
    }
    void indicator(std::string_view text, bool needs_blank, bool is_blank, bool is_indentation) {
        if (needs_blank && !blank_before_) put(' ');
        put(text);
        blank_before_ = is_blank;
        fresh_line_ = fresh_line_ && is_indentation;
    }

    void comment(std::string& text) {
        within_brackets_ = within_brackets_ || flow_level_ > 0;
        bool breaks = false;
        for (std::size_t from = 0; from < text.size();) {
            if (text[from] == '\n') {
                line_break();
                breaks = true;
                ++from;
                continue;
            }
            if (breaks) indent();
            padding_ += column_;
            if (padding_ > max_padding)
                throw Error{ErrorKind::exhausted, "YAML: too many comments too far in"};
            const auto to = std::min(text.find('\n', from), text.size());
            put(std::string_view{text}.substr(from, to - from));
            fresh_line_ = breaks = false;
            from = to;
        }
        if (!breaks) line_break();
        blank_before_ = true;
        text.clear();
    }
    void head_comment() {
        if (!tail_.empty()) {
            indent();
            comment(tail_);
            foot_indent_ = indent_ < 0 ? 0 : indent_;
        }
        if (waiting_.head.empty()) return;
        indent();
        comment(waiting_.head);
    }
    void line_comment() {
        if (waiting_.line.empty()) return;
        if (!blank_before_) put(' ');
        comment(waiting_.line);
    }
    void foot_comment() {
        if (waiting_.foot.empty()) return;
        indent();
        comment(waiting_.foot);
        foot_indent_ = indent_ < 0 ? 0 : indent_;
    }
    [[nodiscard]] bool has_comment_behind() const {
        return !waiting_.line.empty() || !waiting_.foot.empty() || !tail_.empty();
    }

    [[nodiscard]] bool is_simple_key() const {
        if (event().type == YAML_SCALAR_EVENT) return event().length <= 128 && !event().has_breaks;
        return is_start(event()) && is_end(events_[at_ + 1]);
    }
    static bool is_end(const Event& event) {
        return event.type == YAML_MAPPING_END_EVENT || event.type == YAML_SEQUENCE_END_EVENT;
    }

    class Indented {
    public:
        Indented(Writer& writer, In in, bool flow, bool compact = false)
            : writer_{writer}, before_{writer.indent_} {
            auto& indent = writer.indent_;
            if (indent < 0) {
                indent = flow ? 2 : 0;
            } else if (in == In::block_sequence) {
                indent += 2;
            } else {
                indent = 2 * ((indent + 2) / 2) - (compact ? 2 : 0);
            }
        }
        void end() { writer_.indent_ = before_; }

    private:
        Writer& writer_;
        std::ptrdiff_t before_;
    };

    /// The present event's node, up to and with its last event. A comma in a flow that has
    /// comments comes before them.
    void node(In in) {
        const bool in_flow = in == In::flow_sequence || in == In::flow_value;
        if (!is_start(event())) {
            scalar(in);
            behind(in, in_flow);
            return;
        }
        const bool mapping = event().type == YAML_MAPPING_START_EVENT;
        const bool flow = flow_level_ > 0 || event().is_flow || is_end(events_[at_ + 1]);
        behind(in, in_flow);
        if (flow) {
            mapping ? flow_mapping(in) : flow_sequence(in);
        } else {
            mapping ? block_mapping(in) : block_sequence(in);
        }
    }
    void behind(In in, bool in_flow) {
        if (in == In::key) return;
        if (in_flow && has_comment_behind()) indicator(",", false, false, false);
        line_comment();
        foot_comment();
    }

    void scalar(In in) {
        const auto text = event().text;
        if (!event().is_block && flow_level_ == 0 && event().wanted_block != '\0' &&
            may_be_block(event().value)) {
            block_of(event().value, event().wanted_block == '>', in);
            return;
        }
        if (!event().is_block) {
            if (!text.empty()) {
                if (!blank_before_) put(' ');
                put(text);
                blank_before_ = false;
            }
            fresh_line_ = false;
            return;
        }
        const auto end = text.find('\n');
        const auto head = text.substr(0, end);
        auto body = end == text.npos ? std::string_view{} : text.substr(end + 1);
        block_head(head);
        if (!event().value.empty()) {
            Indented indented{*this, in, true};
            folded(event().value);
            indented.end();
            return;
        }
        if (head.ends_with('-') && body.ends_with('\n')) body.remove_suffix(1);
        if (body.empty()) return;
        put(body);
        fresh_line_ = body.ends_with('\n');
    }

    void block_head(std::string_view head) {
        indicator(head, true, false, false);
        if (waiting_.line.empty()) {
            line_break();
        } else {
            line_comment();
        }
        blank_before_ = true;
    }

    /// What yaml.v3 puts in no quotes where a text block is asked for.
    static bool may_be_block(std::string_view text) {
        return !text.empty() && !text.ends_with(' ') && text.find(" \n") == text.npos &&
               std::ranges::all_of(text, [](unsigned char c) {
                   return c == '\n' || c == '\t' || (c >= ' ' && c < 0x7F) ||
                          (c >= 0x80 && c < 0xF0);
               });
    }

    void block_of(std::string_view text, bool is_folded, In in) {
        std::string head{is_folded ? '>' : '|'};
        if (text.starts_with(' ') || text.starts_with('\n')) head += '2';
        if (!text.ends_with('\n')) head += '-';
        if (text == "\n" || text.ends_with("\n\n")) head += '+';
        block_head(head);
        Indented indented{*this, in, true};
        is_folded ? folded(text) : literal(text);
        indented.end();
    }

    void literal(std::string_view text) {
        for (bool breaks = true; const auto c : text) {
            if (c == '\n') {
                line_break();
                breaks = true;
                continue;
            }
            if (std::exchange(breaks, false)) indent();
            put(c);
            fresh_line_ = false;
        }
    }

    /// Each break behind a line that is not further in becomes two, also the last. None does where
    /// the text's first line is further in, or where it has none.
    void folded(std::string_view text) {
        const auto first = text.find_first_not_of('\n');
        const bool doubles = first != text.npos && text[first] != ' ' && text[first] != '\t';
        bool breaks = true;
        bool further_in = true;
        for (const auto c : text) {
            if (c == '\n') {
                if (!breaks && !further_in && doubles) line_break();
                line_break();
                breaks = true;
                continue;
            }
            if (breaks) {
                indent();
                further_in = c == ' ' || c == '\t';
            }
            put(c);
            fresh_line_ = breaks = false;
        }
    }

    void block_sequence(In in) {
        const bool in_mapping = in == In::key || in == In::block_value || in == In::flow_value;
        Indented indented{*this, in, false, in_mapping && (column_ == 0 || !fresh_line_)};
        for (advance(); !is_end(event()); advance()) {
            head_comment();
            indent();
            indicator("-", true, false, true);
            node(In::block_sequence);
        }
        indented.end();
    }

    void block_mapping(In in) {
        Indented indented{*this, in, false};
        for (advance();; advance()) {
            head_comment();
            if (is_end(event())) break;
            indent();
            if (!waiting_.line.empty()) key_line_ = std::exchange(waiting_.line, {});
            const bool simple = is_simple_key();
            if (!simple) indicator("?", true, false, true);
            node(In::key);
            advance();
            if (!simple) indent();
            indicator(":", !simple, false, !simple);
            if (!key_line_.empty()) key_line_comment();
            node(In::block_value);
        }
        indented.end();
    }

    /// The comment behind a key goes behind a scalar value, or stays where it is before a block. It
    /// waits for the next pair where the scalar has one itself.
    void key_line_comment() {
        if (!is_start(event())) {
            if (waiting_.line.empty()) waiting_.line = std::exchange(key_line_, {});
        } else if (!event().is_flow) {
            std::swap(waiting_.line, key_line_);
            line_comment();
            std::swap(waiting_.line, key_line_);
        }
    }

    void flow_sequence(In in) {
        indicator("[", true, true, false);
        Indented indented{*this, in, true};
        ++flow_level_;
        bool needs_comma = false;
        for (advance(); !is_end(event()); advance()) {
            if (needs_comma) indicator(",", false, false, false);
            head_comment();
            if (column_ == 0) indent();
            needs_comma = !has_comment_behind();
            node(In::flow_sequence);
        }
        --flow_level_;
        indented.end();
        if (column_ == 0) indent();
        close("]");
    }

    void flow_mapping(In in) {
        indicator("{", true, true, false);
        Indented indented{*this, in, true};
        ++flow_level_;
        bool needs_comma = false;
        for (advance(); !is_end(event()); advance()) {
            if (needs_comma) indicator(",", false, false, false);
            head_comment();
            if (column_ == 0) indent();
            const bool simple = is_simple_key();
            if (!simple) indicator("?", true, false, false);
            node(In::key);
            advance();
            indicator(":", !simple, false, false);
            needs_comma = !has_comment_behind();
            node(In::flow_value);
        }
        if (needs_comma && (!waiting_.head.empty() || !waiting_.foot.empty() || !tail_.empty()))
            indicator(",", false, false, false);
        head_comment();
        --flow_level_;
        indented.end();
        close("}");
    }

    void close(std::string_view bracket) {
        indicator(bracket, false, false, false);
        line_comment();
        foot_comment();
    }

    std::vector<Event> events_;
    YamlComments document_;
    std::size_t at_ = 0;
    std::string out_;
    YamlComments waiting_;
    std::string tail_;
    std::string key_line_;  ///< the comment behind a key, until its value has begun
    std::size_t column_ = 0;
    std::size_t padding_ = 0;  ///< before comments
    std::ptrdiff_t indent_ = -1;
    std::ptrdiff_t foot_indent_ = -1;  ///< where a foot was just written
    std::size_t flow_level_ = 0;
    bool within_brackets_ = false;
    bool blank_before_ = true;  ///< nothing, or a blank, or what counts as one
    bool fresh_line_ = true;    ///< nothing but indentation in this line
};

}  // namespace

CommentedYaml write_with_comments(std::string_view text, YamlComments document,
                                  std::vector<YamlNodeNotation> nodes) {
    auto events = EventReader{text}.run();
    Attacher{events, std::move(nodes)}.run();
    return Writer{std::move(events), std::move(document)}.run();
}

}  // namespace kled::kube
