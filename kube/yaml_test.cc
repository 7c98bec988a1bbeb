#include "kube/yaml.h"

#include "base/error.h"
#include "base/file.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <limits>

namespace kled::kube {
namespace {

std::string print(std::string_view text, const YamlOptions& options = {}) {
    std::vector<const json::object*> fields;
    const auto objects = load_manifest(text, options);
    for (const auto& loaded : objects) fields.push_back(&loaded.object.fields());
    return to_yaml_stream(fields);
}

/// What kustomize prints for a file, where that takes no more than reading and writing it.
TEST(Yaml, PrintsWhatKustomizePrints) {
    const auto* shared = std::getenv("KLED_SHARED");
    const auto path =
        std::filesystem::path{shared != nullptr ? shared : KLED_SOURCE_DIR "/../shared"} /
        "conformance/yaml/cases.ndjson";
    const auto cases = read_file_if_exists(path);
    if (!cases) GTEST_SKIP() << "SKIPPED: no " << path << " (set KLED_SHARED)";
    int passed = 0;
    std::string failed;
    std::string_view rest = *cases;
    while (!rest.empty()) {
        const auto end = rest.find('\n');
        const auto item = parse_json(rest.substr(0, end)).get_object();
        rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
        if (item.contains("kustomization") || item.contains("files")) continue;
        const std::string_view text = item.at("in").get_string();
        std::string got;
        std::string want = "error";
        if (const auto* out = item.if_contains("out")) want = out->get_string();
        try {
            got = print(text);
        } catch (const Error& error) {
            got = "error";
            if (want != "error") got += std::string{": "} + error.what();
        }
        if (got == want) {
            ++passed;
        } else {
            failed.append("\n== ").append(item.at("name").get_string());
            if (got.size() < 1000) failed.append("\n-").append(want).append("\n+").append(got);
        }
    }
    std::cout << passed << " cases pass" << failed << "\n";
    // The others: a nesting over our limit, JSON escapes that we take, and what the builder does.
    EXPECT_GE(passed, 262);
}

constexpr YamlOptions configuration{.dialect = YamlDialect::configuration};

std::string read(std::string_view text, const YamlOptions& options = {}) {
    try {
        return to_json(parse_yaml(text, options));
    } catch (const Error& error) {
        return std::string{to_string(error.kind())} + ": " + error.what();
    }
}

std::string written(std::string_view json) { return to_yaml(parse_json(json)); }

TEST(YamlReader, ResolvesPlainScalarsAsEachOfGosTwoReadersDoes) {
    struct Case {
        const char* text;
        const char* manifest;
        const char* configuration;
    };
    for (const auto& [text, manifest, other] : std::initializer_list<Case>{
             {"TRUE", "true", "true"},
             {"tRUE", R"("tRUE")", R"("tRUE")"},
             {"yes", R"("yes")", "true"},
             {"Off", R"("Off")", "false"},
             {"n", R"("n")", "false"},
             {"Null", "null", "null"},
             {"~", "null", "null"},
             {"010", "8", "8"},
             {"08", "8", "8"},
             {"-0o7", "-7", "-7"},
             {"0o8", R"("0o8")", R"("0o8")"},
             {"0X1F", "31", "31"},
             {"0xFFFFFFFFFFFFFFFFFF", R"("0xFFFFFFFFFFFFFFFFFF")", R"("0xFFFFFFFFFFFFFFFFFF")"},
             {"0b-1", "-1", "-1"},
             {"0x-1", R"("0x-1")", R"("0x-1")"},
             {"1__0_", "10", "10"},
             {".1_0", "0.1", "0.1"},
             {"._1", R"("._1")", R"("._1")"},
             {"-9223372036854775808", "-9223372036854775808", "-9223372036854775808"},
             {"-9223372036854775809", "-9223372036854776000", "-9223372036854776000"},
             {"18446744073709551615", "18446744073709551615", "18446744073709551615"},
             {"+18446744073709551615", "18446744073709552000", "18446744073709552000"},
             {"1e3", "1000", "1000"},
             {"1.e1", "10", "10"},
             {"-.5", "-0.5", "-0.5"},
             {"1e400", R"("1e400")", R"("1e400")"},
             {"1e-400", "0", "0"},
             {"1:30", R"("1:30")", R"("1:30")"},
             {"2020-1-2", R"("2020-01-02T00:00:00Z")", R"("2020-1-2")"},
             {"2020-02-30", R"("2020-02-30")", R"("2020-02-30")"},
             {"2020-01-02 3:4:5.120", R"("2020-01-02T03:04:05.12Z")", R"("2020-01-02 3:4:5.120")"},
             {"2020-01-02T3:4:5+01:30", R"("2020-01-02T03:04:05+01:30")",
              R"("2020-01-02T3:4:5+01:30")"},
             {"2020-01-02T3:4:5", R"("2020-01-02T3:4:5")", R"("2020-01-02T3:4:5")"},
             {"<<", R"("<<")", R"("<<")"},
         }) {
        EXPECT_EQ(read(std::string{"- "} + text), "[" + std::string{manifest} + "]") << text;
        EXPECT_EQ(read(std::string{"- "} + text, configuration), "[" + std::string{other} + "]")
            << text;
    }
}

TEST(YamlReader, FollowsTags) {
    EXPECT_EQ(read("[!!str 12, !!int \"12\", !!float 1, !foo 12, !!null \"\", "
                   "!<tag:yaml.org,2002:str> 1]"),
              R"(["12",12,1,"12",null,"1"])");
    EXPECT_EQ(read("! 12"), "12");
    EXPECT_EQ(read("!!binary |\n  aGVs\n  bG8="), R"("hello")");
    EXPECT_EQ(read("!!binary /2H/"), R"("�a�")");
    EXPECT_EQ(read("!!bool yes"), "invalid: yaml:1:1: cannot decode !!str `yes` as a !!bool");
    EXPECT_EQ(read("!!bool yes", configuration), "true");
    EXPECT_EQ(read("!!binary '*'"), "invalid: yaml:1:1: !!binary holds what is not base64");
}

TEST(YamlReader, TakesAnAbsentValueInAFlowCollectionForTextAsKustomizeDoes) {
    EXPECT_EQ(read("{a, b: , c: ~, d: [ ~, \"\" ]}"), R"({"a":"","b":"","c":null,"d":[null,""]})");
    EXPECT_EQ(read("a:\nb: {c: }"), R"({"a":null,"b":{"c":""}})");
    EXPECT_EQ(read("{a, b: }", configuration), R"({"a":null,"b":null})");
}

TEST(YamlReader, MakesKeysText) {
    EXPECT_EQ(read("1: a\ntrue: b\n010: c\n1.50: d"),
              R"({"1":"a","true":"b","010":"c","1.50":"d"})");
    EXPECT_EQ(read("o:\n  1: a", {.file = "x.yaml"}),
              "invalid: x.yaml:2:3: key 1 is not a string: put it in quotes");
    EXPECT_EQ(read("o: {1: a, y: b, 010: c, 1.123456789: d, 1e6: e}", configuration),
              R"({"o":{"1":"a","true":"b","8":"c","1.1234568":"d","1e+06":"e"}})");
    EXPECT_EQ(read("~: a"), "invalid: yaml:1:1: a key must not be null");
    EXPECT_EQ(read("? [a]\n: b"), "invalid: yaml:1:3: a key must be a scalar");
    EXPECT_EQ(read(".inf: a\n-.inf: b\n.NaN: c", configuration),
              R"({".inf":"a","-.inf":"b",".nan":"c"})");
    EXPECT_EQ(read("o: {.inf: a}", configuration),
              "invalid: yaml:1:5: JSON, and so Kubernetes, has no number .inf");
}

TEST(YamlReader, RefusesARepeatedKeyWithItsLinesOrTakesTheLast) {
    EXPECT_EQ(read("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3", {.file = "x.yaml"}),
              "invalid: x.yaml:5:3: mapping key \"c\" already defined at line 3");
    EXPECT_EQ(read("a: 1\na: 2", {.duplicate_keys_are_errors = false}), R"({"a":2})");
}

TEST(YamlReader, ExpandsAliasesAndMerges) {
    EXPECT_EQ(read("a: &x {p: 1, q: &l [1]}\nb: *x\nc: *l\n*l2 : 1"),
              "invalid: yaml:4:1: unknown anchor 'l2' referenced");
    EXPECT_EQ(read("a: &k key\n*k : [*k]"), R"({"a":"key","key":["key"]})");
    EXPECT_EQ(read("a: &x {p: 1, q: 2}\nb: {p: 3, <<: *x}\nc: {<<: [*x, {p: 9, r: 4}], q: 5}"),
              R"({"a":{"p":1,"q":2},"b":{"p":3,"q":2},"c":{"q":5,"p":1,"r":4}})");
    EXPECT_EQ(read("a: &x {p: 1, q: 2}\nb: {p: 3, <<: *x, q: 4}", configuration),
              R"({"a":{"p":1,"q":2},"b":{"p":1,"q":4}})");
    EXPECT_EQ(read("{\"<<\": 1, b: 2}"), R"({"b":2})");
    EXPECT_EQ(read("{\"<<\": 1, b: 2}", configuration), R"({"<<":1,"b":2})");
    EXPECT_NE(read("{<<: 1}").find("map merge requires map or sequence of maps"),
              std::string::npos);
    EXPECT_EQ(read("{<<: {a: 1}, <<: {b: 1}}"), "invalid: yaml:1:14: duplicate merge key");
    EXPECT_EQ(read("a: &x [*x]"), "invalid: yaml:1:8: anchor 'x' contains itself");
}

TEST(YamlReader, StopsBombs) {
    std::string bomb = "a0: &a0 [1,1,1,1,1,1,1,1,1]\n";
    for (int i = 1; i != 12; ++i) {
        const auto below = "*a" + std::to_string(i - 1);
        bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
        for (int n = 0; n != 9; ++n) bomb += (n == 0 ? "" : ",") + below;
        bomb += "]\n";
    }
    EXPECT_NE(read(bomb).find("exhausted: yaml:"), std::string::npos) << read(bomb).substr(0, 100);

    // Few nodes, much text.
    std::string text = "t: &t " + std::string(1'000'000, 'x') + "\nl:\n";
    for (int i = 0; i != 90; ++i) text += "- *t\n";
    EXPECT_NE(read(text).find("excessive aliasing"), std::string::npos);

    // Depth that grows by aliases.
    std::string deep = "a0: &a0 " + std::string(300, '[') + std::string(300, ']') + "\n";
    deep += "a1: &a1 " + std::string(300, '[') + "*a0" + std::string(300, ']') + "\n";
    EXPECT_NE(read(deep).find("nested deeper than 512"), std::string::npos);
    EXPECT_NE(read(std::string(1'000'000, '[')).find("nested deeper than 512"), std::string::npos);
    EXPECT_NE(read(std::string(1'000'000, '{')).find("a key must be a scalar"), std::string::npos);
    EXPECT_NE(read("[1,2,3,4]", {.max_nodes = 4}).find("more than 4 values"), std::string::npos);
}

TEST(YamlReader, TellsFileLineAndColumn) {
    const YamlOptions options{.file = "web.yaml"};
    EXPECT_EQ(read("a: 1\nb: [1, 2\n", options),
              "invalid: web.yaml:3:1: did not find expected ',' or ']' while parsing a flow "
              "sequence that "
              "starts in line 2");
    EXPECT_EQ(read("a:\n\tb: 1", options),
              "invalid: web.yaml:2:1: found character that cannot start any token: a tab, where "
              "YAML wants "
              "spaces");
    EXPECT_EQ(read("a: b: c", options).substr(0, 68),
              "invalid: web.yaml:1:5: mapping values are not allowed in this contex");
    EXPECT_EQ(read("a: 1\nb: \x01", options),
              "invalid: web.yaml:2:4: control characters are not allowed");
    EXPECT_EQ(read("a: \"\\x7f\"", options),
              "invalid: web.yaml:1:4: control characters are not allowed");
    EXPECT_EQ(read("a: \xff", options), "invalid: web.yaml:1:4: invalid leading UTF-8 octet");
    EXPECT_EQ(read("a: .inf", options),
              "invalid: web.yaml:1:4: JSON, and so Kubernetes, has no number .inf");
}

TEST(YamlReader, ReadsJsonWithItsEscapes) {
    EXPECT_EQ(read(R"({"a":"\/ \ud83d\ude00","b":[1.0,{"c":null}]})"),
              R"({"a":"/ 😀","b":[1,{"c":null}]})");
    EXPECT_NE(read(R"(a: "\ud83d\ude00")").find("found invalid Unicode character escape code"),
              std::string::npos);
}

std::vector<std::string> stream(std::string_view text, const YamlOptions& options = {}) {
    std::vector<std::string> documents;
    for (const auto& document : parse_yaml_stream(text, options)) {
        documents.push_back(std::to_string(document.origin.line) + " " + to_json(document.value));
    }
    return documents;
}

TEST(YamlReader, SplitsStreamsAsKustomizeDoes) {
    using Documents = std::vector<std::string>;
    EXPECT_EQ(stream("---\na: 1\n---\n---\n# c\n--- # x\nb: 2\n---\n"),
              (Documents{"2 {\"a\":1}", "7 {\"b\":2}"}));
    EXPECT_EQ(stream("a: 1\r\n---\r\nb: |\r\n  x\r\n"),
              (Documents{"1 {\"a\":1}", "3 {\"b\":\"x\\n\"}"}));
    EXPECT_EQ(stream("--- {a: 1}\n"), (Documents{"1 {\"a\":1}"}));
    EXPECT_EQ(stream("a: |\n  x\n  ---\n  y\n"), (Documents{"1 {\"a\":\"x\\n---\\ny\\n\"}"}));
    EXPECT_EQ(stream("a: 1\n...\nb: 2\n"), (Documents{"1 {\"a\":1}"}));
    EXPECT_EQ(stream("\xEF\xBB\xBF"
                     "a: 1"),
              (Documents{"1 {\"a\":1}"}));
    EXPECT_EQ(stream("# only\n---\nnull\n---\n{}\n---\n[]\n"), Documents{});
    EXPECT_EQ(stream("---\na: 1\n---\nb: 2", configuration),
              (Documents{"2 {\"a\":1}", "4 {\"b\":2}"}));
    EXPECT_EQ(stream("%YAML 1.1\n---\na: 1\n", configuration), (Documents{"3 {\"a\":1}"}));
    EXPECT_THROW((void)stream("a: 1\n--- x\nb: 2\n"), Error);
    EXPECT_THROW((void)stream("a: 1\n---x\nb: 2\n"), Error);
}

TEST(YamlReader, KnowsTheLineOfEveryPartWhenAsked) {
    const auto objects = load_manifest(
        "kind: List\napiVersion: v1\nitems:\n- apiVersion: v1\n  kind: T\n  metadata:\n    name: "
        "a\n"
        "  x:\n    a/b:\n    - 1\n    - c: 2\n- {apiVersion: v1, kind: T, metadata: {name: b}}\n",
        {.file = "l.yaml", .with_lines = true});
    ASSERT_EQ(objects.size(), 2U);
    EXPECT_EQ(objects[0].origin.at(""), "l.yaml:4");
    EXPECT_EQ(objects[0].origin.at("/metadata/name"), "l.yaml:7");
    EXPECT_EQ(objects[0].origin.at("/x/a~1b/1/c/deeper"), "l.yaml:11");
    EXPECT_EQ(objects[1].origin.at("/kind"), "l.yaml:12");
    const auto plain =
        load_manifest("apiVersion: v1\nkind: T\nmetadata:\n  name: a\n", {.file = "p.yaml"});
    EXPECT_EQ(plain[0].origin.lines, nullptr);
    EXPECT_EQ(plain[0].origin.at("/metadata/name"), "p.yaml:1");
}

std::string manifest_failure(std::string_view text) {
    try {
        (void)load_manifest(text, {.file = "m.yaml"});
    } catch (const Error& error) {
        return error.what();
    }
    return "none";
}

TEST(Manifest, UnwrapsListsBehindTheOtherObjects) {
    const std::string_view text =
        "apiVersion: v1\nkind: ConfigMapList\nitems:\n- {apiVersion: v1, kind: ConfigMap, "
        "metadata: {name: z}}\n"
        "- {apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: T, metadata: {name: y}}]}\n"
        "---\napiVersion: v1\nkind: FooList\nmetadata: {name: b}\n---\napiVersion: v1\nkind: "
        "List\nitems:\n";
    std::string names;
    for (const auto& loaded : load_manifest(text)) names += loaded.object.name();
    EXPECT_EQ(names, "bzy");
}

TEST(Manifest, RefusesWhatIsNoObject) {
    EXPECT_EQ(manifest_failure("# c\nfoo\n"),
              "m.yaml:2: not a Kubernetes object: a mapping with apiVersion, kind and metadata is "
              "needed");
    EXPECT_EQ(manifest_failure("a: 1"), "m.yaml:1: the object has no kind");
    EXPECT_EQ(manifest_failure("kind: T"), "m.yaml:1: the T has no apiVersion");
    EXPECT_EQ(manifest_failure("kind: T\napiVersion: v1"), "m.yaml:1: the T has no metadata.name");
    EXPECT_EQ(manifest_failure("kind: List\napiVersion: v1\nitems:\n- 1"),
              "m.yaml:4: not a Kubernetes object: a mapping with apiVersion, kind and metadata is "
              "needed");
    EXPECT_EQ(manifest_failure("kind: List\napiVersion: v1\nitems: 1"),
              "m.yaml:1: items is not a list");
    EXPECT_EQ(manifest_failure("kind: T\napiVersion: v1\nmetadata: {name: 12}"), "none");
}

TEST(YamlWriter, SortsKeysNaturally) {
    EXPECT_EQ(
        written(R"({"ab":1,"a10":1,"a9":1,"a1":1,"a.b":1,"a-b":1,"A":1,"10":1,"9":1,"00":1,"0":1,)"
                R"("_a":1,"/a":1,".a":1,"é":1,"a":1,"日":1,"а":1})"),
        ".a: 1\n/a: 1\n_a: 1\n\"0\": 1\n\"00\": 1\n\"9\": 1\n\"10\": 1\nA: 1\na: 1\na-b: 1\na.b: "
        "1\n"
        "a1: 1\na9: 1\na10: 1\nab: 1\né: 1\nа: 1\n日: 1\n");
    EXPECT_EQ(written(R"({"x1":1,"x01":1,"x001":1,"x10":1,"x010":1})"),
              "x1: 1\nx01: 1\nx001: 1\nx10: 1\nx010: 1\n");
}

TEST(YamlWriter, QuotesWhatWouldBeReadAsSomethingElse) {
    EXPECT_EQ(
        written(
            R"(["yes","n","~","","1_0","0b-1","2020-01-02",".inf","1:30","tRUE","NaN","1e400","=","<<"])"),
        "- \"yes\"\n- \"n\"\n- \"~\"\n- \"\"\n- \"1_0\"\n- \"0b-1\"\n- \"2020-01-02\"\n- \".inf\"\n"
        "- \"1:30\"\n- tRUE\n- NaN\n- 1e400\n- =\n- <<\n");
    EXPECT_EQ(
        written(
            R"(["- a","-a","a: b","a:","a #b","#a"," a","a ","it's","---a","a\tb","😀","\u007f"])"),
        "- '- a'\n- -a\n- 'a: b'\n- 'a:'\n- 'a #b'\n- '#a'\n- ' a'\n- 'a '\n- it's\n- '---a'\n"
        "- \"a\\tb\"\n- \"\\U0001F600\"\n- \"\\x7F\"\n");
}

TEST(YamlWriter, NestsInBlockStyle) {
    EXPECT_EQ(written(R"({"a":[[1,[2]],{"b":[],"c":{}}],"d":{"e":["x\ny"]}})"),
              "a:\n- - 1\n  - - 2\n- b: []\n  c: {}\nd:\n  e:\n  - |-\n    x\n    y\n");
    EXPECT_EQ(written(R"("a\n")"), "|\n  a\n");
    EXPECT_EQ(written("[]"), "[]\n");
    EXPECT_EQ(written(R"({"a\nb":[1,2],"c":1})"), "? |-\n  a\n  b\n: - 1\n  - 2\nc: 1\n");
}

TEST(YamlWriter, WritesNumbersAsGoDoes) {
    EXPECT_EQ(written("[1.5,123456.5,1234567.5,0.0001,0.00001,1e20,18446744073709551615,-1e19]"),
              "- 1.5\n- 123456.5\n- 1.2345675e+06\n- 0.0001\n- 1e-05\n- 1e+20\n- "
              "18446744073709551615\n- -1e+19\n");
    EXPECT_EQ(to_yaml(json::value(1e3)), "1000\n");
}

TEST(YamlWriter, RefusesWhatYamlCannotHold) {
    EXPECT_THROW((void)to_yaml(json::value("\xff")), Error);
    EXPECT_THROW((void)to_yaml(json::value(std::numeric_limits<double>::quiet_NaN())), Error);
}

TEST(Yaml, FoldsATextAgainAsGoDoes) {
    EXPECT_EQ(refolded("one\ntwo\n\nthree\n"), "one\ntwo\n\nthree\n");
    EXPECT_EQ(refolded("list:\n  - a\n  - b\nend"), "list:\n\n  - a\n  - b\nend");
    EXPECT_EQ(refolded("  lead\na\nb\n\nc"), "  lead\na b\nc");
    EXPECT_EQ(refolded("keep\n\n"), "keep\n\n\n");
    EXPECT_EQ(refolded("in quotes: \n  x"), "in quotes: \n  x");
    EXPECT_EQ(refolded("\tx\ny"), "\tx\ny");
}

TEST(Yaml, NotesHowValuesAreWritten) {
    const auto documents =
        parse_yaml_stream("a: 0x1F\nb: 1.10\nc: ~\nd: 7\ne: >\n  x\nf: 2020-01-02\ng: '0x1F'\n",
                          {.note_quoted = true});
    ASSERT_EQ(documents.size(), 1U);
    const auto& document = documents.front();
    ASSERT_NE(document.spelled, nullptr);
    std::vector<std::string> written;
    for (const auto* key : {"a", "b", "c", "f"})
        written.push_back(
            document.spelled->at(spelling_mark(key, document.value.get_object().at(key))));
    EXPECT_EQ(written, (std::vector<std::string>{"0x1F", "1.10", "~", "2020-01-02"}));
    EXPECT_EQ(document.spelled->size(), 4U);
    ASSERT_NE(document.folded, nullptr);
    EXPECT_EQ(*document.folded, std::vector<std::size_t>{quoted_mark("e", "x\n")});
}

}  // namespace
}  // namespace kled::kube
