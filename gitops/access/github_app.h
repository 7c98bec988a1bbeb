/// GitHub Apps (`provider: github`): a private key in a Secret, for which GitHub hands out tokens
/// that last an hour.
/// https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app
#pragma once

#include "base/clock.h"
#include "base/secret.h"
#include "gitops/access/secret_data.h"
#include "gitops/git/access.h"
#include "net/http.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace kled::gitops {

struct GitHubApp {
    std::string id;
    std::string installation;  ///< its number; empty: the one of `owner`
    std::string owner;         ///< organisation or user
    std::shared_ptr<const Secret> key;
    net::Url api;        ///< https://api.github.com, or a GitHub Enterprise Server's
    std::string secret;  ///< "ns/name" of the Secret: for messages

    /// Whether a Secret describes one.
    [[nodiscard]] static bool is_in(const SecretData& secret);
    /// From githubAppID, githubAppInstallationID or githubAppInstallationOwner, githubAppPrivateKey
    /// and githubAppBaseURL. Error(invalid) names the key, never a value.
    [[nodiscard]] static GitHubApp from_secret(const SecretData& secret);

    /// A JSON Web Token that says who asks (RFC 7519): good for nine minutes from `now`.
    /// Error(invalid) when the key is no RSA key; it names the Secret.
    [[nodiscard]] Secret identity(WallTime now) const;
    [[nodiscard]] net::Request installations(unsigned page, WallTime now) const;
    [[nodiscard]] net::Request token_for(const std::string& its_installation, WallTime now) const;
    /// Tells two Apps apart, and one before and after its key was renewed.
    [[nodiscard]] std::string fingerprint() const;
};

constexpr std::size_t installations_per_page = 100;
/// What a page of installations says of `owner`'s.
struct InstallationPage {
    std::optional<std::string> id;
    bool last = true;
};
/// Error(invalid) when it is no such page.
[[nodiscard]] InstallationPage read_installations(std::string_view body, std::string_view owner);

struct InstallationToken {
    std::shared_ptr<const Secret> token;
    WallTime expires;
};
/// Error(invalid) when the answer holds none.
[[nodiscard]] InstallationToken read_installation_token(std::string_view body);

/// Tokens of Apps, each asked for once and kept in memory until shortly before it expires. Used
/// from one loop.
class GitHubApps {
public:
    explicit GitHubApps(boost::asio::any_io_executor loop) : loop_{loop} {}

    /// Makes `access`, whose certificates, proxy and timeout it uses, show a token of `app`.
    /// Error(denied): GitHub refuses the App; Error(unavailable): it cannot be asked.
    boost::asio::awaitable<void> sign_in(const GitHubApp& app, git::Access& access);

private:
    boost::asio::awaitable<InstallationToken> ask(const GitHubApp& app, const git::Access& access);

    boost::asio::any_io_executor loop_;
    std::map<std::string, InstallationToken> tokens_;  ///< by fingerprint
};

}  // namespace kled::gitops
