#include "gitops/source/bucket_content.h"

#include "base/error.h"
#include "crypto/hash.h"
#include "gitops/source/bucket.h"
#include "kube/yaml.h"

#include <gtest/gtest.h>

namespace kled::gitops {
namespace {

std::string refused(const std::string& key, const std::string& etag = "1") {
    BucketIndex index{"", ""};
    try {
        return index.add(key, etag) ? "taken" : "left out";
    } catch (const Error& error) {
        return error.what();
    }
}

TEST(BucketIndex, IsCountedAsFluxCountsIt) {
    BucketIndex index{"", ""};
    index.add("b", "etag2");
    index.add("a/x.yaml", "etag1");
    index.add("a-b", "etag3");
    index.add("Ä", "etag4");
    EXPECT_EQ(index.text(), "a-b etag3\na/x.yaml etag1\nb etag2\nÄ etag4\n");
    EXPECT_EQ(index.revision(), "sha256:" + crypto::sha256_hex(index.text()));
    // What source-controller calls a bucket without objects.
    const BucketIndex none{"", ""};
    EXPECT_EQ(none.revision(),
              "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    index.remove("b");
    index.replace("a-b", "etag5");
    EXPECT_EQ(index.text(), "a-b etag5\na/x.yaml etag1\nÄ etag4\n");
}

TEST(BucketIndex, PatternsOfTheBucketAndOfTheObjectLeaveKeysOut) {
    BucketIndex index{"*.txt\n/drafts/\n", "!keep.txt\n*.md\n"};
    EXPECT_FALSE(index.add("a/b.txt", "1"));
    EXPECT_TRUE(index.add("a/keep.txt", "1"));
    EXPECT_FALSE(index.add("drafts/a.yaml", "1"));
    EXPECT_TRUE(index.add("a/drafts/a.yaml", "1"));
    EXPECT_FALSE(index.add("README.md", "1"));
    EXPECT_FALSE(index.add(".sourceignore", "1"));
    EXPECT_FALSE(index.add("folder/", "1"));
    // What is left out by default elsewhere is not here: as in Flux.
    EXPECT_TRUE(index.add("a.jpg", "1"));
    EXPECT_TRUE(index.add(".git/config", "1"));
}

TEST(BucketIndex, KeysThatAreNoPathsAreRefusedUnlessTheyAreLeftOut) {
    EXPECT_EQ(refused("../../etc/passwd"),
              "object '../../etc/passwd' is no path: a part of it is '..'; rename it, or leave it "
              "out by spec.ignore");
    for (const auto* key : {"/etc/passwd", "a//b", "a/./b", "a/../b", "..", ".", "", "a/.."})
        EXPECT_NE(refused(key).find("is no path"), std::string::npos) << key;
    EXPECT_NE(refused("a\nb").find("object 'a?b' has a control character"), std::string::npos);
    EXPECT_NE(refused(std::string{"a\0b", 3}).find("control character"), std::string::npos);
    EXPECT_NE(refused(std::string(1'025, 'a')).find("too long"), std::string::npos);
    std::string deep;
    for (int i = 0; i < 101; ++i) deep += "a/";
    EXPECT_NE(refused(deep + "a").find("nested too deep"), std::string::npos);
    EXPECT_NE(refused(".sourceignore/a").find("cannot be in a folder"), std::string::npos);
    EXPECT_EQ(refused("..."), "taken");
    BucketIndex index{"", "/../\n..\nbad*\n"};
    EXPECT_FALSE(index.add("bad\nkey", "1"));
}

TEST(BucketIndex, VersionsThatCouldBeTakenForOthersAreRefused) {
    for (const auto* etag : {"", "a b", "a\nb c"})
        EXPECT_NE(refused("a", etag).find("has no ETag"), std::string::npos) << etag;
}

TEST(BucketIndex, AFileIsNoFolder) {
    BucketIndex index{"", ""};
    index.add("a/b", "1");
    index.add("a-c", "1");
    EXPECT_NO_THROW(index.check_paths());
    index.add("a", "1");
    try {
        index.check_paths();
        FAIL() << "a and a/b were accepted";
    } catch (const Error& error) {
        EXPECT_STREQ(error.what(),
                     "object 'a/b' cannot be in a folder while 'a' is an object; rename it, or "
                     "leave it out by spec.ignore");
    }
}

TEST(BucketIndex, HasALimit) {
    BucketIndex index{"", ""};
    for (std::size_t i = 0; i < BucketIndex::object_limit; ++i) index.add(std::to_string(i), "1");
    EXPECT_THROW(index.add("one more", "1"), Error);
}

TEST(BucketMemory, BelievesOnlyWhatBelongsTogether) {
    BucketIndex index{"", ""};
    index.add("a b", "1");
    index.add("c", "2");
    git::Imported::Kept kept;
    kept.revision.name = index.revision();
    kept.memo = BucketMemory::memo("https://s3/fleet", index);
    const git::Imported::Files files{{"a b", {}}, {"c", {}}, {".sourceignore", {}}};
    BucketMemory memory;
    EXPECT_TRUE(memory.take(kept, files));
    EXPECT_EQ(memory.objects.at("a b").etag, "1");
    EXPECT_EQ(memory.objects.size(), 2U);
    EXPECT_EQ(memory.url, "https://s3/fleet");
    BucketMemory other;
    EXPECT_FALSE(other.take(kept, {{"c", {}}})) << "a file is missing";
    kept.memo += "d 3\n";
    EXPECT_FALSE(other.take(kept, files)) << "that is another revision";
    EXPECT_FALSE(other.revision);
}

std::string bucket(const std::string& more, const std::string& endpoint = "minio:9000",
                   const std::string& interval = "1m") {
    try {
        const auto read = Bucket::from_object(kube::Object::from(kube::parse_yaml(
            "apiVersion: source.toolkit.fluxcd.io/v1\nkind: Bucket\nmetadata: {name: b, namespace: "
            "default}\nspec: {endpoint: '" +
            endpoint + "', bucketName: fleet, interval: " + interval + more + "}\n")));
        return read.unsupported.empty() ? read.url() : read.unsupported.front().field;
    } catch (const Error& error) {
        return error.what();
    }
}

TEST(Bucket, IsReadStrictly) {
    EXPECT_EQ(bucket(""), "https://minio:9000/fleet");
    EXPECT_EQ(bucket(", insecure: true, provider: generic"), "http://minio:9000/fleet");
    EXPECT_EQ(bucket(", provider: aws, secretRef: {name: s}"), "https://minio:9000/fleet");
    EXPECT_EQ(bucket(", provider: aws"),
              "spec.endpoint: is no S3 of Amazon over https: s3.REGION.amazonaws.com");
    const std::string amazon = "s3.eu-west-1.amazonaws.com";
    EXPECT_EQ(bucket(", provider: aws, serviceAccountName: a", amazon),
              "https://" + amazon + "/fleet");
    EXPECT_EQ(bucket(", provider: aws, insecure: true", amazon),
              "spec.endpoint: is no S3 of Amazon over https: s3.REGION.amazonaws.com");
    EXPECT_EQ(bucket(", provider: aws, certSecretRef: {name: a}", amazon),
              "spec.certSecretRef: is not taken with spec.provider: aws");
    EXPECT_EQ(bucket(", provider: aws, serviceAccountName: a/b", amazon),
              "spec.serviceAccountName: not a name");
    EXPECT_EQ(bucket(", serviceAccountName: a"), "spec.serviceAccountName");
    EXPECT_EQ(bucket(", provider: gcp"), "spec.provider: gcp");
    EXPECT_EQ(bucket(", provider: azure"), "spec.provider: azure");
    EXPECT_EQ(bucket(", sts: {provider: ldap}"), "spec.sts");
    EXPECT_EQ(
        bucket("", "http://minio"),
        "spec: the endpoint 'http://minio' is neither host nor host:port (no scheme, no path; "
        "`insecure: true` is http)");
    EXPECT_EQ(bucket("", "minio", "0s"), "spec.interval: is required, and more than 0");
}

}  // namespace
}  // namespace kled::gitops
