#include "gitops/build/inputs.h"

#include "base/error.h"
#include "crypto/hash.h"
#include "gitops/access/secret_data.h"

#include <algorithm>

namespace kled::gitops {

namespace asio = boost::asio;

namespace {

std::string without_line_breaks(std::string value) {
    std::erase(value, '\n');
    return value;
}

void put(Variables& variables, std::string name, std::string value) {
    variables.values.insert_or_assign(std::move(name), without_line_breaks(std::move(value)));
}

void take(Variables& variables, const kube::Object& config_map) {
    const auto* data = kube::find(config_map.fields(), {"data"});
    if (data == nullptr || !data->is_object()) return;
    for (const auto& item : data->get_object()) {
        if (item.value().is_string())
            put(variables, std::string{item.key()}, std::string{item.value().get_string()});
    }
}

void take(Variables& variables, const SecretData& secret, Redactions& redactions) {
    for (auto& key : secret.keys()) {
        auto value = secret.text({key});
        redactions.add(value);
        put(variables, std::move(key), std::move(value));
    }
    variables.secret = true;
}

/// False: there is no such object.
asio::awaitable<bool> take(kube::Client& client, Variables& variables, const PostBuild::From& from,
                           const std::string& ns, Redactions& redactions) {
    if (from.kind == "Secret") {
        const auto secret = co_await find_secret(client, ns, from.name);
        if (secret) take(variables, *secret, redactions);
        co_return secret.has_value();
    }
    const kube::GroupVersionKind gvk{.group = "", .version = "v1", .kind = from.kind};
    const auto object = co_await client.get(gvk, ns, from.name);
    if (object) take(variables, *object);
    co_return object.has_value();
}

asio::awaitable<std::optional<Variables>> read_variables(kube::Client& client,
                                                         const Deployment& deployment,
                                                         Redactions& redactions) {
    if (!deployment.post_build) co_return std::nullopt;
    Variables variables;
    const std::string ns{deployment.object.ns()};
    for (const auto& from : deployment.post_build->substitute_from) {
        const bool there = co_await take(client, variables, from, ns, redactions);
        if (!there && !from.optional) {
            throw Error{ErrorKind::not_found, "spec.postBuild.substituteFrom: " + from.kind + " " +
                                                  ns + "/" + from.name + " does not exist"};
        }
    }
    for (const auto& [name, value] : deployment.post_build->substitute) put(variables, name, value);
    // Without any variable Flux leaves the text as it is, unless it is told otherwise.
    if (variables.values.empty() && !deployment.post_build->always) co_return std::nullopt;
    co_return variables;
}

/// The entries of the Secret whose names end in ".agekey" and ".asc"; others are for keys of other
/// kinds.
asio::awaitable<std::shared_ptr<const SopsKeys>> read_keys(kube::Client& client,
                                                           const Deployment& deployment,
                                                           std::shared_ptr<Redactions> redactions) {
    if (!deployment.decryption) co_return nullptr;
    auto keys = std::make_shared<SopsKeys>(std::move(redactions));
    const auto& name = deployment.decryption->secret_name;
    if (name.empty()) co_return keys;
    const std::string ns{deployment.object.ns()};
    const auto secret = co_await find_secret(client, ns, name);
    if (!secret) {
        throw Error{ErrorKind::not_found,
                    "spec.decryption.secretRef: Secret " + ns + "/" + name + " does not exist"};
    }
    for (const auto& key : secret->keys()) {
        const bool age = key.ends_with(".agekey");
        if (!age && !key.ends_with(".asc")) continue;
        const auto plain = secret->secret({key});
        const auto text = plain ? plain->reveal() : std::string_view{};
        try {
            age ? keys->add_age(text) : keys->add_pgp(text);
        } catch (const Error& error) {
            throw error.within("Secret " + secret->name() + ": data." + key);
        }
    }
    co_return keys;
}

}  // namespace

asio::awaitable<Inputs> read_inputs(kube::Client& client, const Deployment& deployment) {
    Inputs inputs;
    inputs.variables = co_await read_variables(client, deployment, *inputs.redactions);
    inputs.keys = co_await read_keys(client, deployment, inputs.redactions);
    std::string all;
    const auto add = [&](std::string_view part) {
        all += std::to_string(part.size()) + ":" + std::string{part};
    };
    if (inputs.variables) {
        for (const auto& [name, value] : inputs.variables->values) {
            add(name);
            add(value);
        }
    }
    if (inputs.keys) add(std::to_string(inputs.keys->digest()));
    inputs.digest = crypto::xxh3(all);
    co_return inputs;
}

}  // namespace kled::gitops
