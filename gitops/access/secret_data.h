/// What a Secret holds, decoded.
#pragma once

#include "base/secret.h"
#include "kube/client.h"

#include <boost/asio/awaitable.hpp>

#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kled::gitops {

/// The values of one Secret. No message quotes one.
class SecretData {
public:
    SecretData(kube::Object secret, std::string name)
        : secret_{std::move(secret)}, name_{std::move(name)} {}

    /// The first of `keys` that is there; empty: none. Error(invalid) when it is not base64.
    [[nodiscard]] std::string text(std::initializer_list<std::string_view> keys) const;
    [[nodiscard]] std::shared_ptr<const Secret> secret(
        std::initializer_list<std::string_view> keys) const;
    /// Of what it holds, in its own order.
    [[nodiscard]] std::vector<std::string> keys() const;
    /// "namespace/name": for messages.
    [[nodiscard]] const std::string& name() const noexcept { return name_; }

private:
    kube::Object secret_;
    std::string name_;
};

/// nullopt: it is not there.
boost::asio::awaitable<std::optional<SecretData>> find_secret(kube::Client& client, std::string ns,
                                                              std::string name);
/// Error(not_found) when it is not there.
boost::asio::awaitable<SecretData> read_secret(kube::Client& client, std::string ns,
                                               std::string name);
/// Of a `spec.proxySecretRef`: its "address" with "username" and "password", as a URL.
/// Error(not_found|invalid).
boost::asio::awaitable<std::string> read_proxy(kube::Client& client, std::string ns,
                                               std::string name);

}  // namespace kled::gitops
