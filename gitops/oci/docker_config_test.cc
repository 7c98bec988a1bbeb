#include "gitops/oci/docker_config.h"

#include "base/encoding.h"
#include "base/error.h"

#include <gtest/gtest.h>

namespace kled::gitops::oci {
namespace {

std::string password_for(const std::string& config, std::string_view host,
                         std::string_view repository = "team/app") {
    const auto found = find_credentials(Secret{std::string{config}}, host, repository);
    if (!found) return "none";
    return found->user + "/" + std::string{found->password ? found->password->reveal() : ""};
}

TEST(OciDockerConfig, FindsARegistryByAnyOfItsSpellings) {
    const auto entry = [](const std::string& key) {
        return R"({"auths":{")" + key + R"(":{"username":"u","password":"p"}}})";
    };
    for (const auto* hub : {"docker.io", "index.docker.io", "https://index.docker.io/v1/",
                            "https://index.docker.io/v2", "registry-1.docker.io"})
        EXPECT_EQ(password_for(entry(hub), "docker.io"), "u/p") << hub;
    EXPECT_EQ(password_for(entry("https://Example.org:5000/"), "example.org:5000"), "u/p");
    EXPECT_EQ(password_for(entry("example.org"), "example.org:443"), "u/p");
    EXPECT_EQ(password_for(entry("example.org"), "example.org:5000"), "none");
    EXPECT_EQ(password_for(entry("example.org"), "evil-example.org"), "none");
    EXPECT_EQ(password_for(entry("docker.io"), "example.org"), "none");
}

TEST(OciDockerConfig, PrefersTheLongestPathThatCoversTheRepository) {
    const std::string config = R"({"auths":{
        "example.org":{"username":"all","password":"1"},
        "example.org/team":{"username":"team","password":"2"},
        "example.org/team/app":{"username":"app","password":"3"}}})";
    EXPECT_EQ(password_for(config, "example.org", "team/app"), "app/3");
    EXPECT_EQ(password_for(config, "example.org", "team/apps"), "team/2");
    EXPECT_EQ(password_for(config, "example.org", "teams"), "all/1");
}

TEST(OciDockerConfig, ReadsAuth) {
    const auto config = [](const std::string& auth) {
        return R"({"auths":{"example.org":{"auth":")" + auth + R"("}}})";
    };
    EXPECT_EQ(password_for(config(to_base64("u:p:q")), "example.org"), "u/p:q");
    for (const auto* bad : {"%", "dQ=="}) {
        try {
            password_for(config(bad), "example.org");
            FAIL();
        } catch (const Error& error) {
            EXPECT_EQ(std::string{error.what()}.find(bad), std::string::npos);
        }
    }
}

TEST(OciDockerConfig, RefusesWhatIsNone) {
    for (const auto* bad : {"", "[]", "{}", R"({"auths":[]})"})
        EXPECT_THROW(password_for(bad, "example.org"), Error) << bad;
    EXPECT_EQ(password_for(R"({"auths":{"example.org":"x"}})", "example.org"), "none");
}

}  // namespace
}  // namespace kled::gitops::oci
