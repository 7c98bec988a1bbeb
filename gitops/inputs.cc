#include "gitops/inputs.h"

#include "base/encoding.h"
#include "base/error.h"
#include "crypto/hash.h"

#include <algorithm>

namespace kled::gitops {

namespace asio = boost::asio;

namespace {

std::string without_line_breaks(std::string value) {
    std::erase(value, '\n');
    return value;
}

void take(Variables& variables, const kube::Object& object, bool secret) {
    const auto* data = kube::find(object.fields(), {"data"});
    if (data == nullptr || !data->is_object()) return;
    for (const auto& item : data->get_object()) {
        if (!item.value().is_string()) continue;
        std::optional<std::string> value{item.value().get_string()};
        if (secret) value = from_base64(*value);
        if (!value) {
            throw Error{ErrorKind::invalid, "Secret " + std::string{object.ns()} + "/" +
                                                std::string{object.name()} + ": data." +
                                                std::string{item.key()} + " is not base64"};
        }
        variables.values.insert_or_assign(std::string{item.key()},
                                          without_line_breaks(std::move(*value)));
    }
    variables.secret = variables.secret || secret;
}

asio::awaitable<std::optional<Variables>> read_variables(kube::Client& client,
                                                         const Deployment& deployment) {
    if (!deployment.post_build) co_return std::nullopt;
    Variables variables;
    const std::string ns{deployment.object.ns()};
    for (const auto& from : deployment.post_build->substitute_from) {
        const kube::GroupVersionKind gvk{.group = "", .version = "v1", .kind = from.kind};
        const auto object = co_await client.get(gvk, ns, from.name);
        if (object) {
            take(variables, *object, from.kind == "Secret");
        } else if (!from.optional) {
            throw Error{ErrorKind::not_found, "spec.postBuild.substituteFrom: " + from.kind + " " +
                                                  ns + "/" + from.name + " does not exist"};
        }
    }
    for (const auto& [name, value] : deployment.post_build->substitute)
        variables.values.insert_or_assign(name, without_line_breaks(value));
    // Without any variable Flux leaves the text as it is, unless it is told otherwise.
    if (variables.values.empty() && !deployment.post_build->always) co_return std::nullopt;
    co_return variables;
}

/// The entries of the Secret whose names end in ".agekey"; others are for keys of other kinds.
asio::awaitable<std::shared_ptr<const SopsKeys>> read_keys(kube::Client& client,
                                                           const Deployment& deployment) {
    if (!deployment.decryption) co_return nullptr;
    auto keys = std::make_shared<SopsKeys>();
    const auto& name = deployment.decryption->secret_name;
    if (name.empty()) co_return keys;
    const std::string ns{deployment.object.ns()};
    const kube::GroupVersionKind gvk{.group = "", .version = "v1", .kind = "Secret"};
    const auto secret = co_await client.get(gvk, ns, name);
    if (!secret) {
        throw Error{ErrorKind::not_found,
                    "spec.decryption.secretRef: Secret " + ns + "/" + name + " does not exist"};
    }
    const auto* data = kube::find(secret->fields(), {"data"});
    if (data == nullptr || !data->is_object()) co_return keys;
    for (const auto& item : data->get_object()) {
        if (!item.key().ends_with(".agekey") || !item.value().is_string()) continue;
        const auto text = from_base64(item.value().get_string());
        const auto where = "Secret " + ns + "/" + name + ": data." + std::string{item.key()};
        if (!text) throw Error{ErrorKind::invalid, where + " is not base64"};
        const Secret plain{std::string{*text}};
        try {
            keys->add_age(plain.reveal());
        } catch (const Error& error) {
            throw error.within(where);
        }
    }
    co_return keys;
}

}  // namespace

asio::awaitable<Inputs> read_inputs(kube::Client& client, const Deployment& deployment) {
    Inputs inputs;
    inputs.variables = co_await read_variables(client, deployment);
    inputs.keys = co_await read_keys(client, deployment);
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
