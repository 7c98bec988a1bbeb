#include "gitops/image/setters.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kled::gitops {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

const std::string digest = "sha256:" + std::string(64, 'a');
const ElectedImages elected{
    {"flux-system:app", {.name = "registry.example.org:5000/app", .tag = "2.0.1", .digest = {}}},
    {"flux-system:pinned", {.name = "example.org/pinned", .tag = "v3", .digest = digest}},
    {"flux-system:number", {.name = "example.org/number", .tag = "1.30", .digest = {}}},
};

SetFile set(const std::string& text) { return set_images(text, "f.yaml", elected); }

/// The text after it, or the same where nothing was set.
std::string text_of(const std::string& text) {
    auto result = set(text);
    EXPECT_THAT(result.remarks, IsEmpty());
    return result.text.empty() ? text : result.text;
}

TEST(Setters, SetsWhatIsMarkedAndNothingElse) {
    const auto result =
        set("# kept\n"
            "apiVersion: apps/v1\n"
            "kind: Deployment\n"
            "metadata: {name: app,   namespace: web}   # odd   spacing stays\n"
            "spec:\n"
            "  template:\n"
            "    spec:\n"
            "      containers:\n"
            "        - name:   'app'\n"
            "          image:   registry.example.org:5000/app:1.0.0   # {\"$imagepolicy\": "
            "\"flux-system:app\"}\n"
            "        - image: other:1 # a comment\n");
    EXPECT_EQ(result.text,
              "# kept\n"
              "apiVersion: apps/v1\n"
              "kind: Deployment\n"
              "metadata: {name: app,   namespace: web}   # odd   spacing stays\n"
              "spec:\n"
              "  template:\n"
              "    spec:\n"
              "      containers:\n"
              "        - name:   'app'\n"
              "          image:   registry.example.org:5000/app:2.0.1   # {\"$imagepolicy\": "
              "\"flux-system:app\"}\n"
              "        - image: other:1 # a comment\n");
    ASSERT_EQ(result.changes.size(), 1U);
    const auto& [id, changes] = *result.changes.begin();
    EXPECT_EQ(id, (ObjectIdentity{"apps/v1", "Deployment", "app", "web"}));
    EXPECT_THAT(changes,
                ElementsAre(ImageChange{"registry.example.org:5000/app:1.0.0",
                                        "registry.example.org:5000/app:2.0.1", "flux-system:app"}));
}

TEST(Setters, SetsNameTagAndDigest) {
    EXPECT_EQ(text_of("image:\n"
                      "  repository: x # {\"$imagepolicy\": \"flux-system:pinned:name\"}\n"
                      "  tag: v2 # {\"$imagepolicy\": \"flux-system:pinned:tag\"}\n"
                      "  digest: \"none\" # {\"$imagepolicy\": \"flux-system:pinned:digest\"}\n"
                      "  all: y # {\"$imagepolicy\": \"flux-system:pinned\"}\n"),
              "image:\n"
              "  repository: example.org/pinned # {\"$imagepolicy\": "
              "\"flux-system:pinned:name\"}\n"
              "  tag: v3 # {\"$imagepolicy\": \"flux-system:pinned:tag\"}\n"
              "  digest: \"" +
                  digest +
                  "\" # {\"$imagepolicy\": \"flux-system:pinned:digest\"}\n"
                  "  all: example.org/pinned:v3@" +
                  digest + " # {\"$imagepolicy\": \"flux-system:pinned\"}\n");
}

TEST(Setters, KeepsQuotesLineEndsAndWhatStandsAround) {
    EXPECT_EQ(text_of("a: \"x:1\" # {\"$imagepolicy\": \"flux-system:app\"}\r\n"
                      "b: 'it''s' # {\"$imagepolicy\": \"flux-system:app:tag\"}\r\n"
                      "c:\r\n- &anchor !!str x:1\t#{\"$imagepolicy\": \"flux-system:app\"}"),
              "a: \"registry.example.org:5000/app:2.0.1\" # {\"$imagepolicy\": "
              "\"flux-system:app\"}\r\n"
              "b: '2.0.1' # {\"$imagepolicy\": \"flux-system:app:tag\"}\r\n"
              "c:\r\n- &anchor !!str registry.example.org:5000/app:2.0.1\t#{\"$imagepolicy\": "
              "\"flux-system:app\"}");
    EXPECT_EQ(text_of("- - \"quoted: key\": {}\n    ? x\n    : y\n"
                      "- 'a # b': v # {\"$imagepolicy\": \"flux-system:app:tag\"}\n"),
              "- - \"quoted: key\": {}\n    ? x\n    : y\n"
              "- 'a # b': 2.0.1 # {\"$imagepolicy\": \"flux-system:app:tag\"}\n");
}

TEST(Setters, KeepsWhatBeginsADocumentAndAFile) {
    EXPECT_EQ(text_of("\xEF\xBB\xBF"
                      "a: x:1 # {\"$imagepolicy\": \"flux-system:app:tag\"}\n"),
              "\xEF\xBB\xBF"
              "a: 2.0.1 # {\"$imagepolicy\": \"flux-system:app:tag\"}\n");
    const auto alone = set("--- x:1 # {\"$imagepolicy\": \"flux-system:app\"}\n");
    EXPECT_EQ(alone.text, "") << "'---' would go with the value";
    EXPECT_THAT(alone.remarks, ElementsAre(HasSubstr("f.yaml:1")));
}

/// Only the value between `before` and `after` may differ, whatever a file looks like.
TEST(Setters, TouchesNoByteOutsideOfItsValues) {
    const std::string marker = "# {\"$imagepolicy\": \"flux-system:app:tag\"}";
    const std::vector<std::string> ends{
        "\n",      "\r\n",    "\n\n\n",   "",          "\r",
        "\n...\n", "\n---\n", "\n# last", " \t\n  \n", "\n\xC2\x85\xE2\x80\xA8y: 1\n"};
    const std::vector<std::string> starts{"",        "%YAML 1.1\n---\n", "---\n",       "\n\n",
                                          "# c\r\n", "b: |\n   x\n\n",   "b: 1\r\n",    "b:\t1\n",
                                          "\r",      "b: 1\rc: 2\r",     "? b\n: - c\n"};
    const std::vector<std::string> keys{"a: ", "\"a\" :   ", "'a':\t", "a: !!str ", "a: &x "};
    const std::vector<std::string> olds{"1.0.0", "\"1.0.0\"", "'1.0.0'", "1.0.0 \t"};
    int changed = 0;
    for (const auto& start : starts) {
        for (const auto& key : keys) {
            for (const auto& old : olds) {
                for (const auto& end : ends) {
                    const auto before = start + key;
                    const auto after =
                        old.substr(old.find_last_not_of(" \t") + 1) + " " + marker + end;
                    const auto value = old.substr(0, old.find_last_not_of(" \t") + 1);
                    const auto result = set(before + value + after);
                    if (result.text.empty()) continue;
                    ++changed;
                    const std::string quote =
                        value.front() == '1' ? "" : std::string(1, value.front());
                    EXPECT_EQ(result.text, before + quote + "2.0.1" + quote + after);
                }
            }
        }
    }
    EXPECT_GT(changed, 1000);
}

TEST(Setters, KeepsATextAText) {
    EXPECT_EQ(text_of("tag: 1.29 # {\"$imagepolicy\": \"flux-system:number:tag\"}\n"),
              "tag: \"1.30\" # {\"$imagepolicy\": \"flux-system:number:tag\"}\n");
    EXPECT_EQ(text_of("tag: 1.30 # {\"$imagepolicy\": \"flux-system:number:tag\"}\n"),
              "tag: 1.30 # {\"$imagepolicy\": \"flux-system:number:tag\"}\n")
        << "it says so already";
}

TEST(Setters, FindsTheObjectOfEachDocument) {
    const auto result =
        set("kind: A\nmetadata: {name: a}\n"
            "x: 1 # {\"$imagepolicy\": \"flux-system:app:tag\"}\n"
            "---\n# {\"$imagepolicy\": \"flux-system:app:tag\"}\n"
            "kind: B\nmetadata: {name: b}\n"
            "x: 2 # {\"$imagepolicy\": \"flux-system:app:tag\"}\n"
            "y: 3 # {\"$imagepolicy\": \"flux-system:app:tag\"}\n");
    EXPECT_THAT(result.changes,
                ElementsAre(Pair(ObjectIdentity{"", "A", "a", ""}, ::testing::SizeIs(1)),
                            Pair(ObjectIdentity{"", "B", "b", ""}, ::testing::SizeIs(2))));
    EXPECT_THAT(result.remarks, IsEmpty());
}

TEST(Setters, LeavesAloneWhatIsNotForIt) {
    for (const auto& text : std::vector<std::string>{
             "x: 1 # {\"$imagepolicy\": \"other:app\"}\n", "x: 1 # {\"$imagepolicy\": \"app\"}\n",
             "x: 1 # nothing\n", "# x: 1 # {\"$imagepolicy\": \"flux-system:app\"}\n", ""}) {
        const auto result = set(text);
        EXPECT_EQ(result.text, "") << text;
        EXPECT_THAT(result.remarks, IsEmpty()) << text;
    }
}

TEST(Setters, SaysWhichMarkersDoNothing) {
    const auto marker = std::string{" # {\"$imagepolicy\": \"flux-system:app\"}\n"};
    for (const auto& text : std::vector<std::string>{
             "x: |" + marker + "  a\n", "x:" + marker, "x: *a" + marker, "x: {a: b}" + marker,
             "x: \"open" + marker, "x: 1 # {\"$imagepolicy\": \"flux-system:app\"\n",
             "x: 1 # {\"$imagepolicy\": \"flux-system:app:other\"}\n",
             "x: 1 # {\"$imagepolicy\": \"flux-system:app:digest\"}\n",
             "x: 1 # see {\"$imagepolicy\": \"flux-system:app\"}\n"}) {
        const auto result = set("a: &a b\n" + text);
        EXPECT_EQ(result.text, "") << text;
        EXPECT_THAT(result.remarks, ElementsAre(HasSubstr("f.yaml:2"))) << text;
    }
}

TEST(Setters, TakesNothingInATextForAMarker) {
    const std::string text =
        "data:\n"
        "  app.yaml: |\n"
        "    image: x:1 # {\"$imagepolicy\": \"flux-system:app\"}\n"
        "  folded: \"begin\n"
        "    image: x:1 # {\\\"$imagepolicy\\\": \\\"flux-system:app\\\"}\"\n"
        "  plain: one\n"
        "    two # {\"$imagepolicy\": \"flux-system:app\"}\n";
    const auto result = set(text);
    EXPECT_EQ(result.text, "");
    EXPECT_THAT(result.remarks, ElementsAre(HasSubstr("f.yaml:3"), HasSubstr("f.yaml:7")));
}

TEST(Setters, LeavesAloneAFileThatIsNoYaml) {
    const auto marker = std::string{"image: x:1 # {\"$imagepolicy\": \"flux-system:app\"}\n"};
    for (const auto& text : std::vector<std::string>{
             "{{- if .Values.x }}\n" + marker, marker + "\tx: [\n",
             marker + std::string("\0\x01\xff", 3), marker + std::string(2000, '[')}) {
        const auto result = set(text);
        EXPECT_EQ(result.text, "");
        EXPECT_EQ(result.remarks.size(), 1U);
        EXPECT_THAT(result.changes, IsEmpty());
    }
}

TEST(Setters, KnowsWhatCanBeWritten) {
    EXPECT_TRUE(is_image_ref({.name = "a", .tag = "1", .digest = {}}));
    EXPECT_TRUE(
        is_image_ref({.name = "h.example:5000/a/b-c_d", .tag = "v1.2-rc_1", .digest = digest}));
    for (const ImageRef& ref : std::vector<ImageRef>{
             {"", "1", ""},
             {"a", "", ""},
             {"a b", "1", ""},
             {"a", "1\n- x", ""},
             {"a", "1 # x", ""},
             {"a", "\"", ""},
             {"a", std::string(129, 'x'), ""},
             {"-a", "1", ""},
             {"a", ".1", ""},
             {"a", "1", "x"},
             {"a", "1", "sha256:a}"},
         }) {
        EXPECT_FALSE(is_image_ref(ref)) << ref.to_string();
    }
}

}  // namespace
}  // namespace kled::gitops
