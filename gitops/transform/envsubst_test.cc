#include "gitops/transform/envsubst.h"

#include "base/error.h"
#include "base/file.h"
#include "kube/object.h"

#include <gtest/gtest.h>

#include <map>

namespace kled::gitops {
namespace {

const std::map<std::string, std::string, std::less<>> values{
    {"name", "kled"}, {"none", ""}, {"path", "a/b/c.tar.gz"}};

std::optional<std::string> lookup(std::string_view name) {
    const auto found = values.find(name);
    return found == values.end() ? std::nullopt : std::optional{found->second};
}

std::string failure(const std::string& text, const EnvsubstLimits& limits = {}) {
    try {
        return "gave " + envsubst(text, lookup, limits);
    } catch (const Error& error) {
        return error.what();
    }
}

// What Flux's own package makes of the same texts: testdata/envsubst/main.go wrote it.
TEST(Envsubst, AgreesWithFlux) {
    const auto golden = kube::parse_json(
        read_file(KLED_SOURCE_DIR "/gitops/transform/testdata/envsubst/expected.json"));
    std::map<std::string, std::string, std::less<>> vars;
    for (const auto& item : kube::find(golden, {"vars"})->get_object())
        vars.emplace(item.key(), item.value().get_string());
    const auto& cases = kube::find(golden, {"cases"})->get_array();
    ASSERT_GT(cases.size(), 1000U);
    const auto evaluate = [&](std::string_view text, bool strict) -> kube::json::value {
        const Lookup look = [&](std::string_view name) -> std::optional<std::string> {
            const auto found = vars.find(name);
            if (found != vars.end()) return found->second;
            return strict ? std::nullopt : std::optional<std::string>{""};
        };
        try {
            return kube::json::string{envsubst(text, look)};
        } catch (const Error&) {
            return nullptr;
        }
    };
    for (const auto& item : cases) {
        const auto& fields = item.get_object();
        const std::string_view text{fields.at("in").get_string()};
        EXPECT_EQ(evaluate(text, true), fields.at("strict")) << text;
        EXPECT_EQ(evaluate(text, false), fields.at("loose")) << text;
    }
}

TEST(Envsubst, LeavesWhatIsNoVariable) {
    const std::string script = "echo $name $(date) $$ {name} $1 100$\n";
    EXPECT_EQ(envsubst(script, lookup), "echo $name $(date) $ {name} $1 100$\n");
    EXPECT_EQ(envsubst("$${name} ${name}", lookup), "${name} kled");
}

TEST(Envsubst, SaysWhichVariableIsNotSetAndWhere) {
    EXPECT_EQ(failure("a: 1\nb: ${nowhere}\n"),
              "line 2: variable not set (strict mode): \"nowhere\"");
    EXPECT_EQ(failure("${a}\n${b:-x} ${c}${a}\n${name^^}"),
              "line 1: variable not set (strict mode): \"a\"; line 2: variable not set (strict "
              "mode): \"c\"");
    EXPECT_EQ(failure("a: ${nowhere:=x}"), "gave a: x");
    EXPECT_EQ(failure("\n\n${name"), "line 3: bad substitution: '}' is missing");
}

TEST(Envsubst, HasLimits) {
    std::string deep;
    for (int i = 0; i < 1000; ++i) deep += "${none:-";
    EXPECT_EQ(failure(deep), "substitutions are nested too deep");
    EXPECT_EQ(failure("${name}${name}", {.bytes = 5}), "substitution gives more than 5 bytes");
    EXPECT_EQ(failure("${path##*[a-z]*[a-z]*[a-z]}", {.steps = 50}), "substitution takes too long");
}

}  // namespace
}  // namespace kled::gitops
