#include "gitops/access/github_app.h"

#include "base/encoding.h"
#include "base/error.h"
#include "base/task_group.h"
#include "crypto/rsa.h"
#include "crypto/testing_rsa_key.h"
#include "kube/yaml.h"
#include "net/http_server.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <exception>
#include <functional>
#include <optional>
#include <vector>

namespace kled::gitops {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

SecretData secret(const std::map<std::string, std::string>& data) {
    kube::json::object encoded;
    for (const auto& [key, value] : data) encoded[key] = to_base64(value);
    return {kube::Object{{{"kind", "Secret"}, {"data", std::move(encoded)}}}, "team/app"};
}

std::map<std::string, std::string> good() {
    return {{"githubAppID", "42"},
            {"githubAppInstallationID", "7"},
            {"githubAppPrivateKey", crypto::testing::rsa_key}};
}

std::string refused(const std::map<std::string, std::string>& more) {
    auto data = good();
    for (const auto& [key, value] : more) data[key] = value;
    try {
        static_cast<void>(GitHubApp::from_secret(secret(data)));
    } catch (const Error& error) {
        return error.what();
    }
    return "accepted";
}

TEST(GitHubApp, IsReadFromFluxsSecret) {
    EXPECT_TRUE(GitHubApp::is_in(secret(good())));
    EXPECT_FALSE(GitHubApp::is_in(secret({{"username", "me"}})));
    const auto app = GitHubApp::from_secret(secret(good()));
    EXPECT_EQ(app.api.host, "api.github.com");
    EXPECT_EQ(app.token_for("7", {}).target, "/app/installations/7/access_tokens");
    auto data = good();
    data["githubAppBaseURL"] = "https://git.example.org/api/v3/";
    EXPECT_EQ(GitHubApp::from_secret(secret(data)).token_for("7", {}).target,
              "/api/v3/app/installations/7/access_tokens");
}

TEST(GitHubApp, SaysWhatIsWrongWithASecret) {
    EXPECT_EQ(refused({{"githubAppID", "../x"}}), "Secret team/app: githubAppID is no number");
    EXPECT_EQ(refused({{"githubAppInstallationID", "7/8"}}),
              "Secret team/app: githubAppInstallationID is no number");
    EXPECT_THAT(refused({{"githubAppInstallationID", ""}}), HasSubstr("is required"));
    EXPECT_THAT(refused({{"githubAppInstallationOwner", "org"}}), HasSubstr("exclude each other"));
    EXPECT_THAT(refused({{"githubAppPrivateKey", ""}}), HasSubstr("githubAppPrivateKey"));
    EXPECT_THAT(refused({{"githubAppBaseURL", "ssh://x"}}), HasSubstr("githubAppBaseURL"));
}

TEST(GitHubApp, SaysWhoseKeyIsNone) {
    auto data = good();
    data["githubAppPrivateKey"] = "hunter2";
    const auto app = GitHubApp::from_secret(secret(data));
    try {
        static_cast<void>(app.identity({}));
        ADD_FAILURE() << "signed";
    } catch (const Error& error) {
        EXPECT_THAT(error.what(), StartsWith("Secret team/app: githubAppPrivateKey: RSA key: "));
        EXPECT_THAT(error.what(), Not(HasSubstr("hunter2")));
    }
}

TEST(GitHubApp, IdentifiesItselfByAToken) {
    const auto app = GitHubApp::from_secret(secret(good()));
    const auto token = app.identity(WallTime{1'000'000s});
    const std::string text{token.reveal()};
    const auto second = text.find('.');
    const auto third = text.rfind('.');
    EXPECT_EQ(from_base64url(text.substr(0, second)), R"({"alg":"RS256","typ":"JWT"})");
    EXPECT_EQ(from_base64url(text.substr(second + 1, third - second - 1)),
              R"({"iat":999940,"exp":1000540,"iss":"42"})");
    EXPECT_EQ(from_base64url(text.substr(third + 1)),
              crypto::sign_rs256(crypto::testing::rsa_key, text.substr(0, third)));
}

TEST(GitHubApp, ReadsAnswersOfAnyKind) {
    const auto page = read_installations(
        R"([{"id":1,"account":{"login":"other"}},{"id":9,"account":{"login":"My-Org"}},7,{"id":"x"}])",
        "my-org");
    EXPECT_EQ(page.id, "9");
    EXPECT_TRUE(page.last);
    EXPECT_THROW(static_cast<void>(read_installations("{}", "x")), Error);
    for (const auto* bad : {"", "[]", "{}", R"({"token":"t"})", R"({"token":"t","expires_at":"x"})",
                            R"({"token":1,"expires_at":"2030-01-01T00:00:00Z"})"})
        EXPECT_THROW(static_cast<void>(read_installation_token(bad)), Error) << bad;
}

/// What is asked of a server that answers as GitHub's documentation says.
class GitHubServer : public ::testing::Test {
protected:
    GitHubServer() { tasks_.spawn(server_.run()); }
    ~GitHubServer() override {
        tasks_.cancel();
        loop_.run();
    }
    /// How a sign-in ended: "" or the error.
    std::string sign_in(const std::map<std::string, std::string>& more) {
        auto data = good();
        for (const auto& [key, value] : more) data[key] = value;
        std::erase_if(data, [](const auto& item) { return item.second.empty(); });
        data["githubAppBaseURL"] = "http://127.0.0.1:" + std::to_string(server_.port()) + "/api/v3";
        const auto app = GitHubApp::from_secret(secret(data));
        std::optional<std::string> ended;
        asio::co_spawn(loop_, apps_.sign_in(app, access_), [&](const std::exception_ptr& failure) {
            ended.emplace();
            try {
                if (failure) std::rethrow_exception(failure);
            } catch (const Error& error) {
                ended = error.what();
            }
        });
        while (!ended) loop_.run_one();
        return *ended;
    }
    asio::awaitable<void> answer(net::Request request, net::ResponseWriter& out) {
        asked_.push_back(request.method + " " + request.target);
        identified_ = request.headers.get("Authorization").starts_with("Bearer ey");
        net::Response response;
        if (status_ != 0) {
            response.status = status_;
            response.body = R"({"message":"Bad credentials"})";
        } else if (request.method == "POST") {
            response.status = 201;
            response.body = R"({"token":"ghs_1","expires_at":")" + expires_ + R"("})";
        } else {
            response.body = R"([{"id":1,"account":{"login":"a"}})";
            for (std::size_t i = 1; i < installations_per_page && asked_.size() == 1; ++i)
                response.body += R"(,{"id":2,"account":{"login":"b"}})";
            if (asked_.size() > 1) response.body += R"(,{"id":77,"account":{"login":"org"}})";
            response.body += "]";
        }
        co_await out.respond(std::move(response));
    }

    asio::io_context loop_{1};
    net::HttpServer server_{
        loop_.get_executor(), net::ServerOptions{},
        [this](net::Request request, const net::Peer&, net::ResponseWriter& out) {
            return answer(std::move(request), out);
        }};
    TaskGroup tasks_{loop_.get_executor()};
    GitHubApps apps_{loop_.get_executor()};
    git::Access access_;
    std::vector<std::string> asked_;
    bool identified_ = false;
    unsigned status_ = 0;
    std::string expires_ = "2100-01-01T00:00:00Z";
};

TEST_F(GitHubServer, AsksOnceForATokenAndShowsIt) {
    EXPECT_EQ(sign_in({}), "");
    EXPECT_THAT(asked_, ElementsAre("POST /api/v3/app/installations/7/access_tokens"));
    EXPECT_TRUE(identified_);
    EXPECT_EQ(access_.user, "x-access-token");
    EXPECT_EQ(access_.password->reveal(), "ghs_1");
    EXPECT_EQ(sign_in({}), "");
    EXPECT_EQ(asked_.size(), 1U);
    EXPECT_EQ(sign_in({{"githubAppInstallationID", "8"}}), "");
    EXPECT_EQ(asked_.size(), 2U) << "another installation has another token";
}

TEST_F(GitHubServer, AsksAgainBeforeTheTokenExpires) {
    expires_ = to_rfc3339(std::chrono::system_clock::now() + 4min);
    EXPECT_EQ(sign_in({}), "");
    EXPECT_EQ(sign_in({}), "");
    EXPECT_EQ(asked_.size(), 2U);
}

TEST_F(GitHubServer, FindsTheInstallationOfAnOwner) {
    EXPECT_EQ(sign_in({{"githubAppInstallationID", ""}, {"githubAppInstallationOwner", "Org"}}),
              "");
    EXPECT_THAT(asked_, ElementsAre("GET /api/v3/app/installations?per_page=100&page=1",
                                    "GET /api/v3/app/installations?per_page=100&page=2",
                                    "POST /api/v3/app/installations/77/access_tokens"));
    asked_ = {"", ""};
    EXPECT_THAT(sign_in({{"githubAppInstallationID", ""}, {"githubAppInstallationOwner", "none"}}),
                HasSubstr("is not installed for none"));
}

TEST_F(GitHubServer, SaysWhyItIsRefused) {
    status_ = 401;
    const auto said = sign_in({});
    EXPECT_THAT(said, HasSubstr("GitHub App 42: status 401: Bad credentials"));
    EXPECT_THAT(said, Not(HasSubstr("eyJ")));
    EXPECT_EQ(access_.password, nullptr);
}

}  // namespace
}  // namespace kled::gitops
