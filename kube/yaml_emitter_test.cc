/// Our emitter beside libyaml's, on random documents.
#include "kube/yaml.h"

#include <gtest/gtest.h>
#include <yaml.h>

#include <cstdlib>
#include <random>

namespace kled::kube {
namespace {

/// What the emitter of libyaml makes of the value; objects must be in output order.
class Reference {
public:
    explicit Reference(const json::value& value) {
        yaml_emitter_initialize(&emitter_);
        yaml_emitter_set_unicode(&emitter_, 1);
        yaml_emitter_set_output(&emitter_, append, &text_);
        yaml_event_t event;
        yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING);
        yaml_emitter_emit(&emitter_, &event);
        yaml_document_start_event_initialize(&event, nullptr, nullptr, nullptr, 1);
        yaml_emitter_emit(&emitter_, &event);
        emit(value);
        yaml_document_end_event_initialize(&event, 1);
        yaml_emitter_emit(&emitter_, &event);
        yaml_emitter_delete(&emitter_);
    }
    Reference(const Reference&) = delete;
    Reference& operator=(const Reference&) = delete;
    [[nodiscard]] const std::string& text() const { return text_; }

private:
    static int append(void* text, unsigned char* bytes, std::size_t size) {
        static_cast<std::string*>(text)->append(reinterpret_cast<char*>(bytes), size);
        return 1;
    }
    void emit(const json::value& value) {
        yaml_event_t event;
        if (const auto* object = value.if_object()) {
            yaml_mapping_start_event_initialize(&event, nullptr, nullptr, 1,
                                                YAML_BLOCK_MAPPING_STYLE);
            yaml_emitter_emit(&emitter_, &event);
            for (const auto& [key, member] : *object) {
                scalar(key);
                emit(member);
            }
            yaml_mapping_end_event_initialize(&event);
            yaml_emitter_emit(&emitter_, &event);
        } else if (const auto* array = value.if_array()) {
            yaml_sequence_start_event_initialize(&event, nullptr, nullptr, 1,
                                                 YAML_BLOCK_SEQUENCE_STYLE);
            yaml_emitter_emit(&emitter_, &event);
            for (const auto& element : *array) emit(element);
            yaml_sequence_end_event_initialize(&event);
            yaml_emitter_emit(&emitter_, &event);
        } else {
            scalar(value.get_string());
        }
    }
    void scalar(std::string_view text) {
        const auto style = text.find('\n') != std::string_view::npos ? YAML_LITERAL_SCALAR_STYLE
                           : text.empty() ? YAML_DOUBLE_QUOTED_SCALAR_STYLE
                                          : YAML_PLAIN_SCALAR_STYLE;
        yaml_event_t event;
        yaml_scalar_event_initialize(&event, nullptr, nullptr,
                                     reinterpret_cast<const yaml_char_t*>(text.data()),
                                     static_cast<int>(text.size()), 1, 1, style);
        yaml_emitter_emit(&emitter_, &event);
    }

    yaml_emitter_t emitter_{};
    std::string text_;
};

class Generator {
public:
    explicit Generator(unsigned seed) : random_{seed} {}

    json::value value(int depth) {
        switch (depth == 0 ? 0 : below(4)) {
            case 1: {
                json::array array;
                for (auto n = below(4); n > 0; --n) array.push_back(value(depth - 1));
                return array;
            }
            case 2: {
                json::object object;
                char first = 'a';  // keeps the order of the keys, and them from being numbers
                for (auto n = below(4); n > 0; --n)
                    object.emplace(std::string(1, first++) + text() + "k", value(depth - 1));
                return object;
            }
            default: break;
        }
        // In Go's emitter, and ours, a few texts differ from libyaml's (docs/yaml.md).
        auto string = "x" + text();
        if (below(3) == 0) string.erase(0, 1);
        const auto differs = string.starts_with("\xEF\xBB\xBF") || string.ends_with("\u2028") ||
                             string.find_first_of("0123456789yn~.-+") == 0;
        return json::value(differs ? "same" : string);
    }

private:
    std::size_t below(std::size_t n) {
        return std::uniform_int_distribution<std::size_t>{0, n - 1}(random_);
    }

    std::string text() {
        static const std::vector<std::string> pieces{
            "a",
            "word ",
            " ",
            "  ",
            "\n",
            "\n\n",
            ": ",
            ":",
            " #",
            "#",
            "-",
            "- ",
            "'",
            "\"",
            "\\",
            "\t",
            "é",
            "日本 ",
            "😀",
            "\u2028",
            "\u0085",
            "\xEF\xBB\xBF",
            "\x01",
            "---",
            "...",
            "?",
            "? ",
            ",",
            "[",
            "]",
            "{",
            "}",
            "&",
            "*",
            "!",
            "|",
            ">",
            "%",
            "@",
            "`",
            "\r",
            "\u00A0",
            "=",
            "a fairly long text of many words which goes past the width of a line, so it folds "};
        std::string text;
        for (auto n = below(below(8) == 0 ? 40 : 6); n > 0; --n)
            text += pieces[below(pieces.size())];
        return text;
    }

    std::mt19937 random_;
};

TEST(YamlWriter, WritesWhatLibyamlWritesAndReadsItBack) {
    const auto* soak = std::getenv("KLED_SOAK");
    const unsigned rounds = soak == nullptr ? 3000 : static_cast<unsigned>(std::atoi(soak)) * 1000U;
    for (unsigned seed = 0; seed != rounds; ++seed) {
        const auto value = Generator{seed}.value(4);
        const auto text = to_yaml(value);
        ASSERT_EQ(text, Reference{value}.text()) << "seed " << seed << " " << to_json(value);
        ASSERT_EQ(to_json(parse_yaml(text)), to_json(value)) << "seed " << seed;
    }
}

}  // namespace
}  // namespace kled::kube
