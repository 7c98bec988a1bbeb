#include "gitops/s3/answers.h"

#include "base/error.h"

#include <gtest/gtest.h>

namespace kled::gitops::s3 {
namespace {

std::string page(const std::string& inner) {
    return R"(<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>fleet</Name><Prefix></Prefix>)" +
           inner + "</ListBucketResult>";
}

std::string object(const std::string& key, const std::string& more = "") {
    return "<Contents><Key>" + key +
           "</Key><LastModified>2009-10-12T17:50:30.000Z</LastModified>"
           "<ETag>&quot;fba9dede5f27731c9771645a39863328&quot;</ETag><Size>434234</Size>" +
           more + "<StorageClass>STANDARD</StorageClass></Contents>";
}

std::string refused(const std::string& xml) {
    try {
        (void)parse_listing(xml);
    } catch (const Error& error) {
        return error.what();
    }
    return "taken";
}

TEST(S3Answers, APageHasItsObjectsAndWhereTheNextBegins) {
    const auto listing = parse_listing(page(
        "<IsTruncated>true</IsTruncated><NextContinuationToken>1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J"
        "/wm36Hy4vbOwM=</NextContinuationToken>" +
        object("apps/web.yaml", "<Owner><ID>75aa57f0</ID><DisplayName>mtd</DisplayName></Owner>") +
        object("b &amp; &#x63;.yaml")));
    ASSERT_EQ(listing.objects.size(), 2U);
    const ListedObject first{
        .key = "apps/web.yaml", .etag = "fba9dede5f27731c9771645a39863328", .size = 434'234};
    EXPECT_EQ(listing.objects[0], first);
    EXPECT_EQ(listing.objects[1].key, "b & c.yaml");
    EXPECT_EQ(listing.next, "1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM=");
}

TEST(S3Answers, KeysAreDecodedWhereTheServerSaysThatItEncodedThem) {
    const auto plain = parse_listing(page(object("a%20b+c")));
    EXPECT_EQ(plain.objects[0].key, "a%20b+c");
    const auto encoded =
        parse_listing(page("<EncodingType>url</EncodingType>" + object("a%20b+c%2B%0A%C3%BC")));
    EXPECT_EQ(encoded.objects[0].key, "a b c+\nü");
}

TEST(S3Answers, WhatOwnersAndPrefixesSayIsNoKey) {
    const auto listing =
        parse_listing(page("<CommonPrefixes><Prefix>x/</Prefix><Key>y</Key></CommonPrefixes>" +
                           object("a", "<Owner><Key>b</Key><Size>many</Size></Owner>")));
    ASSERT_EQ(listing.objects.size(), 1U);
    EXPECT_EQ(listing.objects[0].key, "a");
}

TEST(S3Answers, WhatIsNoListIsRefused) {
    EXPECT_EQ(refused("<html><body>hello</body></html>"), "the list of objects: <html> is none");
    EXPECT_EQ(refused(page("<Contents><ETag>x</ETag></Contents>")),
              "the list of objects: an object without a key");
    EXPECT_EQ(refused(page("<IsTruncated>true</IsTruncated>")),
              "the list of objects: there is more, and no token to ask for it");
    EXPECT_EQ(refused(page("<EncodingType>url</EncodingType>" + object("a%2"))),
              "the list of objects: a key with '%' and no byte");
    EXPECT_EQ(refused(page("<EncodingType>url</EncodingType>" + object("a%FF"))),
              "the list of objects: a key that is not UTF-8");
    EXPECT_EQ(refused(page("<Contents><Key>a</Key><Size>1e9</Size></Contents>")),
              "the list of objects: a size that is no number");
    EXPECT_EQ(refused(page("<Contents><Key>a</Key>")),
              "XML, line 2: </ListBucketResult> ends nothing; <Contents> is open");
}

TEST(S3Answers, AVersionIsTheSameWhetherItIsCalledWeakOrNot) {
    for (const auto* etag : {"\"9a\"", "W/\"9a\"", "9a"}) EXPECT_EQ(bare_etag(etag), "9a");
    EXPECT_EQ(bare_etag("\"W/9a\""), "W/9a");
}

TEST(S3Answers, ARefusalSaysWhyInOneLine) {
    const auto refusal = parse_refusal(
        "<Error><Code>AuthorizationHeaderMalformed</Code><Message>the region\n'us-east-1' is "
        "wrong</Message><Region>eu-west-1</Region></Error>");
    EXPECT_EQ(refusal.code, "AuthorizationHeaderMalformed");
    EXPECT_EQ(refusal.message, "the region 'us-east-1' is wrong");
    EXPECT_EQ(refusal.region, "eu-west-1");
    std::string many;
    for (int i = 0; i < 300; ++i) many += "ü";
    const auto longer = parse_refusal("<Error><Message>x" + many + "</Message></Error>").message;
    EXPECT_EQ(longer, "x" + many.substr(0, 298) + "…");
}

TEST(S3Answers, WhatIsNoRefusalSaysNothing) {
    EXPECT_EQ(parse_refusal("Bad Gateway").code, "");
    EXPECT_EQ(parse_refusal("<html><Code>NoSuchKey</Code></html>").code, "");
    EXPECT_EQ(parse_refusal("<Error><Code>NoSuchKey</Code>").code, "");
}

}  // namespace
}  // namespace kled::gitops::s3
