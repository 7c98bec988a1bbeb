#include "gitops/oci/manifest.h"

#include "base/error.h"

#include <gtest/gtest.h>

namespace kled::gitops::oci {
namespace {

const std::string digest = "sha256:" + std::string(64, 'b');

std::string layer(const std::string& size = "12") {
    return R"({"mediaType":"application/vnd.cncf.flux.content.v1.tar+gzip","digest":")" + digest +
           R"(","size":)" + size + "}";
}

TEST(OciManifest, ReadsLayersAndAnnotations) {
    const auto manifest = Manifest::parse(
        R"({"schemaVersion":2,"layers":[)" + layer() +
            R"(],"annotations":{"org.opencontainers.image.revision":"main@sha1:1","x":7}})",
        "application/vnd.oci.image.manifest.v1+json");
    EXPECT_FALSE(manifest.index);
    ASSERT_EQ(manifest.layers.size(), 1U);
    EXPECT_EQ(manifest.layers[0],
              (Descriptor{.media_type = "application/vnd.cncf.flux.content.v1.tar+gzip",
                          .digest = digest,
                          .size = 12}));
    EXPECT_EQ(manifest.annotations.size(), 1U);
}

TEST(OciManifest, KnowsAListOfManifests) {
    const auto body = R"({"manifests":[)" + layer() + "]}";
    EXPECT_TRUE(Manifest::parse(body, "application/vnd.oci.image.index.v1+json").index);
    EXPECT_TRUE(Manifest::parse(body, "").index);
}

TEST(OciManifest, OfAListTheImageForLinuxOnAmd64IsTaken) {
    const auto other = [](char digit) { return "sha256:" + std::string(64, digit); };
    const auto child = [&](char digit, const std::string& platform) {
        return R"({"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":")" +
               other(digit) + R"(","size":1)" + platform + "}";
    };
    const auto parse = [](const std::string& children) {
        return Manifest::parse(R"({"manifests":[)" + children + "]}", "");
    };
    const std::string arm = R"(,"platform":{"os":"linux","architecture":"arm64","variant":"v8"})";
    const std::string amd = R"(,"platform":{"os":"linux","architecture":"amd64","variant":"v2"})";
    const std::string unknown = R"(,"platform":{"os":"unknown","architecture":"unknown"})";
    EXPECT_EQ(parse(child('1', arm) + "," + child('2', amd) + "," + child('3', ""))
                  .default_image()
                  .digest,
              other('2'));
    EXPECT_EQ(parse(child('1', arm) + "," + child('3', "") + "," + child('2', amd))
                  .default_image()
                  .digest,
              other('3'));
    try {
        static_cast<void>(parse(child('1', arm) + "," + child('2', unknown)).default_image());
        FAIL() << "there was one";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::not_found);
        EXPECT_STREQ(error.what(),
                     "it is a list of images for several platforms, and none of them is for "
                     "linux/amd64: linux/arm64, unknown/unknown");
    }
}

TEST(OciManifest, RefusesWhatIsNone) {
    for (const std::string& bad :
         {std::string{}, std::string{"[]"}, std::string{"{}"}, std::string{R"({"layers":7})"},
          std::string{R"({"layers":[7]})"}, R"({"layers":[)" + layer("-1") + "]}",
          R"({"layers":[)" + layer("1.5") + "]}",
          std::string{R"({"layers":[{"digest":"sha256:../..","size":1}]})"}})
        EXPECT_THROW(auto none = Manifest::parse(bad, ""), Error) << bad;
    std::string many = R"({"layers":[)" + layer();
    for (int i = 0; i < 1'000; ++i) many += "," + layer();
    EXPECT_THROW(auto none = Manifest::parse(many + "]}", ""), Error);
}

TEST(OciTags, LeavesOutWhatIsNoTag) {
    EXPECT_EQ(parse_tags(R"({"name":"a","tags":["1.0","../x","",7,"b"]})"),
              (std::vector<std::string>{"1.0", "b"}));
    EXPECT_TRUE(parse_tags(R"({"name":"a","tags":null})").empty());
    EXPECT_THROW(auto none = parse_tags(R"({"tags":{}})"), Error);
}

TEST(OciTags, FindTheNextPage) {
    EXPECT_EQ(next_link(R"(</v2/a/tags/list?last=b&n=2>; rel="next")"),
              "/v2/a/tags/list?last=b&n=2");
    EXPECT_EQ(next_link(R"(<x>; rel="prev", <y>; title=a; REL=next)"), "y");
    EXPECT_EQ(next_link(R"(<x>; rel="prev")"), "");
    EXPECT_EQ(next_link(R"(<x)"), "");
    EXPECT_EQ(next_link(""), "");
}

TEST(OciErrors, AreOneShortLine) {
    EXPECT_EQ(error_text(R"({"errors":[{"code":"DENIED","message":"not\nyou"}]})"),
              "DENIED: not you");
    EXPECT_EQ(error_text("<html>"), "");
    EXPECT_LE(error_text(R"({"errors":[{"message":")" + std::string(9'000, 'a') + R"("}]})").size(),
              300U);
}

}  // namespace
}  // namespace kled::gitops::oci
