#include "kube/yaml_reader.h"

#include "base/encoding.h"
#include "base/error.h"
#include "base/utf8.h"
#include "kube/pointer.h"
#include "kube/yaml_scalar.h"

#include <yaml.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <deque>
#include <unordered_map>

namespace kled::kube {

namespace {

/// Text that aliases may add, besides YamlOptions::max_nodes.
constexpr std::size_t max_alias_bytes = 64U << 20U;

struct Event : yaml_event_t {
    Event() : yaml_event_t{} {}
    ~Event() { yaml_event_delete(this); }
    Event(const Event&) = delete;
    Event& operator=(const Event&) = delete;
};

std::string_view view(const yaml_char_t* text) {
    return text == nullptr ? std::string_view{} : reinterpret_cast<const char*>(text);
}

bool is_own_tag(std::string_view tag, std::string_view name) {
    constexpr std::string_view prefix = "tag:yaml.org,2002:";
    return tag.starts_with(prefix) && tag.substr(prefix.size()) == name;
}

std::string_view name_of(ScalarKind kind) {
    switch (kind) {
        case ScalarKind::null: return "!!null";
        case ScalarKind::boolean: return "!!bool";
        case ScalarKind::integer: return "!!int";
        case ScalarKind::floating: return "!!float";
        case ScalarKind::timestamp: return "!!timestamp";
        case ScalarKind::string: break;
    }
    return "!!str";
}

/// DEL and the two non-characters, which Go's reader refuses on the way through JSON.
bool has_refused_character(std::string_view text) {
    return text.find('\x7F') != std::string_view::npos ||
           text.find("\xEF\xBF\xBE") != std::string_view::npos ||
           text.find("\xEF\xBF\xBF") != std::string_view::npos;
}

/// yaml.v2's bound on how much of a document may come from aliases.
bool is_excessive(std::size_t aliased, std::size_t nodes) {
    if (aliased <= 100 || nodes <= 1000) return false;
    constexpr double low = 400'000;
    constexpr double high = 4'000'000;
    const auto n = static_cast<double>(nodes);
    const double allowed = 0.99 - 0.89 * std::clamp((n - low) / (high - low), 0.0, 1.0);
    return static_cast<double>(aliased) / n > allowed;
}

/// Builds one document straight from libyaml's events; nesting is on `frames_`, not on the stack.
class Reader {
public:
    Reader(std::string_view text, const YamlOptions& options, int lines_before)
        : text_{text}, options_{options}, lines_before_{lines_before} {
        if (yaml_parser_initialize(&parser_) == 0) throw std::bad_alloc{};
        yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text.data()),
                                     text.size());
    }
    ~Reader() { yaml_parser_delete(&parser_); }
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;

    /// The first document; nullopt when there is none. What follows it is not looked at.
    std::optional<Read> read() {
        for (;;) {
            Event event;
            if (yaml_parser_parse(&parser_, &event) == 0) fail_as_parser();
            switch (event.type) {
                case YAML_STREAM_END_EVENT: return std::nullopt;
                case YAML_DOCUMENT_END_EVENT: return finish();
                case YAML_SCALAR_EVENT: scalar(event); break;
                case YAML_ALIAS_EVENT: alias(event); break;
                case YAML_SEQUENCE_START_EVENT:
                    open(json::array(), view(event.data.sequence_start.anchor),
                         event.data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE, event);
                    break;
                case YAML_MAPPING_START_EVENT:
                    open(json::object(), view(event.data.mapping_start.anchor),
                         event.data.mapping_start.style == YAML_FLOW_MAPPING_STYLE, event);
                    break;
                case YAML_SEQUENCE_END_EVENT:
                case YAML_MAPPING_END_EVENT: close(); break;
                default: break;
            }
        }
    }

    /// The text was refused for an escape that JSON has and YAML has not (a surrogate pair).
    [[nodiscard]] bool met_json_escape() const noexcept { return met_json_escape_; }

private:
    enum class Key { none, plain, merge, quoted_merge };

    /// A list or mapping that is not complete.
    struct Frame {
        json::value value;
        bool flow = false;
        Key key_kind = Key::none;
        std::string key = {};
        bool has_merge = false;
        std::vector<json::value> merges = {};  ///< `manifest`: what goes in under the explicit keys
        std::vector<int> key_lines = {};       ///< by position; 0: not written here (merged)
        std::string anchor;
        std::size_t nodes_before = 0;
        std::size_t bytes_before = 0;
        std::size_t height = 1;
        std::size_t pointer_size = 0;
    };

    struct Anchor {
        json::value value;
        ScalarKind kind = ScalarKind::string;
        std::string text = {};  ///< of a scalar, for use as a key
        bool scalar = false;
        std::size_t nodes = 0;
        std::size_t bytes = 0;
        std::size_t height = 0;
    };

    [[noreturn]] void fail_at(int line, std::size_t column, const std::string& what,
                              ErrorKind kind = ErrorKind::invalid) const {
        throw Error{kind, (options_.file.empty() ? "yaml" : options_.file) + ":" +
                              std::to_string(line) + ":" + std::to_string(column) + ": " + what};
    }
    [[noreturn]] void fail(const yaml_mark_t& mark, const std::string& what,
                           ErrorKind kind = ErrorKind::invalid) const {
        fail_at(line_of(mark), mark.column + 1, what, kind);
    }

    [[noreturn]] void fail_as_parser() {
        if (parser_.error == YAML_MEMORY_ERROR) throw std::bad_alloc{};
        const std::string problem =
            parser_.problem == nullptr ? "not readable as YAML" : parser_.problem;
        if (parser_.error == YAML_READER_ERROR) {
            const auto before = text_.substr(0, parser_.problem_offset);
            const auto line = static_cast<int>(std::ranges::count(before, '\n'));
            fail_at(lines_before_ + line + 1, before.size() - (before.rfind('\n') + 1) + 1,
                    problem);
        }
        met_json_escape_ = problem == "found invalid Unicode character escape code";
        std::string what = problem;
        if (const std::string_view context = parser_.context == nullptr ? "" : parser_.context;
            context == "while scanning for the next token") {
            if (is_tab(parser_.problem_mark)) what += ": a tab, where YAML wants spaces";
        } else if (!context.empty()) {
            what.append(" ").append(context);
            if (parser_.context_mark.line != parser_.problem_mark.line) {
                what.append(" that starts in line ")
                    .append(std::to_string(line_of(parser_.context_mark)));
            }
        }
        fail(parser_.problem_mark, what);
    }

    [[nodiscard]] bool is_tab(const yaml_mark_t& mark) const noexcept {
        auto rest = text_;
        for (auto line = mark.line; line > 0; --line) {
            const auto end = rest.find('\n');
            if (end == std::string_view::npos) return false;
            rest.remove_prefix(end + 1);
        }
        return rest.substr(0, mark.column + 1).ends_with('\t');
    }

    [[nodiscard]] int line_of(const yaml_mark_t& mark) const noexcept {
        return lines_before_ + static_cast<int>(mark.line) + 1;
    }

    void count(std::size_t nodes, std::size_t bytes, const yaml_mark_t& mark) {
        nodes_ += nodes;
        bytes_ += bytes;
        if (nodes_ > options_.max_nodes) {
            fail(mark, "more than " + std::to_string(options_.max_nodes) + " values",
                 ErrorKind::exhausted);
        }
    }

    void open(json::value empty, std::string_view anchor, bool flow, const Event& event) {
        if (frames_.size() >= options_.max_depth) {
            fail(event.start_mark, "nested deeper than " + std::to_string(options_.max_depth),
                 ErrorKind::exhausted);
        }
        before_value(event);
        count(1, 0, event.start_mark);
        frames_.push_back(Frame{.value = std::move(empty),
                                .flow = flow || (!frames_.empty() && frames_.back().flow),
                                .anchor = std::string{anchor},
                                .nodes_before = nodes_ - 1,
                                .bytes_before = bytes_,
                                .pointer_size = pointer_.size()});
    }

    void close() {
        auto frame = std::move(frames_.back());
        frames_.pop_back();
        pointer_.resize(frame.pointer_size);
        auto* object = frame.value.if_object();
        if (object != nullptr) {
            for (auto& merge : frame.merges) {
                for (auto& [key, value] : merge.get_object())
                    object->emplace(key, std::move(value));
            }
        }
        if (!frame.anchor.empty()) {
            anchors_[frame.anchor] = Anchor{.value = frame.value,
                                            .nodes = nodes_ - frame.nodes_before,
                                            .bytes = bytes_ - frame.bytes_before,
                                            .height = frame.height};
        }
        add(std::move(frame.value), frame.height);
    }

    void scalar(const Event& event) {
        const auto& data = event.data.scalar;
        const std::string_view text{reinterpret_cast<const char*>(data.value), data.length};
        const auto tag = view(data.tag);
        const bool is_key = expects_key();
        count(1, text.size(), event.start_mark);
        if (is_key && (text == "<<" || is_own_tag(tag, "merge"))) {
            if (merge_key(data.plain_implicit != 0 || is_own_tag(tag, "merge"), event)) return;
        }
        if (!is_key) before_value(event);

        auto resolved = resolve(text, tag, event);
        if (resolved.kind == ScalarKind::floating && (!is_key || frames_.size() > 1)) {
            const auto number = resolved.value.get_double();
            if (!std::isfinite(number)) {
                fail(event.start_mark,
                     "JSON, and so Kubernetes, has no number " + std::string{text});
            }
        }
        if (const auto anchor = view(data.anchor); !anchor.empty()) {
            anchors_[std::string{anchor}] = Anchor{.value = value_of(resolved, text),
                                                   .kind = resolved.kind,
                                                   .text = std::string{text},
                                                   .scalar = true,
                                                   .nodes = 1,
                                                   .bytes = text.size()};
        }
        if (is_key) return key(text, resolved, event);
        if (options_.note_quoted && !frames_.empty()) {
            const auto& name = frames_.back().key;
            if (data.style != YAML_PLAIN_SCALAR_STYLE) {
                quoted_.push_back(quoted_mark(name, text));
                if (data.style == YAML_FOLDED_SCALAR_STYLE)
                    folded_.push_back(quoted_mark(name, text));
            } else if (text.empty()) {
                quoted_.push_back(nothing_mark(name));
            }
        }
        auto value = value_of(resolved, text);
        if (options_.note_quoted && !frames_.empty()) note_spelling(resolved.kind, text, value);
        add(std::move(value), 0);
    }

    void note_spelling(ScalarKind kind, std::string_view text, const json::value& value) {
        if (kind == ScalarKind::string) return;
        const bool as_printed =
            kind == ScalarKind::timestamp ? value.get_string() == text : to_json(value) == text;
        if (!as_printed) spelled_.emplace(spelling_mark(frames_.back().key, value), text);
    }

    static json::value value_of(Scalar& resolved, std::string_view text) {
        switch (resolved.kind) {
            case ScalarKind::string:
                return resolved.value.is_string() ? resolved.value : json::value(text);
            case ScalarKind::floating: return number_value(resolved.value.get_double());
            default: return resolved.value;
        }
    }

    /// What the scalar is by its style and tag. A `string` whose value is set is not its text.
    Scalar resolve(std::string_view text, std::string_view tag, const Event& event) {
        const auto& data = event.data.scalar;
        const bool manifest = options_.dialect == YamlDialect::manifest;
        Scalar resolved;
        if (is_own_tag(tag, "binary")) {
            const auto bytes = from_base64(text);
            if (!bytes) fail(event.start_mark, "!!binary holds what is not base64");
            resolved.value = to_utf8(*bytes);
            return resolved;
        }
        const bool plain = data.style == YAML_PLAIN_SCALAR_STYLE;
        constexpr std::string_view prefix = "tag:yaml.org,2002:";
        const auto name =
            tag.starts_with(prefix) ? "!!" + std::string{tag.substr(prefix.size())} : std::string{};
        const bool typed = name == "!!int" || name == "!!float" || name == "!!bool" ||
                           name == "!!null" || name == "!!timestamp";
        if ((plain && (tag.empty() || tag == "!")) || typed) {
            // The emitter kustomize reads again writes an absent value in a flow collection as ''.
            const bool quirk = manifest && plain && text.empty() && !typed && !frames_.empty() &&
                               frames_.back().flow;
            if (!quirk && !options_.scalars_are_text)
                resolved = resolve_scalar(text, options_.dialect);
        }
        if (typed && name_of(resolved.kind) != name) {
            if (name != "!!float" || resolved.kind != ScalarKind::integer) {
                fail(event.start_mark, "cannot decode " + std::string{name_of(resolved.kind)} +
                                           " `" + std::string{text} + "` as a " + name);
            }
        }
        // With a colon in it, and in a flow collection, that emitter writes quotes.
        const bool quoted_date =
            manifest && !frames_.empty() && frames_.back().flow && text.find(':') != text.npos;
        if (resolved.kind == ScalarKind::timestamp && (!manifest || quoted_date)) resolved = {};
        if (manifest && !plain && has_refused_character(text)) {
            fail(event.start_mark, "control characters are not allowed");
        }
        return resolved;
    }

    void alias(const Event& event) {
        const auto name = view(event.data.alias.anchor);
        const auto open = std::ranges::find(frames_, name, &Frame::anchor);
        if (open != frames_.end()) {
            fail(event.start_mark, "anchor '" + std::string{name} + "' contains itself");
        }
        const auto found = anchors_.find(std::string{name});
        if (found == anchors_.end()) {
            fail(event.start_mark, "unknown anchor '" + std::string{name} + "' referenced");
        }
        const auto& anchor = found->second;
        aliased_nodes_ += anchor.nodes;
        aliased_bytes_ += anchor.bytes;
        count(anchor.nodes, anchor.bytes, event.start_mark);
        if (is_excessive(aliased_nodes_, nodes_) || aliased_bytes_ > max_alias_bytes) {
            fail(event.start_mark, "document contains excessive aliasing", ErrorKind::exhausted);
        }
        if (frames_.size() + anchor.height > options_.max_depth) {
            fail(event.start_mark, "nested deeper than " + std::to_string(options_.max_depth),
                 ErrorKind::exhausted);
        }
        if (expects_key()) {
            if (!anchor.scalar) fail(event.start_mark, "a key must be a scalar");
            Scalar resolved{anchor.kind, anchor.value};
            return key(anchor.text, resolved, event);
        }
        before_value(event);
        add(anchor.value, anchor.height);
    }

    [[nodiscard]] bool expects_key() const {
        return !frames_.empty() && frames_.back().value.is_object() &&
               frames_.back().key_kind == Key::none;
    }

    /// A value begins: no mapping may stand where a key is due, and its line is noted.
    void before_value(const Event& event) {
        if (frames_.empty()) {
            first_line_ = line_of(event.start_mark);
            return;
        }
        if (expects_key()) fail(event.start_mark, "a key must be a scalar");
        auto& frame = frames_.back();
        const auto* array = frame.value.if_array();
        if (array == nullptr) return;
        if (frames_.size() == 2 && frames_.front().key == "items") {
            item_lines_.push_back(line_of(event.start_mark));
        }
        if (!options_.with_lines) return;
        pointer_.resize(frame.pointer_size);
        pointer_ += '/';
        pointer_ += std::to_string(array->size());
        lines_.emplace(pointer_, line_of(event.start_mark));
    }

    /// False when a quoted `<<` is just a key.
    bool merge_key(bool plain, const Event& event) {
        auto& frame = frames_.back();
        const bool manifest = options_.dialect == YamlDialect::manifest;
        if (!plain && !manifest) return false;
        if (plain && manifest && frame.has_merge) fail(event.start_mark, "duplicate merge key");
        frame.has_merge |= plain;
        frame.key_kind = plain ? Key::merge : Key::quoted_merge;
        frame.key = "<<";
        return true;
    }

    void key(std::string_view text, Scalar& resolved, const Event& event) {
        auto& frame = frames_.back();
        frame.key_kind = Key::plain;
        frame.key = key_text(text, resolved, event);
        if (options_.with_lines) {
            pointer_.resize(frame.pointer_size);
            append_step(pointer_, frame.key);
            lines_.insert_or_assign(pointer_, line_of(event.start_mark));
        }
        const auto& object = frame.value.get_object();
        const auto position = static_cast<std::size_t>(object.find(frame.key) - object.begin());
        const int line = line_of(event.start_mark);
        if (position == object.size()) {
            frame.key_lines.push_back(line);
        } else if (options_.duplicate_keys_are_errors && frame.key_lines[position] != 0) {
            fail(event.start_mark, "mapping key \"" + frame.key + "\" already defined at line " +
                                       std::to_string(frame.key_lines[position]));
        } else {
            frame.key_lines[position] = line;
        }
    }

    std::string key_text(std::string_view text, Scalar& resolved, const Event& event) const {
        if (resolved.kind == ScalarKind::string) {
            return resolved.value.is_string() ? std::string{resolved.value.get_string()}
                                              : std::string{text};
        }
        if (resolved.kind == ScalarKind::null) fail(event.start_mark, "a key must not be null");
        if (options_.dialect == YamlDialect::manifest) {
            if (frames_.size() == 1) return std::string{text};
            fail(event.start_mark,
                 "key " + std::string{text} + " is not a string: put it in quotes");
        }
        switch (resolved.kind) {
            case ScalarKind::boolean: return resolved.value.get_bool() ? "true" : "false";
            case ScalarKind::floating:
                return general_number(static_cast<float>(resolved.value.to_number<double>()));
            default: return to_json(resolved.value);
        }
    }

    void add(json::value value, std::size_t height) {
        if (frames_.empty()) {
            root_ = std::move(value);
            return;
        }
        auto& frame = frames_.back();
        frame.height = std::max(frame.height, height + 1);
        if (auto* array = frame.value.if_array()) {
            array->push_back(std::move(value));
            return;
        }
        const auto kind = std::exchange(frame.key_kind, Key::none);
        if (kind == Key::plain) {
            frame.value.get_object().insert_or_assign(frame.key, std::move(value));
        } else {
            merge(frame, std::move(value), kind == Key::merge);
        }
    }

    void merge(Frame& frame, json::value value, bool strict) {
        std::vector<json::value> maps;
        if (value.is_object()) {
            maps.push_back(std::move(value));
        } else if (auto* array = value.if_array()) {
            maps.assign(std::make_move_iterator(array->begin()),
                        std::make_move_iterator(array->end()));
        } else if (strict) {
            fail(parser_.mark, "map merge requires map or sequence of maps as the value");
        }
        if (!std::ranges::all_of(maps, &json::value::is_object)) {
            if (!strict) return;
            fail(parser_.mark, "map merge requires map or sequence of maps as the value");
        }
        if (options_.dialect == YamlDialect::manifest) {
            std::ranges::move(maps, std::back_inserter(frame.merges));
            return;
        }
        // yaml.v2 sets keys in the order of the text, and the earlier map of a list last.
        auto& object = frame.value.get_object();
        std::ranges::reverse(maps);
        for (auto& map : maps) {
            for (auto& [key, merged] : map.get_object()) {
                object.insert_or_assign(key, std::move(merged));
            }
        }
        frame.key_lines.resize(object.size());
    }

    Read finish() {
        Read read;
        read.document.value = std::move(root_);
        read.document.origin.file = options_.file;
        read.document.origin.line = first_line_;
        if (options_.with_lines) {
            read.document.origin.lines =
                std::make_shared<const std::map<std::string, int, std::less<>>>(std::move(lines_));
        }
        read.item_lines = std::move(item_lines_);
        if (!quoted_.empty()) {
            std::sort(quoted_.begin(), quoted_.end());
            read.document.quoted =
                std::make_shared<const std::vector<std::size_t>>(std::move(quoted_));
        }
        if (!folded_.empty()) {
            std::sort(folded_.begin(), folded_.end());
            read.document.folded =
                std::make_shared<const std::vector<std::size_t>>(std::move(folded_));
        }
        if (!spelled_.empty()) {
            read.document.spelled =
                std::make_shared<const std::map<std::size_t, std::string>>(std::move(spelled_));
        }
        return read;
    }

    std::string_view text_;
    const YamlOptions& options_;
    int lines_before_;
    yaml_parser_t parser_{};
    std::deque<Frame> frames_;
    json::value root_;
    std::unordered_map<std::string, Anchor> anchors_;
    std::size_t nodes_ = 0;
    std::size_t bytes_ = 0;
    std::size_t aliased_nodes_ = 0;
    std::vector<std::size_t> quoted_;
    std::map<std::size_t, std::string> spelled_;
    std::vector<std::size_t> folded_;
    std::size_t aliased_bytes_ = 0;
    int first_line_ = 0;
    std::string pointer_;
    std::map<std::string, int, std::less<>> lines_;
    std::vector<int> item_lines_;
    bool met_json_escape_ = false;
};

}  // namespace

std::optional<Read> read_yaml(std::string_view text, const YamlOptions& options, int lines_before) {
    Reader reader{text, options, lines_before};
    try {
        return reader.read();
    } catch (const Error&) {
        if (!reader.met_json_escape()) throw;
        const auto start = text.find_first_not_of(" \t\r\n");
        if (start == std::string_view::npos || (text[start] != '{' && text[start] != '[')) throw;
        try {
            Read read;
            read.document.value = parse_json(text.substr(start), options.max_depth);
            read.document.origin = {
                .file = options.file,
                .line = lines_before + 1 +
                        static_cast<int>(std::ranges::count(text.substr(0, start), '\n')),
                .lines = {}};
            return read;
        } catch (const Error&) {
        }
        throw;
    }
}

}  // namespace kled::kube
