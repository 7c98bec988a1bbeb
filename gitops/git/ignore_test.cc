#include "gitops/git/ignore.h"

#include "base/error.h"
#include "base/file.h"
#include "kube/object.h"

#include <gtest/gtest.h>

#include <ranges>

namespace kled::gitops::git {
namespace {

PathParts parts_of(std::string_view path) {
    PathParts parts;
    for (const auto part : std::views::split(path, '/'))
        parts.emplace_back(part.begin(), part.end());
    return parts;
}

// testdata/sourceignore/main.go wrote it, with Flux's own package.
TEST(IgnoreRules, AgreeWithFlux) {
    const auto golden = kube::parse_json(
        read_file(KLED_SOURCE_DIR "/gitops/git/testdata/sourceignore/expected.json"));
    const auto& paths = kube::find(golden, {"paths"})->get_array();
    const auto& cases = kube::find(golden, {"cases"})->get_array();
    ASSERT_GT(cases.size(), 300U);
    for (const auto& item : cases) {
        const auto& fields = item.get_object();
        IgnoreRules rules;
        if (fields.at("defaults").get_bool()) rules = IgnoreRules::defaults();
        PathParts domain;
        if (!fields.at("domain").get_string().empty())
            domain = parts_of(fields.at("domain").get_string());
        rules.add(fields.at("text").get_string(), domain);
        std::string ignored;
        for (const auto& path : paths) {
            const auto parts = parts_of(path.get_string());
            ignored += rules.ignores(parts, false) ? 'f' : '-';
            ignored += rules.ignores(parts, true) ? 'd' : '-';
        }
        EXPECT_EQ(ignored, fields.at("ignored").get_string()) << fields.at("text");
    }
}

TEST(IgnoreRules, AreLimited) {
    std::string many;
    for (std::size_t i = 0; i <= IgnoreRules::limit; ++i) many += "a\n";
    IgnoreRules rules;
    EXPECT_THROW(rules.add(many), Error);
}

TEST(IgnoreRules, DoNotWorkForever) {
    IgnoreRules rules{100'000};
    std::string costly;
    for (int i = 0; i < 100; ++i) costly += "*x*y\n";
    rules.add(costly);
    const PathParts name{std::string(200, 'x')};
    try {
        for (int i = 0; i < 1'000; ++i) EXPECT_FALSE(rules.ignores(name, false));
        FAIL() << "with so much work";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::exhausted);
    }
}

}  // namespace
}  // namespace kled::gitops::git
