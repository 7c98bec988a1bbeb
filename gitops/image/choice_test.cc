#include "gitops/image/choice.h"

#include "base/error.h"
#include "kube/yaml.h"

#include <boost/system/system_error.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kled::gitops {
namespace {

using Tags = std::vector<std::string>;

TagChoice choice(const std::string& yaml) {
    const auto spec = kube::parse_yaml(yaml);
    return TagChoice::from_spec(Reader{&spec.as_object()});
}

std::string latest(const std::string& yaml, const Tags& tags) { return choice(yaml).latest(tags); }

/// What it says is wrong with the spec or the tags.
std::string failure(const std::string& yaml, const Tags& tags = {"1"}) {
    try {
        return "elected " + latest(yaml, tags);
    } catch (const Error& error) {
        return error.what();
    }
}

TEST(TagChoice, ElectsTheHighestVersionOfARange) {
    const std::string policy = "policy: {semver: {range: 1.x}}";
    EXPECT_EQ(latest(policy, {"1.0.0", "1.10.0", "1.9.9", "2.0.0", "latest", "1.11.0-rc.1"}),
              "1.10.0");
    EXPECT_EQ(latest(policy, {"v1.2.0", "1.1.0"}), "v1.2.0") << "as it is called";
    EXPECT_EQ(latest("policy: {semver: {range: '>=1.0.0-0'}}", {"1.0.0", "1.1.0-rc.1"}),
              "1.1.0-rc.1");
    EXPECT_EQ(failure(policy, {"2.0.0", "x"}), "no tag is a version in the range '1.x'");
}

TEST(TagChoice, ElectsByAlphabetAndByNumber) {
    const Tags letters{"b", "a", "c"};
    EXPECT_EQ(latest("policy: {alphabetical: {}}", letters), "c");
    EXPECT_EQ(latest("policy: {alphabetical: {order: asc}}", letters), "c");
    EXPECT_EQ(latest("policy: {alphabetical: {order: desc}}", letters), "a");
    const Tags numbers{"9", "10", "-1", "2.5"};
    EXPECT_EQ(latest("policy: {numerical: {order: asc}}", numbers), "10");
    EXPECT_EQ(latest("policy: {numerical: {order: desc}}", numbers), "-1");
    EXPECT_THAT(failure("policy: {numerical: {}}", {"1", "x"}),
                ::testing::HasSubstr("'x' is no number"));
    EXPECT_THAT(failure("policy: {numerical: {}}", {"nan"}), ::testing::HasSubstr("no number"));
}

TEST(TagChoice, FiltersAndExtracts) {
    const Tags tags{"main-abc-20", "main-def-3", "feature-x-99", "1.0.0"};
    EXPECT_EQ(latest("filterTags: {pattern: '^main-[a-f0-9]+-(?P<ts>[0-9]+)', extract: $ts}\n"
                     "policy: {numerical: {order: asc}}",
                     tags),
              "main-abc-20");
    EXPECT_EQ(latest("filterTags: {pattern: '^main-([a-f0-9]+)-([0-9]+)', extract: '${2}'}\n"
                     "policy: {numerical: {order: desc}}",
                     tags),
              "main-def-3");
    EXPECT_EQ(latest("filterTags: {pattern: '^main'}\npolicy: {alphabetical: {}}", tags),
              "main-def-3");
    EXPECT_EQ(latest("filterTags: {pattern: 'x-(9+)$', extract: '1.$1.0-$$$none'}\n"
                     "policy: {alphabetical: {}}",
                     tags),
              "feature-x-99");
    EXPECT_EQ(failure("filterTags: {pattern: nothing}\npolicy: {alphabetical: {}}", tags),
              "no tag fits spec.filterTags.pattern");
    EXPECT_EQ(failure("policy: {alphabetical: {}}", {}), "the image has no tags");
}

TEST(TagChoice, BoundsWhatAPatternCosts) {
    using ::testing::HasSubstr;
    const auto filtered = [](const std::string& filter) {
        return failure("filterTags: {" + filter + "}\npolicy: {alphabetical: {}}",
                       {std::string(128, 'a')});
    };
    EXPECT_THAT(filtered("pattern: '(x+x+)+y'"), HasSubstr("no tag fits"));
    EXPECT_THAT(filtered("pattern: '((a?){300}){300}b'"), HasSubstr("spec.filterTags.pattern: "));
    EXPECT_THAT(filtered("pattern: '\\pL{900}'"), HasSubstr("spec.filterTags.pattern: "));
    EXPECT_THAT(filtered("pattern: '" + std::string(1025, 'a') + "'"),
                HasSubstr("spec.filterTags.pattern: has more than 1024 bytes"));
    EXPECT_THAT(filtered("pattern: a, extract: '" + std::string(1025, 'a') + "'"),
                HasSubstr("spec.filterTags.extract: has more than 1024 bytes"));
    std::string all;
    for (int i = 0; i < 9; ++i) all += "$0";
    EXPECT_THAT(filtered("pattern: 'a+', extract: '" + all + "'"),
                HasSubstr("spec.filterTags.extract: makes more than 1024 bytes"));
    std::stop_source stop;
    stop.request_stop();
    EXPECT_THROW(
        static_cast<void>(choice("policy: {alphabetical: {}}").latest({"a"}, stop.get_token())),
        boost::system::system_error);
}

TEST(TagChoice, NamesTheFieldThatIsWrong) {
    using ::testing::StartsWith;
    EXPECT_THAT(failure("policy: {}"), StartsWith("spec.policy: "));
    EXPECT_THAT(failure("policy: {alphabetical: {}, numerical: {}}"), StartsWith("spec.policy: "));
    EXPECT_THAT(failure("policy: {semver: {}}"), StartsWith("spec.policy.semver.range: "));
    EXPECT_THAT(failure("policy: {semver: {range: '>>1'}}"),
                StartsWith("spec.policy.semver.range: "));
    EXPECT_THAT(failure("policy: {numerical: {order: up}}"),
                StartsWith("spec.policy.numerical.order: "));
    EXPECT_THAT(failure("filterTags: {pattern: '('}\npolicy: {alphabetical: {}}"),
                StartsWith("spec.filterTags.pattern: "));
}

}  // namespace
}  // namespace kled::gitops
