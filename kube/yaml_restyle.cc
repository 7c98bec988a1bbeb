#include "kube/yaml_restyle.h"

#include "base/error.h"
#include "kube/yaml.h"
#include "kube/yaml_comment_writer.h"
#include "kube/yaml_comments.h"
#include "kube/yaml_scalar.h"

#include <yaml.h>

#include <set>
#include <utility>
#include <vector>

namespace kled::kube {

namespace {

class Document {
public:
    Document() = default;
    ~Document() {
        if (filled) yaml_document_delete(&value);
    }
    Document(const Document&) = delete;
    Document& operator=(const Document&) = delete;

    yaml_document_t value{};
    bool filled = false;
};

void read(Document& document, std::string_view text) {
    yaml_parser_t parser;
    if (yaml_parser_initialize(&parser) == 0) throw Error{ErrorKind::exhausted, "YAML: no memory"};
    yaml_parser_set_input_string(&parser, reinterpret_cast<const unsigned char*>(text.data()),
                                 text.size());
    document.filled = yaml_parser_load(&parser, &document.value) != 0;
    yaml_parser_delete(&parser);
    if (!document.filled) throw Error{ErrorKind::invalid, "no YAML document"};
}

std::string_view text_of(const yaml_node_t& node) {
    return {reinterpret_cast<const char*>(node.data.scalar.value), node.data.scalar.length};
}

/// A new document node by node, each in the style of the old one where there is one.
class Restyler {
public:
    Restyler(yaml_document_t& old, YamlCommentMap comments,
             const std::set<const json::value*>& fresh)
        : old_{old}, comments_{std::move(comments)}, fresh_{fresh} {
        made_.filled = yaml_document_initialize(&made_.value, nullptr, nullptr, nullptr, 1, 1) != 0;
        check(made_.filled ? 1 : 0);
    }

    std::string run(const json::value& value) {
        add(value, yaml_document_get_root_node(&old_));
        auto text = dump();
        // A carriage return in a text moves what libyaml says of places.
        if (text.find('\r') != text.npos) return text;
        try {
            return with_comments(text);
        } catch (const Error& error) {
            if (error.kind() != ErrorKind::invalid) throw;
            return text;  // libyaml cannot read all that it writes
        }
    }

private:
    std::string dump() {
        std::string text;
        yaml_emitter_t emitter;
        check(yaml_emitter_initialize(&emitter));
        yaml_emitter_set_output(&emitter, append, &text);
        yaml_emitter_set_unicode(&emitter, 1);
        yaml_emitter_set_width(&emitter, -1);
        // Dumping takes the document, also when it fails.
        made_.filled = false;
        const bool dumped = yaml_emitter_open(&emitter) != 0 &&
                            yaml_emitter_dump(&emitter, &made_.value) != 0 &&
                            yaml_emitter_close(&emitter) != 0;
        yaml_emitter_delete(&emitter);
        if (!dumped) throw Error{ErrorKind::invalid, "a document that cannot be written as YAML"};
        return text;
    }

    std::string with_comments(std::string_view text) {
        std::vector<YamlNodeNotation> bare;
        for (const auto& node : in_order_) bare.push_back({.block = node.block});
        auto commented =
            write_with_comments(text, std::move(comments_.document), std::move(in_order_));
        if (!commented.within_brackets || can_be_read(commented.text))
            return std::move(commented.text);
        return write_with_comments(text, {}, std::move(bare)).text;
    }

    /// Within brackets yaml.v3 sets commas by what comments it knows of, and not always right.
    static bool can_be_read(std::string_view text) {
        try {
            (void)parse_yaml(text);
            return true;
        } catch (const Error&) {
            return false;
        }
    }

    static int append(void* text, unsigned char* bytes, std::size_t size) {
        static_cast<std::string*>(text)->append(reinterpret_cast<const char*>(bytes), size);
        return 1;
    }

    static int check(int id) {
        if (id == 0) throw Error{ErrorKind::exhausted, "YAML: no memory"};
        return id;
    }

    /// What is added next has the comments of `old`. Those of an alias's text are written once, so
    /// that aliases cannot multiply them.
    void note(const yaml_node_t* old, YamlNodeKind kind) {
        in_order_.emplace_back();
        if (old == nullptr) return;
        const auto found = comments_.nodes.find({old->start_mark.index, kind});
        if (found != comments_.nodes.end())
            in_order_.back().comments = std::exchange(found->second, {});
    }
    static YamlNodeKind kind_of(const yaml_node_t* node) {
        if (node == nullptr || node->type == YAML_SCALAR_NODE) return YamlNodeKind::scalar;
        return node->type == YAML_MAPPING_NODE ? YamlNodeKind::mapping : YamlNodeKind::sequence;
    }

    int add(const json::value& value, const yaml_node_t* old) {
        if (fresh_.contains(&value)) old = nullptr;
        note(old, kind_of(old));
        if (const auto* object = value.if_object()) return add_mapping(*object, old);
        if (const auto* array = value.if_array()) return add_sequence(*array, old);
        return add_scalar(value, old);
    }

    int add_mapping(const json::object& object, const yaml_node_t* old) {
        const bool was_mapping = old != nullptr && old->type == YAML_MAPPING_NODE;
        const auto style = was_mapping ? old->data.mapping.style : YAML_ANY_MAPPING_STYLE;
        const int mapping = check(yaml_document_add_mapping(&made_.value, nullptr, style));
        std::set<std::string_view> done;
        if (was_mapping) {
            const auto& pairs = old->data.mapping.pairs;
            for (auto* pair = pairs.start; pair != pairs.top; ++pair) {
                const auto* key = yaml_document_get_node(&old_, pair->key);
                if (key->type != YAML_SCALAR_NODE) continue;
                const auto* field = object.if_contains(text_of(*key));
                if (field == nullptr || !done.insert(text_of(*key)).second) continue;
                note(key, YamlNodeKind::scalar);
                const int name = add_text(text_of(*key), key->data.scalar.style);
                append_pair(mapping, name, add(*field, yaml_document_get_node(&old_, pair->value)));
            }
        }
        for (const auto& field : object) {
            if (done.contains(field.key())) continue;
            note(nullptr, YamlNodeKind::scalar);
            const int name = add_scalar(json::value(field.key()), nullptr);
            append_pair(mapping, name, add(field.value(), nullptr));
        }
        return mapping;
    }

    void append_pair(int mapping, int key, int value) {
        check(yaml_document_append_mapping_pair(&made_.value, mapping, key, value));
    }

    int add_sequence(const json::array& array, const yaml_node_t* old) {
        const bool was_sequence = old != nullptr && old->type == YAML_SEQUENCE_NODE;
        const auto style = was_sequence ? old->data.sequence.style : YAML_ANY_SEQUENCE_STYLE;
        const int sequence = check(yaml_document_add_sequence(&made_.value, nullptr, style));
        const auto length = was_sequence ? static_cast<std::size_t>(old->data.sequence.items.top -
                                                                    old->data.sequence.items.start)
                                         : 0;
        for (std::size_t i = 0; i < array.size(); ++i) {
            const auto* before =
                i < length ? yaml_document_get_node(&old_, old->data.sequence.items.start[i])
                           : nullptr;
            check(
                yaml_document_append_sequence_item(&made_.value, sequence, add(array[i], before)));
        }
        return sequence;
    }

    int add_scalar(const json::value& value, const yaml_node_t* old) {
        const bool was_scalar = old != nullptr && old->type == YAML_SCALAR_NODE;
        const bool was_plain = was_scalar && old->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
        if (was_plain && same(text_of(*old), value))
            return add_text(text_of(*old), YAML_PLAIN_SCALAR_STYLE);
        const auto* string = value.if_string();
        if (string == nullptr) return add_text(to_json(value), YAML_PLAIN_SCALAR_STYLE);
        if (was_scalar && !was_plain) return add_text(*string, old->data.scalar.style);
        const bool ambiguous =
            resolve_scalar(*string, YamlDialect::manifest).kind != ScalarKind::string;
        const bool lines = string->find('\n') != string->npos;
        return add_text(*string, lines       ? YAML_LITERAL_SCALAR_STYLE
                                 : ambiguous ? YAML_DOUBLE_QUOTED_SCALAR_STYLE
                                             : YAML_PLAIN_SCALAR_STYLE);
    }

    static bool same(std::string_view text, const json::value& value) {
        const auto scalar = resolve_scalar(text, YamlDialect::manifest);
        return scalar.kind == ScalarKind::string ? value.is_string() && value.get_string() == text
                                                 : scalar.value == value;
    }

    int add_text(std::string_view text, yaml_scalar_style_t style) {
        const bool folded = style == YAML_FOLDED_SCALAR_STYLE;
        if ((folded || style == YAML_LITERAL_SCALAR_STYLE) && text.find('\t') != text.npos)
            in_order_.back().block = folded ? '>' : '|';
        return check(yaml_document_add_scalar(&made_.value, nullptr,
                                              reinterpret_cast<const unsigned char*>(text.data()),
                                              static_cast<int>(text.size()), style));
    }

    yaml_document_t& old_;
    YamlCommentMap comments_;
    const std::set<const json::value*>& fresh_;
    std::vector<YamlNodeNotation> in_order_;  ///< of the nodes added so far
    Document made_;
};

}  // namespace

std::string restyle_yaml(const json::value& value, std::string_view original,
                         const std::set<const json::value*>& fresh) {
    Document old;
    read(old, original);
    return Restyler{old.value, read_yaml_comments(original), fresh}.run(value);
}

}  // namespace kled::kube
