#include "gitops/access/registry_access.h"

#include "base/error.h"
#include "gitops/access/secret_data.h"
#include "gitops/objects/fields.h"
#include "gitops/oci/docker_config.h"
#include "kube/names.h"

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

RegistrySecrets registry_secrets_in(const Reader& spec, std::string_view ns,
                                    std::string_view address_field,
                                    const std::optional<oci::Reference>& address,
                                    std::vector<Unsupported>& unsupported) {
    RegistrySecrets names{.ns = std::string{ns},
                          .pull = spec.object("secretRef").text("name"),
                          .service_account = spec.text("serviceAccountName"),
                          .certificate = spec.object("certSecretRef").text("name"),
                          .proxy = spec.object("proxySecretRef").text("name")};
    const auto provider = spec.text("provider");
    if (provider.empty() || provider == "generic") return names;
    if (!cloud::has_registries(provider)) {
        unsupported.push_back({"spec.provider: " + provider});
        return names;
    }
    if (!names.pull.empty()) return names;  // as with Flux, what it holds is shown
    const auto with = "is not taken with spec.provider: " + provider;
    if (spec.flag("insecure")) throw spec.bad("insecure", with);
    // With a proxy of his own, whoever made it could read what is meant for the cloud.
    if (!names.certificate.empty()) throw spec.bad("certSecretRef", with);
    if (!names.service_account.empty() &&
        !kube::check_dns1123_subdomain(names.service_account).empty())
        throw spec.bad("serviceAccountName", "not a name");
    try {
        if (address) cloud::check_registry(provider, address->host);
    } catch (const Error& error) {
        throw spec.bad(address_field, error.what());
    }
    names.cloud = provider;
    return names;
}

asio::awaitable<RegistryAccess> read_registry_access(kube::Client& client,
                                                     cloud::RegistryLogins& logins,
                                                     RegistrySecrets names,
                                                     oci::Reference repository, Duration timeout) {
    RegistryAccess access;
    access.timeout = timeout;
    if (!names.proxy.empty()) access.proxy = co_await read_proxy(client, names.ns, names.proxy);
    if (!names.cloud.empty()) {
        cloud::Applicant who;
        who.ns = names.ns;
        who.service_account = names.service_account;
        who.reach = {.proxy = access.proxy, .timeout = timeout};
        const auto login =
            co_await logins.login(client, std::move(who), names.cloud, repository.host);
        access.docker_config = std::make_shared<const Secret>(login.docker_config(repository.host));
        co_return access;
    }
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
    co_return access;
}

}  // namespace kled::gitops
