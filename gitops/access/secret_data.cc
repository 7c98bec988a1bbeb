#include "gitops/access/secret_data.h"

#include "base/encoding.h"
#include "base/error.h"
#include "net/http.h"

namespace kled::gitops {

namespace asio = boost::asio;

std::string SecretData::text(std::initializer_list<std::string_view> keys) const {
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

std::shared_ptr<const Secret> SecretData::secret(
    std::initializer_list<std::string_view> keys) const {
    auto value = text(keys);
    return value.empty() ? nullptr : std::make_shared<const Secret>(std::move(value));
}

std::vector<std::string> SecretData::keys() const {
    std::vector<std::string> result;
    const auto* data = kube::find(secret_.fields(), {"data"});
    if (data == nullptr || !data->is_object()) return result;
    for (const auto& item : data->get_object()) result.emplace_back(item.key());
    return result;
}

asio::awaitable<std::optional<SecretData>> find_secret(kube::Client& client, std::string ns,
                                                       std::string name) {
    const kube::GroupVersionKind gvk{.group = "", .version = "v1", .kind = "Secret"};
    auto secret = co_await client.get(gvk, ns, name);
    if (!secret) co_return std::nullopt;
    co_return SecretData{std::move(*secret), ns + "/" + name};
}

asio::awaitable<SecretData> read_secret(kube::Client& client, std::string ns, std::string name) {
    auto secret = co_await find_secret(client, ns, name);
    if (!secret) throw Error{ErrorKind::not_found, "Secret " + ns + "/" + name + " does not exist"};
    co_return std::move(*secret);
}

asio::awaitable<std::string> read_proxy(kube::Client& client, std::string ns, std::string name) {
    const auto data = co_await read_secret(client, std::move(ns), std::move(name));
    auto address = data.text({"address"});
    if (address.empty())
        throw Error{ErrorKind::invalid, "Secret " + data.name() + ": address is required"};
    const auto user = data.text({"username"});
    if (const auto scheme = address.find("://"); !user.empty() && scheme != std::string::npos) {
        address.insert(scheme + 3, net::percent_encode(user) + ":" +
                                       net::percent_encode(data.text({"password"})) + "@");
    }
    co_return address;
}

}  // namespace kled::gitops
