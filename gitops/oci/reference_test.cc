#include "gitops/oci/reference.h"

#include "base/error.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace kled::gitops::oci {
namespace {

const std::string hex(64, 'a');

TEST(OciReference, TellsWhatAShortNameImplies) {
    EXPECT_EQ(Reference::parse("alpine").name(), "docker.io/library/alpine");
    EXPECT_EQ(Reference::parse("team/app").name(), "docker.io/team/app");
    EXPECT_EQ(Reference::parse("index.docker.io/alpine").name(), "docker.io/library/alpine");
    EXPECT_EQ(Reference::parse("docker.io/a/b/c").name(), "docker.io/a/b/c");
    EXPECT_EQ(Reference::parse("alpine").api_host(), "registry-1.docker.io");
    EXPECT_EQ(Reference::parse("example.org/alpine").api_host(), "example.org");
}

TEST(OciReference, TellsAPortFromATag) {
    const auto plain = Reference::parse("localhost:5000/app");
    EXPECT_EQ(plain.host, "localhost:5000");
    EXPECT_EQ(plain.repository, "app");
    EXPECT_EQ(plain.tag, "");
    const auto tagged = Reference::parse("localhost/app:5000");
    EXPECT_EQ(tagged.host, "localhost");
    EXPECT_EQ(tagged.tag, "5000");
    EXPECT_EQ(Reference::parse("app:5000").tag, "5000");
    const auto both = Reference::parse("[::1]:5000/a/b:v1@sha256:" + hex);
    EXPECT_EQ(
        both,
        (Reference{
            .host = "[::1]:5000", .repository = "a/b", .tag = "v1", .digest = "sha256:" + hex}));
}

TEST(OciReference, ReadsNoneThatARegistryWouldNotHave) {
    const std::vector<std::string> all{"",
                                       "/",
                                       "a/",
                                       "/a",
                                       "example.org/",
                                       "example.org//a",
                                       "example.org/A",
                                       "example.org/a..b",
                                       "example.org/a___b",
                                       "example.org/a-",
                                       "example.org/a/../b",
                                       "example.org/a b",
                                       "example.org:0/a",
                                       "example.org:70000/a",
                                       "-example.org/a",
                                       "exa_mple.org/a",
                                       "a:",
                                       "a:-b",
                                       "a@sha256:12",
                                       "a@md5:" + hex,
                                       "https://example.org/a",
                                       "[::1/a",
                                       "[]:1/a",
                                       "user@example.org/a",
                                       "example.org/a?x=1",
                                       "example.org/a#b",
                                       "example.org/%61"};
    for (const auto& bad : all) {
        EXPECT_THROW(auto none = Reference::parse(bad), Error) << bad;
    }
    EXPECT_THROW(auto none = Reference::parse(std::string(256, 'a')), Error);
    EXPECT_NO_THROW(auto some = Reference::parse("example.org/a__b.c-d--e_f"));
}

TEST(OciReference, KnowsTagsAndDigests) {
    EXPECT_TRUE(is_tag("v1.0_x-Y"));
    EXPECT_FALSE(is_tag(".v1"));
    EXPECT_FALSE(is_tag(std::string(129, 'a')));
    EXPECT_TRUE(is_digest("sha256:" + hex));
    EXPECT_FALSE(is_digest("sha256:" + std::string(64, 'A')));
    EXPECT_FALSE(is_digest("sha256:" + hex + "a"));
}

}  // namespace
}  // namespace kled::gitops::oci
