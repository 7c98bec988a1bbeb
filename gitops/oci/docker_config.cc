#include "gitops/oci/docker_config.h"

#include "base/encoding.h"
#include "base/error.h"
#include "kube/object.h"

#include <algorithm>
#include <utility>

namespace kled::gitops::oci {

namespace {

constexpr std::size_t json_depth = 32;

struct Place {
    std::string host;
    std::string path;
};

/// "https://index.docker.io/v1/" → docker.io, "".
Place place_of(std::string_view key) {
    for (const std::string_view scheme : {"https://", "http://"}) {
        if (key.starts_with(scheme)) key.remove_prefix(scheme.size());
    }
    const auto slash = std::min(key.find('/'), key.size());
    Place place{.host = std::string{key.substr(0, slash)},
                .path = std::string{key.substr(std::min(slash + 1, key.size()))}};
    while (place.path.ends_with('/')) place.path.pop_back();
    if (place.path == "v1" || place.path == "v2") place.path.clear();
    std::ranges::transform(place.host, place.host.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    if (place.host == "index.docker.io" || place.host == "registry-1.docker.io")
        place.host = "docker.io";
    if (place.host.ends_with(":443")) place.host.resize(place.host.size() - 4);
    return place;
}

bool covers(std::string_view path, std::string_view repository) {
    return path.empty() || path == repository ||
           (repository.starts_with(path) && repository[path.size()] == '/');
}

std::shared_ptr<const Secret> secret(std::string_view text) {
    return text.empty() ? nullptr : std::make_shared<const Secret>(std::string{text});
}

Credentials read(const kube::json::object& entry) {
    Credentials result;
    result.identity_token = secret(kube::find_string(entry, {"identitytoken"}));
    result.registry_token = secret(kube::find_string(entry, {"registrytoken"}));
    result.user = kube::find_string(entry, {"username"});
    result.password = secret(kube::find_string(entry, {"password"}));
    const auto encoded = kube::find_string(entry, {"auth"});
    if (encoded.empty() || (!result.user.empty() && result.password)) return result;
    auto both = from_base64(encoded);
    const auto colon = both ? both->find(':') : std::string::npos;
    if (colon == std::string::npos)
        throw Error{ErrorKind::invalid,
                    ".dockerconfigjson: an `auth` is not base64 of user:password"};
    result.user = both->substr(0, colon);
    auto password = both->substr(colon + 1);
    while (password.ends_with('\0')) password.pop_back();  // as docker does
    result.password = std::make_shared<const Secret>(std::move(password));
    wipe(*both);
    return result;
}

}  // namespace

std::optional<Credentials> find_credentials(const Secret& config, std::string_view host,
                                            std::string_view repository) {
    kube::json::value file;
    try {
        file = kube::parse_json(config.reveal(), json_depth);
    } catch (const Error&) {  // its message might quote
        throw Error{ErrorKind::invalid, ".dockerconfigjson: is not JSON"};
    }
    const auto* auths = file.is_object() ? kube::find(file.get_object(), {"auths"}) : nullptr;
    if (auths == nullptr || !auths->is_object())
        throw Error{ErrorKind::invalid, ".dockerconfigjson: has no `auths`"};
    const auto wanted = place_of(host).host;
    const kube::json::object* best = nullptr;
    std::size_t length = 0;
    for (const auto& item : auths->get_object()) {
        const auto place = place_of({item.key().data(), item.key().size()});
        if (place.host != wanted || !covers(place.path, repository) || !item.value().is_object())
            continue;
        if (best != nullptr && place.path.size() <= length) continue;
        best = &item.value().get_object();
        length = place.path.size();
    }
    if (best == nullptr) return std::nullopt;
    return read(*best);
}

}  // namespace kled::gitops::oci
