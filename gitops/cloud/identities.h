/// Identities of clouds: what this program, or a service account, is to Amazon, Azure and Google.
/// No Secret holds a password.
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
    std::string service_account{};  ///< empty: the default one, or this program where there is none
    std::string field = "spec.serviceAccountName";  ///< that names the account: for messages
    Reach reach{};
};

/// What is exchanged for an identity is kept in memory until five minutes before its end. Used from
/// one loop. Errors: invalid or not_found when there is no such identity, denied when the cloud
/// refuses it, unavailable when it cannot be asked.
class Identities {
public:
    using Environment = std::function<std::string(const std::string& name)>;
    /// Where requests for an endpoint go in its place.
    using Detour = std::function<net::Url(const net::Url& endpoint)>;
    struct Options {
        /// The service account, of the namespace of who asks, of those that name none; empty: they
        /// have this program's identity.
        std::string default_account{};
        Environment variables = environment;
        Detour detour{};  ///< of tests
    };
    Identities(boost::asio::any_io_executor loop, Options options)
        : loop_{std::move(loop)}, options_{std::move(options)} {}

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
    /// Of an account alone: what the provider of its annotation gives for it, or what the service
    /// account of Google's gets that it may act as.
    boost::asio::awaitable<BearerToken> google(kube::Client& client, Applicant who);

    /// Asks a service of a cloud; an answer with whatever status, of at most 1 MiB.
    boost::asio::awaitable<net::Response> send(net::Url endpoint, net::Request request,
                                               Reach reach) const;
    [[nodiscard]] std::string variable(const std::string& name) const {
        return options_.variables(name);
    }

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
    /// Gives `who` the default account where it names none.
    void resolve(Applicant& who) const;
    boost::asio::any_io_executor loop_;
    Options options_;
    Kept<AwsCredentials> amazon_;
    Kept<BearerToken> bearers_;
};

}  // namespace kled::gitops::cloud
