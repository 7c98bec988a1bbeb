#include "gitops/access/credentials.h"

#include "base/error.h"
#include "gitops/access/secret_data.h"
#include "gitops/cloud/git_login.h"

#include <optional>
#include <string>
#include <utility>

namespace kled::gitops {

namespace asio = boost::asio;

namespace {

cloud::Identities::Options with_default(std::string account) {
    cloud::Identities::Options options;
    options.default_account = std::move(account);
    return options;
}

}  // namespace

Logins::Logins(const asio::any_io_executor& loop, std::string default_account)
    : github{loop}, clouds{loop, with_default(std::move(default_account))} {}

asio::awaitable<git::Access> read_access(kube::Client& client, Logins& logins,
                                         const GitRepository& repository) {
    git::Access access;
    access.timeout = repository.timeout;
    const std::string ns{repository.object.ns()};
    std::optional<GitHubApp> app;
    if (!repository.secret_name.empty()) {
        const auto data = co_await read_secret(client, ns, repository.secret_name);
        access.user = data.text({"username"});
        access.password = data.secret({"password"});
        access.bearer_token = data.secret({"bearerToken"});
        access.ssh_identity = data.secret({"identity"});
        access.known_hosts = data.text({"known_hosts"});
        access.ca_pem = data.text({"ca.crt", "caFile"});
        access.certificate_pem = data.text({"tls.crt", "certFile"});
        access.key_pem = data.secret({"tls.key", "keyFile"});
        if (access.certificate_pem.empty() != (access.key_pem == nullptr)) {
            throw Error{ErrorKind::invalid, "Secret " + ns + "/" + repository.secret_name +
                                                ": tls.crt and tls.key belong together"};
        }
        if (repository.github_app) {
            app = GitHubApp::from_secret(data);
        } else if (GitHubApp::is_in(data)) {
            throw Error{ErrorKind::invalid, "Secret " + ns + "/" + repository.secret_name +
                                                " is a GitHub App's: set spec.provider to github"};
        }
    }
    if (!repository.proxy_secret_name.empty())
        access.proxy = co_await read_proxy(client, ns, repository.proxy_secret_name);
    if (app) co_await logins.github.sign_in(*app, access);
    if (!repository.cloud.empty() && !access.ca_pem.empty()) {
        // With a proxy of his own, whoever made it could read what is meant for the cloud.
        throw Error{ErrorKind::invalid,
                    "Secret " + ns + "/" + repository.secret_name +
                        ": ca.crt is not taken with spec.provider: " + repository.cloud};
    }
    if (!repository.cloud.empty())
        co_await cloud::sign_in(logins.clouds, client, repository, access);
    co_return access;
}

}  // namespace kled::gitops
