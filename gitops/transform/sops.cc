#include "gitops/transform/sops.h"

#include "base/error.h"
#include "crypto/hash.h"
#include "gitops/transform/sops_tree.h"
#include "kube/yaml.h"

#include <algorithm>
#include <map>
#include <utility>

namespace kled::gitops {

namespace json = boost::json;

namespace {

constexpr std::string_view switch_off = "kustomize.toolkit.fluxcd.io/decrypt";

bool ends_with_any(std::string_view path, std::initializer_list<std::string_view> endings) {
    return std::ranges::any_of(endings, [&](std::string_view e) { return path.ends_with(e); });
}

/// Takes the `sops` field out; nullopt: there is none with a MAC.
std::optional<json::object> take_metadata(json::object& fields) {
    const auto* found = fields.find("sops");
    if (found == fields.end() || !found->value().is_object() ||
        kube::find_string(found->value().get_object(), {"mac"}).empty()) {
        return std::nullopt;
    }
    auto metadata = found->value().get_object();
    fields.stable_erase(found);
    return metadata;
}

bool left_alone(const json::object& fields) {
    auto word = std::string{kube::find_string(fields, {"metadata", "annotations", switch_off})};
    std::ranges::transform(word, word.begin(),
                           [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return word == "disabled";
}

// ---- YAML ---------------------------------------------------------------------------------------

std::optional<std::string> decrypt_yaml(std::string_view path, std::string_view content,
                                        const SopsKeys& keys) {
    kube::YamlOptions options;
    options.file = path;
    auto documents = kube::parse_yaml_stream(content, options);
    std::vector<json::object*> branches;
    std::optional<json::object> metadata;
    for (auto& document : documents) {
        if (!document.value.is_object() || left_alone(document.value.get_object())) continue;
        auto& fields = document.value.get_object();
        auto own = take_metadata(fields);
        if (!own) continue;
        branches.push_back(&fields);
        // Each document carries the metadata of the whole file.
        if (!metadata) metadata = std::move(own);
    }
    if (!metadata) return std::nullopt;
    decrypt_sops_tree(branches, *metadata, keys);
    std::string text;
    for (const auto& document : documents)
        text += (text.empty() ? "" : "---\n") + kube::to_yaml(document.value);
    return text;
}

// ---- JSON ---------------------------------------------------------------------------------------

std::optional<std::string> decrypt_json(std::string_view path, std::string_view content,
                                        const SopsKeys& keys) {
    auto value = kube::parse_json(content);
    if (!value.is_object() || left_alone(value.get_object())) return std::nullopt;
    auto& fields = value.get_object();
    const auto metadata = take_metadata(fields);
    if (!metadata) return std::nullopt;
    decrypt_sops_tree({&fields}, *metadata, keys);
    // SOPS' envelope for a file that is neither JSON nor YAML.
    const auto* data = fields.if_contains("data");
    if (!path.ends_with(".json") && fields.size() == 1 && data != nullptr && data->is_string())
        return std::string{data->get_string()};
    return kube::to_json(value) + "\n";
}

// ---- dotenv -------------------------------------------------------------------------------------

std::string replaced(std::string text, std::string_view from, std::string_view to) {
    for (auto at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
        text.replace(at, from.size(), to);
    return text;
}

/// The metadata of a flat file: `sops_mac`, `sops_age__list_0__map_enc`.
json::object unflattened(const std::map<std::string, std::string>& flat) {
    constexpr std::string_view list = "__list_";
    constexpr std::string_view map = "__map_";
    json::object metadata;
    std::string before;  // all of one key stand together: the names are sorted
    for (const auto& [name, value] : flat) {
        const auto field = name.find(list);
        if (field == std::string::npos) {
            metadata[name] = value;
            continue;
        }
        auto& keys = metadata[name.substr(0, field)];
        if (!keys.is_array()) keys.emplace_array();
        const auto part = name.find(map, field);
        auto key = name.substr(0, part);
        if (std::exchange(before, key) != key) keys.get_array().emplace_back(json::object{});
        if (part != std::string::npos)
            keys.get_array().back().get_object()[name.substr(part + map.size())] = value;
    }
    return metadata;
}

std::optional<std::string> decrypt_dotenv(std::string_view content, const SopsKeys& keys) {
    json::object fields;
    std::map<std::string, std::string> flat;
    for (auto rest = content; !rest.empty();) {
        const auto line = rest.substr(0, rest.find('\n'));
        rest.remove_prefix(std::min(line.size() + 1, rest.size()));
        if (line.empty() || line.starts_with('#')) continue;
        const auto equals = line.find('=');
        if (equals == std::string_view::npos) return std::nullopt;
        const std::string name{line.substr(0, equals)};
        auto value = replaced(std::string{line.substr(equals + 1)}, "\\n", "\n");
        if (name.starts_with("sops_")) {
            flat.insert_or_assign(name.substr(5), std::move(value));
        } else if (!fields.emplace(name, std::move(value)).second) {
            throw Error{ErrorKind::invalid, "'" + name + "' is there twice"};
        }
    }
    if (!flat.contains("mac")) return std::nullopt;
    decrypt_sops_tree({&fields}, unflattened(flat), keys);
    std::string text;
    for (const auto& item : fields) {
        text += std::string{item.key()} + "=";
        text += item.value().is_string()
                    ? replaced(std::string{item.value().get_string()}, "\n", "\\n")
                    : kube::to_json(item.value());
        text += "\n";
    }
    return text;
}

}  // namespace

void SopsKeys::add_age(std::string_view text) {
    while (!text.empty()) {
        auto line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(line.size() + 1, text.size()));
        while (!line.empty() && (line.ends_with('\r') || line.ends_with(' ')))
            line.remove_suffix(1);
        if (line.empty() || line.starts_with('#')) continue;
        identities_.push_back(crypto::Identity::parse(line));
        digest_ = digest_ * 31 + crypto::xxh3(line);
    }
}

void SopsKeys::add_pgp(std::string_view text) {
    if (!pgp_) {
        crypto::PgpKeys keys;
        keys.add(text);
        pgp_ = std::move(keys);
    } else {
        pgp_->add(text);
    }
    digest_ = digest_ * 31 + crypto::xxh3(text);
}

std::optional<std::string> decrypt_sops(std::string_view path, std::string_view content,
                                        const SopsKeys& keys) {
    // Parsed only where SOPS left its mark.
    if (content.find("ENC[AES256_GCM,") == std::string_view::npos) return std::nullopt;
    try {
        if (ends_with_any(path, {".yaml", ".yml"})) return decrypt_yaml(path, content, keys);
        const auto first = content.find_first_not_of(" \t\r\n");
        if (first != std::string_view::npos && content[first] == '{')
            return decrypt_json(path, content, keys);
        return decrypt_dotenv(content, keys);
    } catch (const Error& error) {
        const std::string prefix{path};
        const std::string what = error.what();
        if (what.starts_with(prefix)) throw;
        throw error.within(prefix + ": SOPS");
    }
}

}  // namespace kled::gitops
