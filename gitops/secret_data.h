/// What a Secret holds, decoded.
#pragma once

#include "base/secret.h"
#include "kube/client.h"

#include <boost/asio/awaitable.hpp>

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

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

private:
    kube::Object secret_;
    std::string name_;
};

/// Error(not_found) when it is not there.
boost::asio::awaitable<SecretData> read_secret(kube::Client& client, std::string ns,
                                               std::string name);

}  // namespace kled::gitops
