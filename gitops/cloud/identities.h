/// GitRepositories whose server knows this program, or a service account, by a cloud's identity
/// (`provider: aws` and `azure`): no Secret holds a password.
#pragma once

#include "base/secret.h"
#include "gitops/api.h"
#include "gitops/cloud/codecommit.h"
#include "gitops/cloud/entra.h"
#include "gitops/git/access.h"
#include "kube/client.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

namespace kled::gitops::cloud {

/// A variable of the process; empty: it is not set.
[[nodiscard]] std::string environment(const std::string& name);

/// What is exchanged for an identity is kept in memory until five minutes before its end. Used from
/// one loop.
class Identities {
public:
    using Environment = std::function<std::string(const std::string& name)>;
    explicit Identities(boost::asio::any_io_executor loop, Environment variables = environment)
        : loop_{std::move(loop)}, variables_{std::move(variables)} {}

    /// Makes `access`, whose proxy and timeout it uses, show what `repository.cloud` gives for
    /// `repository.service_account`, or for this program: AWS_ACCESS_KEY_ID and its like, or
    /// AWS_ROLE_ARN with AWS_WEB_IDENTITY_TOKEN_FILE, or AWS_CONTAINER_CREDENTIALS_FULL_URI with
    /// AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE; AZURE_CLIENT_ID, AZURE_TENANT_ID and
    /// AZURE_FEDERATED_TOKEN_FILE. Error(invalid|not_found): there is no such identity;
    /// Error(denied): the cloud refuses it; Error(unavailable): it cannot be asked.
    boost::asio::awaitable<void> sign_in(kube::Client& client, const GitRepository& repository,
                                         git::Access& access);

private:
    using Assertion = std::shared_ptr<const Secret>;
    boost::asio::awaitable<AwsCredentials> amazon(kube::Client& client,
                                                  const GitRepository& repository,
                                                  const CodeCommit& at, const git::Access& access);
    boost::asio::awaitable<BearerToken> azure(kube::Client& client, const GitRepository& repository,
                                              const git::Access& access);
    boost::asio::awaitable<AwsCredentials> of_pod(std::chrono::milliseconds timeout);
    [[nodiscard]] Assertion token_of(const std::string& file_variable) const;
    /// A token of the account, or what stands in the file that the variable names.
    boost::asio::awaitable<Assertion> assertion(kube::Client& client,
                                                const GitRepository& repository,
                                                std::string audience, std::string file_variable);

    boost::asio::any_io_executor loop_;
    Environment variables_;
    std::map<std::string, AwsCredentials> amazon_;  ///< by who and where
    std::map<std::string, BearerToken> azure_;
};

}  // namespace kled::gitops::cloud
