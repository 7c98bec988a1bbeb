#include "gitops/registry_access.h"

#include "base/error.h"
#include "gitops/oci/docker_config.h"
#include "gitops/secret_data.h"

#include <memory>
#include <utility>
#include <vector>

namespace kled::gitops {

namespace asio = boost::asio;

namespace {

constexpr std::size_t secrets_limit = 50;  // of one account

const kube::GroupVersionKind account_kind{.group = "", .version = "v1", .kind = "ServiceAccount"};

/// The names of the Secrets that an account's pods pull with.
asio::awaitable<std::vector<std::string>> pull_secrets_of(kube::Client& client, std::string ns,
                                                          std::string name) {
    const auto account = co_await client.get(account_kind, ns, name);
    if (!account)
        throw Error{ErrorKind::not_found, "ServiceAccount " + ns + "/" + name + " does not exist"};
    std::vector<std::string> result;
    const auto* list = account->fields().if_contains("imagePullSecrets");
    if (list == nullptr || !list->is_array()) co_return result;
    for (const auto& item : list->get_array()) {
        if (!item.is_object()) continue;
        std::string secret{kube::find_string(item.get_object(), {"name"})};
        if (!secret.empty()) result.push_back(std::move(secret));
    }
    if (result.size() > secrets_limit) {
        throw Error{ErrorKind::exhausted, "ServiceAccount " + ns + "/" + name + " has more than " +
                                              std::to_string(secrets_limit) + " imagePullSecrets"};
    }
    co_return result;
}

}  // namespace

asio::awaitable<RegistryAccess> read_registry_access(kube::Client& client, RegistrySecrets names,
                                                     oci::Reference repository) {
    RegistryAccess access;
    std::vector<std::string> pulls;
    if (!names.pull.empty()) pulls.push_back(names.pull);
    if (!names.service_account.empty()) {
        auto more = co_await pull_secrets_of(client, names.ns, names.service_account);
        pulls.insert(pulls.end(), more.begin(), more.end());
    }
    for (const auto& name : pulls) {
        const auto data = co_await read_secret(client, names.ns, name);
        auto config = data.secret({".dockerconfigjson"});
        if (!config)
            throw Error{ErrorKind::invalid, "Secret " + data.name() + " has no .dockerconfigjson"};
        if (pulls.size() == 1) {
            access.docker_config = std::move(config);
            break;
        }
        bool has = false;
        try {
            has =
                oci::find_credentials(*config, repository.host, repository.repository).has_value();
        } catch (const Error& error) {
            throw error.within("Secret " + data.name());
        }
        if (has || !access.docker_config) access.docker_config = std::move(config);
        if (has) break;
    }
    if (!names.certificate.empty()) {
        const auto data = co_await read_secret(client, names.ns, names.certificate);
        access.ca_pem = data.text({"ca.crt", "caFile"});
        access.certificate_pem = data.text({"tls.crt", "certFile"});
        access.key_pem = data.secret({"tls.key", "keyFile"});
        if (access.certificate_pem.empty() != (access.key_pem == nullptr)) {
            throw Error{ErrorKind::invalid,
                        "Secret " + data.name() + ": tls.crt and tls.key belong together"};
        }
        if (access.ca_pem.empty() && access.certificate_pem.empty()) {
            throw Error{ErrorKind::invalid,
                        "Secret " + data.name() + " has none of ca.crt, tls.crt and tls.key"};
        }
    }
    if (!names.proxy.empty()) access.proxy = co_await read_proxy(client, names.ns, names.proxy);
    co_return access;
}

}  // namespace kled::gitops
