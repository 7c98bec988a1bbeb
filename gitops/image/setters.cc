#include "gitops/image/setters.h"

#include "base/error.h"
#include "kube/object.h"
#include "kube/yaml.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

namespace kled::gitops {

namespace json = boost::json;

namespace {

constexpr std::string_view marker_key = "$imagepolicy";
constexpr std::string_view marker_token = "\"$imagepolicy\"";
constexpr std::string_view blank = " \t";
constexpr std::size_t remark_limit = 20;

bool is_blank(char c) { return c == ' ' || c == '\t'; }

bool all_of_set(std::string_view text, std::string_view more) {
    return std::ranges::all_of(text, [&](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               more.find(c) != std::string_view::npos;
    });
}

bool fits(const std::string& text, std::size_t limit, std::string_view more) {
    return !text.empty() && text.size() <= limit && all_of_set(text, more) &&
           all_of_set(text.substr(0, 1), "_");
}

/// A value and the marker behind it, both on one line.
struct Marked {
    std::size_t begin = 0;  ///< of the value in the text, quotes included
    std::size_t end = 0;
    int line = 0;
    std::string setter;
};

/// Reads one line from the left, as far as the value before the comment: keys, dashes, anchors and
/// tags are passed by. Whether it is YAML is not decided here: who asks compares with what a YAML
/// reader found on this line.
class Line {
public:
    explicit Line(std::string_view text) : text_{text} {}

    /// False: there is no value with a comment behind it.
    bool read() {
        skip_blanks();
        while (at_ < text_.size()) {
            const char c = text_[at_];
            if (c == '#') return false;
            if ((c == '-' || c == '?') && (at_ + 1 == text_.size() || is_blank(text_[at_ + 1]))) {
                ++at_;
            } else if (c == '&' || c == '!') {
                at_ = std::min(text_.find_first_of(blank, at_), text_.size());
            } else if (c == '"' || c == '\'') {
                if (!quoted(c)) return false;
                if (value_found_) return true;
            } else if (std::string_view{"|>{[*"}.find(c) != std::string_view::npos) {
                return false;
            } else {
                plain();
                if (value_found_) return true;
            }
            skip_blanks();
        }
        return false;
    }

    [[nodiscard]] std::size_t begin() const { return begin_; }
    [[nodiscard]] std::size_t end() const { return end_; }
    /// Without '#'.
    [[nodiscard]] std::string_view comment() const { return comment_; }

private:
    void skip_blanks() { at_ = std::min(text_.find_first_not_of(blank, at_), text_.size()); }

    /// A value is complete when a comment follows; what a colon follows was a key.
    bool behind(std::size_t begin, std::size_t end) {
        at_ = end;
        skip_blanks();
        if (at_ < text_.size() && text_[at_] == ':') {
            ++at_;
            return true;
        }
        if (at_ == end || at_ == text_.size() || text_[at_] != '#') return false;
        begin_ = begin;
        end_ = end;
        comment_ = text_.substr(at_);
        comment_.remove_prefix(std::min(comment_.find_first_not_of('#'), comment_.size()));
        return value_found_ = true;
    }

    bool quoted(char quote) {
        auto end = at_ + 1;
        for (; end < text_.size(); ++end) {
            if (quote == '"' && text_[end] == '\\') {
                ++end;
            } else if (text_[end] == quote) {
                if (quote == '"' || end + 1 == text_.size() || text_[end + 1] != '\'') break;
                ++end;
            }
        }
        return end < text_.size() && behind(at_, end + 1);
    }

    void plain() {
        const auto begin = at_;
        auto end = at_;  // behind the last character that is no blank
        for (; at_ < text_.size(); ++at_) {
            const char c = text_[at_];
            if (c == '#' && at_ > begin && is_blank(text_[at_ - 1])) break;
            const bool last = at_ + 1 == text_.size() || is_blank(text_[at_ + 1]);
            if (c == ':' && last) break;
            if (!is_blank(c)) end = at_ + 1;
        }
        if (!behind(begin, end)) at_ = text_.size();
    }

    std::string_view text_;
    std::size_t at_ = 0;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
    std::string_view comment_;
    bool value_found_ = false;
};

kube::YamlOptions yaml_options(const std::string& file) {
    kube::YamlOptions options;
    options.file = file;
    options.with_lines = true;
    options.duplicate_keys_are_errors = false;
    options.scalars_are_text = true;
    return options;
}

/// What a scalar says, without its quotes.
std::optional<std::string> decoded(std::string_view scalar) {
    try {
        kube::YamlOptions options;
        options.scalars_are_text = true;
        const auto value = kube::parse_yaml(scalar, options);
        if (value.is_string()) return std::string{value.get_string()};
    } catch (const Error&) {
    }
    return std::nullopt;
}

/// `value` in the style of `before`.
std::string styled(const std::string& value, std::string_view before) {
    if (before.starts_with('"')) return '"' + value + '"';
    if (before.starts_with('\'')) return '\'' + value + '\'';
    for (const auto dialect : {kube::YamlDialect::manifest, kube::YamlDialect::configuration}) {
        kube::YamlOptions options;
        options.dialect = dialect;
        const auto read = kube::parse_yaml(value, options);
        if (!read.is_string() || read.get_string() != value) return '"' + value + '"';
    }
    return value;
}

ObjectIdentity identity_of(const json::value& document) {
    if (!document.is_object()) return {};
    const kube::Object object{document.get_object()};
    return {.api_version = std::string{object.api_version()},
            .kind = std::string{object.kind()},
            .name = std::string{object.name()},
            .ns = std::string{object.ns()}};
}

/// One file being set.
class Setting {
public:
    Setting(std::string_view text, const std::string& file, const ElectedImages& elected)
        : text_{text}, file_{file}, elected_{elected} {}

    SetFile run() {
        find_markers();
        if (marked_.empty()) return std::move(result_);
        try {
            documents_ = kube::parse_yaml_stream(text_, yaml_options(file_));
            find_places();
            for (const auto& marked : marked_) set(marked);
            if (!edits_.empty()) write();
        } catch (const Error& error) {
            result_.text.clear();
            result_.changes.clear();
            result_.remarks = {std::string{error.what()}};
        }
        return std::move(result_);
    }

private:
    struct Edit {
        Marked at;
        std::string text;   ///< as it is written
        std::string value;  ///< as it is read
        std::size_t document = 0;
        std::string pointer;
    };

    void remark(int line, const std::string& what) {
        if (result_.remarks.size() < remark_limit)
            result_.remarks.push_back(file_ + ":" + std::to_string(line) + ": " + what);
    }

    void find_markers() {
        int line = 0;
        for (std::size_t begin = 0; begin < text_.size();) {
            ++line;
            const auto end = std::min(text_.find('\n', begin), text_.size());
            auto content = text_.substr(begin, end - begin);
            if (content.ends_with('\r')) content.remove_suffix(1);
            if (content.find(marker_token) != std::string_view::npos)
                find_marker(content, begin, line);
            begin = end + 1;
        }
    }

    void find_marker(std::string_view content, std::size_t begin, int number) {
        Line line{content};
        if (!line.read()) {
            const auto first = content.find_first_not_of(blank);
            if (content[first] != '#') remark(number, "no value that can be set before the marker");
            return;
        }
        std::string setter;
        try {
            const auto comment = kube::parse_json(line.comment());
            if (const auto* name = kube::find(comment, {marker_key});
                name != nullptr && name->is_string())
                setter = name->get_string();
        } catch (const Error&) {
        }
        if (setter.empty()) {
            remark(number, R"(the comment is not {"$imagepolicy": "namespace:policy"})");
            return;
        }
        if (!value_of(setter, number)) return;
        marked_.push_back({.begin = begin + line.begin(),
                           .end = begin + line.end(),
                           .line = number,
                           .setter = std::move(setter)});
    }

    /// nullopt: it is not for us, or there is nothing to set.
    std::optional<std::string> value_of(const std::string& setter, int line) {
        const auto colon = setter.find(':');
        const auto second = colon == std::string::npos ? colon : setter.find(':', colon + 1);
        const auto found = elected_.find(setter.substr(0, second));
        if (found == elected_.end()) return std::nullopt;
        const auto& ref = found->second;
        const auto field = second == std::string::npos ? "" : setter.substr(second + 1);
        if (field.empty() && second == std::string::npos) return ref.to_string();
        if (field == "tag") return ref.tag;
        if (field == "name") return ref.name;
        if (field == "digest" && !ref.digest.empty()) return ref.digest;
        remark(line, field == "digest" ? "the policy has no digest (spec.digestReflectionPolicy)"
                                       : "'" + setter + "' ends with none of :tag, :name, :digest");
        return std::nullopt;
    }

    /// What the reader found on the lines with a marker.
    void find_places() {
        for (const auto& marked : marked_) places_.emplace(marked.line, Place{});
        const auto lines = std::exchange(places_, {});
        for (std::size_t i = 0; i < documents_.size(); ++i) {
            const auto& all = documents_[i].origin.lines;
            if (!all) continue;
            for (const auto& [pointer, line] : *all) {
                if (lines.contains(line)) places_.emplace(line, Place{i, pointer});
            }
        }
    }

    void set(const Marked& marked) {
        const auto before = text_.substr(marked.begin, marked.end - marked.begin);
        const auto old = decoded(before);
        const auto value = value_of(marked.setter, marked.line);
        if (!old || !value) return;
        const auto [first, last] = places_.equal_range(marked.line);
        for (auto place = first; place != last; ++place) {
            const auto& [document, pointer] = place->second;
            boost::system::error_code absent;
            const auto* there = documents_[document].value.find_pointer(pointer, absent);
            if (there == nullptr || !there->is_string() || there->get_string() != *old) continue;
            if (*old == *value) return;
            edits_.push_back({.at = marked,
                              .text = styled(*value, before),
                              .value = *value,
                              .document = document,
                              .pointer = pointer});
            result_.changes[identity_of(documents_[document].value)].push_back(
                {.old_value = *old, .new_value = *value, .setter = marked.setter});
            return;
        }
        remark(marked.line, "the marker does not stand behind a value of its own line");
    }

    void write() {
        std::string text;
        std::size_t from = 0;
        for (const auto& edit : edits_) {
            text += text_.substr(from, edit.at.begin - from);
            text += edit.text;
            from = edit.at.end;
        }
        text += text_.substr(from);
        // As it will be read: if it is not what was meant, it is better not written.
        const auto after = kube::parse_yaml_stream(text, yaml_options(file_));
        const bool meant =
            after.size() == documents_.size() && std::ranges::all_of(edits_, [&](const Edit& edit) {
                boost::system::error_code absent;
                const auto* value = after[edit.document].value.find_pointer(edit.pointer, absent);
                return value != nullptr && value->is_string() && value->get_string() == edit.value;
            });
        if (!meant)
            throw Error{ErrorKind::invalid, file_ + ": its values cannot be set where they stand"};
        result_.text = std::move(text);
    }

    std::string_view text_;
    const std::string& file_;
    const ElectedImages& elected_;
    std::vector<Marked> marked_;
    std::vector<kube::YamlDocument> documents_;
    using Place = std::pair<std::size_t, std::string>;  // document, pointer
    std::multimap<int, Place> places_;                  // by line
    std::vector<Edit> edits_;                           // in the order of the text
    SetFile result_;
};

}  // namespace

std::string ImageRef::to_string() const {
    return name + ":" + tag + (digest.empty() ? "" : "@" + digest);
}

bool is_image_tag(const std::string& tag) {
    constexpr std::size_t limit = 128;
    return fits(tag, limit, "._-");
}

bool is_image_ref(const ImageRef& ref) {
    constexpr std::size_t name_limit = 255;
    constexpr std::size_t digest_limit = 256;
    return fits(ref.name, name_limit, "._-/:") && !ref.name.ends_with(':') &&
           is_image_tag(ref.tag) &&
           (ref.digest.empty() ||
            (fits(ref.digest, digest_limit, "+._-:") && ref.digest.find(':') != std::string::npos));
}

bool has_marker(std::string_view text) { return text.find(marker_token) != std::string_view::npos; }

SetFile set_images(std::string_view text, const std::string& file, const ElectedImages& elected) {
    if (!has_marker(text)) return {};
    return Setting{text, file, elected}.run();
}

}  // namespace kled::gitops
