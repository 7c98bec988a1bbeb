#include "gitops/s3/signature.h"

#include <gtest/gtest.h>

namespace kled::gitops::s3 {
namespace {

const std::string empty_sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

Credentials credentials(std::string access, std::string secret) {
    return {.access_key = std::move(access),
            .secret_key = std::make_shared<const Secret>(std::move(secret))};
}

/// The examples of the Amazon S3 API Reference, "Signature Calculations for the Authorization
/// Header: Transferring Payload in a Single Chunk".
std::string s3_signature(Signable request) {
    const Scope scope{.date = "20130524T000000Z", .region = "us-east-1"};
    if (request.payload_sha256.empty()) request.payload_sha256 = empty_sha256;
    request.headers.emplace_back("host", "examplebucket.s3.amazonaws.com");
    request.headers.emplace_back("x-amz-content-sha256", request.payload_sha256);
    request.headers.emplace_back("x-amz-date", scope.date);
    const auto text = authorization(
        request, scope,
        credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"));
    return text.substr(text.rfind('=') + 1);
}

TEST(S3Signature, OfAmazonsExampleOfAnObject) {
    EXPECT_EQ(s3_signature({.path = "/test.txt", .headers = {{"range", "bytes=0-9"}}}),
              "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

TEST(S3Signature, OfAmazonsExampleOfAnUpload) {
    EXPECT_EQ(
        s3_signature(
            {.method = "PUT",
             .path = encode_path("/test$file.text"),
             .headers = {{"date", "Fri, 24 May 2013 00:00:00 GMT"},
                         {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
             .payload_sha256 = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"}),
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
}

TEST(S3Signature, OfAmazonsExampleOfAParameterWithoutValue) {
    EXPECT_EQ(s3_signature({.query = {{"lifecycle", ""}}}),
              "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
}

TEST(S3Signature, OfAmazonsExampleOfAList) {
    EXPECT_EQ(s3_signature({.query = {{"prefix", "J"}, {"max-keys", "2"}}}),
              "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

/// The example of "Authenticating Requests: Using Query Parameters" there.
TEST(S3Signature, OfAmazonsExampleOfAUrl) {
    Signable request{.path = "/test.txt", .payload_sha256 = "UNSIGNED-PAYLOAD"};
    request.headers.emplace_back("host", "examplebucket.s3.amazonaws.com");
    const Scope scope{.date = "20130524T000000Z", .region = "us-east-1"};
    const auto keys =
        credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
    EXPECT_EQ(presigned_query(request, scope, keys, nullptr, std::chrono::hours{24}),
              "X-Amz-Algorithm=AWS4-HMAC-SHA256"
              "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
              "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
              "&X-Amz-Signature="
              "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
    const Secret session{"a+b"};
    EXPECT_NE(presigned_query(request, scope, keys, &session, std::chrono::hours{24})
                  .find("&X-Amz-Security-Token=a%2Bb&X-Amz-SignedHeaders=host&X-Amz-Signature="),
              std::string::npos);
}

/// Cases of Amazon's aws-sig-v4-test-suite, by their names there.
std::string suite(Signable request) {
    const Scope scope{.date = "20150830T123600Z", .region = "us-east-1", .service = "service"};
    request.payload_sha256 = empty_sha256;
    request.headers.emplace_back("host", "example.amazonaws.com");
    request.headers.emplace_back("x-amz-date", scope.date);
    return authorization(request, scope,
                         credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"));
}

std::string suite_says(const std::string& names, const std::string& signature) {
    return "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
           "SignedHeaders=" +
           names + ", Signature=" + signature;
}

TEST(S3Signature, OfAmazonsTestSuite) {
    const std::string names = "host;x-amz-date";
    EXPECT_EQ(suite({}),
              suite_says(names, "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"))
        << "get-vanilla";
    EXPECT_EQ(suite({.path = encode_path("/ሴ")}),
              suite_says(names, "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"))
        << "get-utf8";
    EXPECT_EQ(suite({.path = encode_path(
                         "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")}),
              suite_says(names, "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"))
        << "get-unreserved";
    EXPECT_EQ(suite({.query = {{"Param2", "value2"}, {"Param1", "value1"}}}),
              suite_says(names, "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"))
        << "get-vanilla-query-order-key-case";
    EXPECT_EQ(suite({.headers = {{"my-header1", "   value1"}, {"my-header2", " \"a   b   c\""}}}),
              suite_says("host;my-header1;my-header2;x-amz-date",
                         "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"))
        << "get-header-value-trim";
}

TEST(S3Signature, TheDateIsWithoutSeparators) {
    EXPECT_EQ(amz_date(*parse_rfc3339("2013-05-24T00:00:07Z")), "20130524T000007Z");
}

TEST(S3Signature, APathKeepsItsSlashesAndEncodesTheRest) {
    EXPECT_EQ(encode_path("a b/ü+%/~x"), "a%20b/%C3%BC%2B%25/~x");
}

}  // namespace
}  // namespace kled::gitops::s3
