/// Identities of clouds: what this program, or a service account, is to Amazon and Azure. No Secret
/// holds a password.
#pragma once

#include "base/secret.h"
#include "gitops/cloud/aws.h"
#include "gitops/cloud/bearer.h"
#include "gitops/cloud/kept.h"
#include "gitops/cloud/token_endpoint.h"
#include "kube/client.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <functional>
#include <memory>
#include <string>
#include <utility>

namespace kled::gitops::cloud {

/// A variable of the process; empty: it is not set.
[[nodiscard]] std::string environment(const std::string& name);

/// Who asks for an identity, and over which way the cloud is reached.
struct Applicant {
    std::string ns{};
    std::string service_account{};                  ///< empty: this program
    std::string field = "spec.serviceAccountName";  ///< that names the account: for messages
    Reach reach{};
};

/// What is exchanged for an identity is kept in memory until five minutes before its end. Used from
/// one loop. Errors: invalid or not_found when there is no such identity, denied when the cloud
/// refuses it, unavailable when it cannot be asked.
class Identities {
public:
    using Environment = std::function<std::string(const std::string& name)>;
    explicit Identities(boost::asio::any_io_executor loop, Environment variables = environment)
        : loop_{std::move(loop)}, variables_{std::move(variables)} {}

    /// Of the process: AWS_ACCESS_KEY_ID and its like, or AWS_ROLE_ARN with
    /// AWS_WEB_IDENTITY_TOKEN_FILE, or AWS_CONTAINER_CREDENTIALS_FULL_URI with
    /// AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE; of an account: the role of its annotation. `region`:
    /// of what is asked for.
    boost::asio::awaitable<AwsCredentials> amazon(kube::Client& client, Applicant who,
                                                  std::string region);
    /// Of the process: AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_FEDERATED_TOKEN_FILE; of an
    /// account: the application of its annotations.
    boost::asio::awaitable<BearerToken> azure(kube::Client& client, Applicant who,
                                              std::string scope);

private:
    using Assertion = std::shared_ptr<const Secret>;
    /// The role that is assumed.
    struct Role {
        std::string arn{};
        std::string session{};
        std::string region{};
    };
    boost::asio::awaitable<AwsCredentials> assume(kube::Client& client, Applicant who, Role role);
    boost::asio::awaitable<AwsCredentials> of_pod(Applicant who);
    boost::asio::awaitable<Role> role_of(kube::Client& client, Applicant who, std::string region);

    [[nodiscard]] Assertion token_of(const std::string& file_variable) const;
    /// A token of the account, or what stands in the file that the variable names.
    boost::asio::awaitable<Assertion> assertion(kube::Client& client, Applicant who,
                                                std::string audience, std::string file_variable);
    boost::asio::awaitable<net::Response> send(net::Url endpoint, net::Request request,
                                               Reach reach) const;

    boost::asio::any_io_executor loop_;
    Environment variables_;
    Kept<AwsCredentials> amazon_;
    Kept<BearerToken> azure_;
};

}  // namespace kled::gitops::cloud
