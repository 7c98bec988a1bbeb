#include "kube/yaml_comments.h"

#include "kube/yaml_comment_tokens.h"

#include <optional>
#include <utility>
#include <vector>

namespace kled::kube {

namespace {

using Place = std::pair<std::size_t, YamlNodeKind>;

/// What a node comes to while its parent may still move its foot.
struct Node {
    Place place{std::string::npos, YamlNodeKind::scalar};
    YamlComments comments = {};
};

/// Walks the tokens as yaml.v3's parser does. Each token that is looked at brings in the comments
/// that stand before it; the next node to come takes them.
class Reader {
public:
    Reader(ScannedText text, YamlCommentMap& into) : text_{std::move(text)}, into_{into} {}

    void run() {
        if (peek() == YAML_STREAM_START_TOKEN) ++at_;
        while (peek() == YAML_VERSION_DIRECTIVE_TOKEN || peek() == YAML_TAG_DIRECTIVE_TOKEN) ++at_;
        if (peek() == YAML_DOCUMENT_START_TOKEN) {
            ++at_;
        } else {
            split_document_head();
        }
        const auto root = is_end_of_document(peek()) ? Node{} : node(false);
        keep(root);
        (void)peek();
        auto rest = take();
        into_.document.foot = std::move(rest.foot.empty() ? rest.head : rest.foot);
    }

private:
    static bool is_end_of_document(yaml_token_type_t type) {
        return type == YAML_STREAM_END_TOKEN || type == YAML_DOCUMENT_END_TOKEN ||
               type == YAML_DOCUMENT_START_TOKEN;
    }

    static void append(std::string& text, std::string&& more) {
        if (more.empty()) return;
        if (text.empty()) {
            text = std::move(more);
        } else {
            text.append(1, '\n').append(more);
        }
    }

    /// The present token's type, its comments taken in.
    yaml_token_type_t peek() {
        if (at_ >= text_.tokens.size()) return YAML_STREAM_END_TOKEN;
        const auto& token = text_.tokens[at_];
        auto& comments = text_.comments;
        for (; next_comment_ < comments.size(); ++next_comment_) {
            auto& comment = comments[next_comment_];
            if (comment.belongs_at > token.start) break;
            if (!comment.head.empty() && token.type == YAML_BLOCK_END_TOKEN) break;
            append(pending_.head, std::move(comment.head));
            append(pending_.line, std::move(comment.line));
            append(pending_.foot, std::move(comment.foot));
        }
        return token.type;
    }

    [[nodiscard]] std::size_t start() const {
        return at_ < text_.tokens.size() ? static_cast<std::size_t>(text_.tokens[at_].start) : 0;
    }

    YamlComments take() {
        stem_.reset();
        return std::exchange(pending_, {});
    }

    void keep(const Node& node) {
        if (!node.comments.empty()) into_.nodes.try_emplace(node.place, node.comments);
    }

    /// What stands above the last empty line before the first node is the document's.
    void split_document_head() {
        auto& head = pending_.head;
        if (head.empty()) return;
        if (head.ends_with('\n')) {
            head.pop_back();
            into_.document.head = std::exchange(head, {});
            return;
        }
        const auto gap = head.rfind("\n\n");
        if (gap == head.npos) return;
        into_.document.head = head.substr(0, gap);
        head.erase(0, gap + 2);
    }

    Node node(bool may_be_indentless) {
        auto type = peek();
        const auto begin = start();
        if (type == YAML_ALIAS_TOKEN) {
            (void)take();
            ++at_;
            return {};
        }
        while (type == YAML_ANCHOR_TOKEN || type == YAML_TAG_TOKEN) {
            ++at_;
            type = peek();
        }
        switch (type) {
            case YAML_SCALAR_TOKEN: {
                Node scalar{{begin, YamlNodeKind::scalar}, take()};
                ++at_;
                return scalar;
            }
            case YAML_BLOCK_ENTRY_TOKEN:
                return may_be_indentless ? block_sequence(begin, true) : Node{};
            case YAML_BLOCK_SEQUENCE_START_TOKEN: return block_sequence(begin, false);
            case YAML_BLOCK_MAPPING_START_TOKEN: return block_mapping(begin);
            case YAML_FLOW_SEQUENCE_START_TOKEN: return flow_sequence(begin);
            case YAML_FLOW_MAPPING_START_TOKEN: return flow_mapping(begin);
            default: return {};  // nothing but an anchor or a tag
        }
    }

    std::string take_stem() {
        auto stem = stem_ ? std::move(*stem_) : std::string{};
        stem_.reset();
        return stem;
    }

    Node block_sequence(std::size_t begin, bool indentless) {
        Node sequence{{begin, YamlNodeKind::sequence}, {}};
        if (!indentless) {
            sequence.comments.head = take_stem();
            ++at_;
        }
        while (peek() == YAML_BLOCK_ENTRY_TOKEN) {
            const auto stem = pending_.head.size();
            ++at_;
            const auto type = peek();
            if (stem > 0 && (type == YAML_BLOCK_SEQUENCE_START_TOKEN ||
                             type == YAML_BLOCK_MAPPING_START_TOKEN)) {
                // The comment before the `-` is the element's as a whole, the one behind it is its
                // first part's.
                stem_ = pending_.head.substr(0, stem);
                pending_.head.erase(0, stem == pending_.head.size() ? stem : stem + 1);
            }
            const bool is_empty =
                type == YAML_BLOCK_ENTRY_TOKEN || type == YAML_BLOCK_END_TOKEN ||
                (indentless && (type == YAML_KEY_TOKEN || type == YAML_VALUE_TOKEN));
            if (!is_empty) keep(node(false));
        }
        if (!indentless && peek() == YAML_BLOCK_END_TOKEN) ++at_;
        return sequence;
    }

    Node block_mapping(std::size_t begin) {
        Node mapping{{begin, YamlNodeKind::mapping}, {}};
        mapping.comments.head = take_stem();
        ++at_;
        std::optional<Node> former;
        for (;;) {
            auto type = peek();
            if (type != YAML_KEY_TOKEN && type != YAML_VALUE_TOKEN) break;
            Node key;
            if (type == YAML_KEY_TOKEN) {
                ++at_;
                if (!is_end_of_pair(peek())) key = node(true);
            }
            if (former) {
                // A foot on a key stands before it: it is that of the one before.
                if (!key.comments.foot.empty())
                    former->comments.foot = std::exchange(key.comments.foot, {});
                keep(*former);
            }
            if (peek() == YAML_VALUE_TOKEN) {
                ++at_;
                if (!is_end_of_pair(peek())) {
                    auto value = node(true);
                    if (key.comments.foot.empty())
                        key.comments.foot = std::exchange(value.comments.foot, {});
                    keep(value);
                }
            }
            former = std::move(key);
        }
        if (peek() == YAML_BLOCK_END_TOKEN) {
            auto rest = take();
            mapping.comments.line = std::move(rest.line);
            mapping.comments.foot = std::move(rest.foot);
            ++at_;
        }
        if (former) {
            if (!mapping.comments.foot.empty())
                former->comments.foot = std::exchange(mapping.comments.foot, {});
            keep(*former);
        }
        return mapping;
    }

    static bool is_end_of_pair(yaml_token_type_t type) {
        return type == YAML_KEY_TOKEN || type == YAML_VALUE_TOKEN || type == YAML_BLOCK_END_TOKEN;
    }

    Node flow_sequence(std::size_t begin) {
        Node sequence{{begin, YamlNodeKind::sequence}, take()};
        ++at_;
        for (;;) {
            auto type = peek();
            if (type == YAML_FLOW_ENTRY_TOKEN) {
                ++at_;
                continue;
            }
            if (type == YAML_FLOW_SEQUENCE_END_TOKEN || type == YAML_STREAM_END_TOKEN) break;
            if (type == YAML_KEY_TOKEN) {
                flow_pair();
                continue;
            }
            const auto before = at_;
            keep(node(false));
            if (at_ == before) break;
        }
        end_flow(sequence);
        return sequence;
    }

    Node flow_mapping(std::size_t begin) {
        Node mapping{{begin, YamlNodeKind::mapping}, take()};
        ++at_;
        for (;;) {
            const auto type = peek();
            if (type == YAML_FLOW_ENTRY_TOKEN) {
                ++at_;
                continue;
            }
            if (type == YAML_FLOW_MAPPING_END_TOKEN || type == YAML_STREAM_END_TOKEN) break;
            const auto before = at_;
            flow_pair();
            if (at_ == before) break;
        }
        end_flow(mapping);
        return mapping;
    }

    void flow_pair() {
        Node key;
        if (peek() == YAML_KEY_TOKEN) ++at_;
        if (!is_end_of_flow_node(peek())) key = node(false);
        if (peek() == YAML_VALUE_TOKEN) {
            ++at_;
            if (!is_end_of_flow_node(peek())) {
                auto value = node(false);
                if (key.comments.foot.empty())
                    key.comments.foot = std::exchange(value.comments.foot, {});
                keep(value);
            }
        }
        keep(key);
    }

    static bool is_end_of_flow_node(yaml_token_type_t type) {
        return type == YAML_VALUE_TOKEN || type == YAML_FLOW_ENTRY_TOKEN ||
               type == YAML_FLOW_MAPPING_END_TOKEN || type == YAML_FLOW_SEQUENCE_END_TOKEN ||
               type == YAML_STREAM_END_TOKEN;
    }

    void end_flow(Node& collection) {
        auto rest = take();
        collection.comments.line = std::move(rest.line);
        collection.comments.foot = std::move(rest.foot);
        ++at_;
    }

    ScannedText text_;
    YamlCommentMap& into_;
    std::size_t at_ = 0;
    std::size_t next_comment_ = 0;
    YamlComments pending_;
    std::optional<std::string> stem_;
};

}  // namespace

YamlCommentMap read_yaml_comments(std::string_view text) {
    YamlCommentMap map;
    if (text.find('#') == text.npos) return map;
    auto scanned = scan_comments(text);
    if (scanned.comments.empty()) return map;
    Reader{std::move(scanned), map}.run();
    return map;
}

}  // namespace kled::kube
