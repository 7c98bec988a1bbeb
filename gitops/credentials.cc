#include "gitops/credentials.h"

#include "base/encoding.h"
#include "base/error.h"

#include <initializer_list>
#include <optional>

namespace kled::gitops {

namespace asio = boost::asio;

namespace {

/// The decoded values of one Secret.
class SecretData {
public:
    SecretData(kube::Object secret, std::string name)
        : secret_{std::move(secret)}, name_{std::move(name)} {}

    /// The first of `keys` that is there; empty: none.
    [[nodiscard]] std::string text(std::initializer_list<std::string_view> keys) const {
        for (const auto key : keys) {
            const auto encoded = kube::find_string(secret_.fields(), {"data", key});
            if (encoded.empty()) continue;
            auto value = from_base64(encoded);
            if (!value) {
                throw Error{ErrorKind::invalid,
                            "Secret " + name_ + ": data." + std::string{key} + " is not base64"};
            }
            return std::move(*value);
        }
        return {};
    }
    [[nodiscard]] std::shared_ptr<const Secret> secret(
        std::initializer_list<std::string_view> keys) const {
        auto value = text(keys);
        return value.empty() ? nullptr : std::make_shared<const Secret>(std::move(value));
    }

private:
    kube::Object secret_;
    std::string name_;
};

asio::awaitable<SecretData> read_secret(kube::Client& client, std::string ns, std::string name) {
    const kube::GroupVersionKind gvk{.group = "", .version = "v1", .kind = "Secret"};
    auto secret = co_await client.get(gvk, ns, name);
    if (!secret) throw Error{ErrorKind::not_found, "Secret " + ns + "/" + name + " does not exist"};
    co_return SecretData{std::move(*secret), ns + "/" + name};
}

}  // namespace

asio::awaitable<git::Access> read_access(kube::Client& client, const GitRepository& repository) {
    git::Access access;
    access.timeout = repository.timeout;
    const std::string ns{repository.object.ns()};
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
    }
    if (!repository.proxy_secret_name.empty()) {
        const auto data = co_await read_secret(client, ns, repository.proxy_secret_name);
        access.proxy = data.text({"address"});
        const auto user = data.text({"username"});
        if (const auto scheme = access.proxy.find("://");
            !user.empty() && scheme != std::string::npos)
            access.proxy.insert(scheme + 3, user + ":" + data.text({"password"}) + "@");
    }
    co_return access;
}

}  // namespace kled::gitops
