#include "gitops/git/semver.h"

#include "base/error.h"
#include "base/file.h"
#include "kube/object.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace kled::gitops::git {
namespace {

// testdata/semver/main.go wrote it.
class Semver : public ::testing::Test {
protected:
    kube::json::value golden =
        kube::parse_json(read_file(KLED_SOURCE_DIR "/gitops/git/testdata/semver/expected.json"));
    const kube::json::array& list(std::string_view name) {
        return kube::find(golden, {name})->get_array();
    }
};

TEST_F(Semver, RangesContainWhatTheLibraryOfFluxSays) {
    ASSERT_GT(list("ranges").size(), 500U);
    for (const auto& item : list("ranges")) {
        const std::string range{item.get_object().at("range").get_string()};
        kube::json::value in = nullptr;
        try {
            const auto parsed = VersionRange::parse(range);
            kube::json::array found;
            for (std::size_t i = 0; i < list("versions").size(); ++i) {
                const auto version = Version::parse(list("versions")[i].get_string());
                if (version && parsed.contains(*version)) found.emplace_back(i);
            }
            in = std::move(found);
        } catch (const Error&) {
        }
        EXPECT_EQ(in, item.get_object().at("in")) << "'" << range << "'";
    }
}

TEST_F(Semver, VersionsAreInItsOrder) {
    std::vector<std::pair<Version, std::string>> versions;
    for (const auto& item : list("versions")) {
        const std::string text{item.get_string()};
        if (const auto version = Version::parse(text)) versions.emplace_back(*version, text);
    }
    std::ranges::stable_sort(versions, {}, [](const auto& v) { return v.first; });
    ASSERT_EQ(versions.size(), list("sorted").size());
    for (std::size_t i = 0; i < versions.size(); ++i)
        EXPECT_EQ(versions[i].second, list("sorted")[i].get_string());
}

TEST_F(Semver, RefusesARangeWithoutEnd) {
    EXPECT_THROW(VersionRange::parse(std::string(513, '1')), Error);
    std::string many = "1";
    for (int i = 0; i < 40; ++i) many += "||1";
    EXPECT_THROW(VersionRange::parse(many), Error);
}

}  // namespace
}  // namespace kled::gitops::git
