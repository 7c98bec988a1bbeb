#include "edge/bundle.h"

#include "base/encoding.h"
#include "base/error.h"
#include "crypto/hash.h"
#include "edge/fields.h"

#include <zstd.h>

#include <algorithm>
#include <memory>
#include <utility>

namespace kled::edge {

namespace {

constexpr int compression_level = 9;
constexpr std::size_t name_limit = 253;
constexpr std::size_t deployment_limit = 2 * name_limit + 1;
constexpr std::size_t revision_limit = 512;
constexpr std::size_t signature_bytes = 64;
constexpr std::size_t bundles_limit = 1024;
constexpr std::size_t secrets_limit = 4096;
constexpr std::size_t plain_limit = blob_limit;

std::string canonical(json::object object) {
    return kube::to_canonical_json(json::value(std::move(object)));
}

[[noreturn]] void invalid(const std::string& what) { throw Error{ErrorKind::invalid, what}; }

/// Secret.data with stringData merged in, as an API server would store it.
json::object secret_data(const kube::Object& object) {
    json::object data;
    if (const auto* given = object.fields().if_contains("data")) {
        if (const auto* fields = given->if_object()) data = *fields;
    }
    const auto* plain = object.fields().if_contains("stringData");
    if (plain != nullptr && plain->is_object()) {
        for (const auto& field : plain->get_object()) {
            if (const auto* text = field.value().if_string()) data[field.key()] = to_base64(*text);
        }
    }
    for (const auto& field : data) {
        const auto* text = field.value().if_string();
        if (text == nullptr || !from_base64(*text))
            invalid("Secret " + object.id().to_string() + ": data[" + std::string{field.key()} +
                    "] is not base64");
    }
    return data;
}

std::string secret_statement(std::string_view ns, std::string_view name, const json::object& data) {
    return canonical({{"namespace", ns}, {"name", name}, {"data", data}});
}

json::object write(const BlobRef& blob) {
    return {{"digest", blob.digest}, {"size", blob.size}, {"wire", blob.wire}};
}

}  // namespace

Blob pack(std::string_view plain) {
    if (plain.size() > plain_limit) {
        throw Error{ErrorKind::exhausted, "content of " + std::to_string(plain.size()) +
                                              " bytes, at most " + std::to_string(plain_limit) +
                                              " can be delivered to a device"};
    }
    Blob blob{.ref = {.digest = crypto::sha256_hex(plain), .size = plain.size(), .wire = 0},
              .wire = std::string(ZSTD_compressBound(plain.size()), '\0')};
    const auto size = ZSTD_compress(blob.wire.data(), blob.wire.size(), plain.data(), plain.size(),
                                    compression_level);
    if (ZSTD_isError(size) != 0U)
        throw Error{ErrorKind::internal, std::string{"zstd: "} + ZSTD_getErrorName(size)};
    blob.wire.resize(size);
    blob.wire.shrink_to_fit();
    blob.ref.wire = size;
    return blob;
}

std::string unpack(std::string_view wire, const BlobRef& ref) {
    const auto what = "blob " + ref.digest.substr(0, 12);
    if (wire.size() != ref.wire || ref.size > plain_limit)
        invalid(what + ": " + std::to_string(wire.size()) + " compressed bytes, announced were " +
                std::to_string(ref.wire));
    // The announced size, never one that the compressed bytes claim, is what gets allocated.
    std::string plain(ref.size, '\0');
    const auto size = ZSTD_decompress(plain.data(), plain.size(), wire.data(), wire.size());
    if (ZSTD_isError(size) != 0U) invalid(what + ": zstd: " + ZSTD_getErrorName(size));
    if (size != ref.size || crypto::sha256_hex(plain) != ref.digest)
        invalid(what + ": the content does not have this digest");
    return plain;
}

Bundle make_bundle(std::string_view deployment, const std::vector<kube::LoadedObject>& objects,
                   std::string_view commitment_key) {
    std::vector<const kube::Object*> sorted;
    for (const auto& loaded : objects) sorted.push_back(&loaded.object);
    std::ranges::sort(sorted, {}, [](const kube::Object* object) { return object->id(); });

    Bundle bundle{.deployment = std::string{deployment}, .blob = {}, .secrets = {}};
    json::array list;
    for (const auto* object : sorted) {
        if (object->kind() != "Secret" || object->api_version() != "v1") {
            list.push_back(object->fields());
            continue;
        }
        const auto data = secret_data(*object);
        auto statement = secret_statement(object->ns(), object->name(), data);
        // Derived, not random: the same values give the same bundle again.
        const auto salt = crypto::hmac_sha256(commitment_key, statement);
        auto commitment = to_hex(crypto::hmac_sha256(salt, statement));
        wipe(statement);
        bundle.secrets.push_back(
            {.ns = std::string{object->ns()},
             .name = std::string{object->name()},
             .json = Secret{canonical({{"data", data}, {"salt", to_base64(salt)}})}});
        auto without = object->fields();
        without.stable_erase(without.find("data") == without.end() ? "stringData" : "data");
        if (without.contains("stringData")) without.stable_erase("stringData");
        without["sealed"] = json::object{{"commitment", std::move(commitment)}};
        list.push_back(std::move(without));
    }
    bundle.blob = pack(canonical({{"deployment", deployment}, {"objects", std::move(list)}}));
    return bundle;
}

std::vector<kube::Object> parse_bundle(std::string_view plain, std::string_view deployment) {
    auto message = parse_message("bundle", plain, plain_limit);
    const Fields fields{message, "bundle"};
    if (fields.text("deployment", deployment_limit) != deployment)
        fields.fail("deployment", "is not " + std::string{deployment});
    auto* objects = message.contains("objects") ? message["objects"].if_array() : nullptr;
    if (objects == nullptr) fields.fail("objects", "must be a list");
    std::vector<kube::Object> result;
    result.reserve(objects->size());
    for (auto& object : *objects) result.push_back(kube::Object::from(std::move(object)));
    return result;
}

std::string to_json(const Document& document) {
    json::array bundles;
    for (const auto& bundle : document.bundles) {
        auto entry = write(bundle.blob);
        entry["deployment"] = bundle.deployment;
        entry["revision"] = bundle.revision;
        entry["sig"] = to_base64(bundle.signature);
        bundles.push_back(std::move(entry));
    }
    return canonical({{"bundles", std::move(bundles)}});
}

Document parse_document(std::string_view plain, const Trust& trust) {
    const auto message = parse_message("document", plain, plain_limit);
    const Fields fields{message, "document"};
    Document document;
    const auto& bundles = fields.array("bundles", bundles_limit);
    for (std::size_t i = 0; i < bundles.size(); ++i) {
        const auto entry = fields.element("bundles", bundles, i);
        BundleRef bundle{.deployment = entry.text("deployment", deployment_limit),
                         .revision = entry.text("revision", revision_limit),
                         .blob = read_blob_ref(entry),
                         .signature = entry.bytes("sig", signature_bytes)};
        if (!verify_bundle(trust.delivery, trust.fleet, bundle.deployment, bundle.revision,
                           bundle.blob.digest, bundle.signature)) {
            throw Error{ErrorKind::denied, "bundle " + bundle.deployment + " at " +
                                               bundle.revision + " is not signed by delivery key " +
                                               trust.delivery.id()};
        }
        document.bundles.push_back(std::move(bundle));
    }
    return document;
}

Blob seal_secrets(const std::vector<Sealable>& secrets, std::string_view device, const Position& at,
                  const crypto::Recipient& recipient) {
    json::array sealed;
    for (const auto& secret : secrets) {
        // The values go into the text as they are, never through a JSON tree that is not wiped.
        auto plain = canonical({{"deployment", secret.deployment},
                                {"device", device},
                                {"epoch", at.epoch},
                                {"gen", at.gen},
                                {"name", secret.name},
                                {"namespace", secret.ns}});
        plain.append("\n").append(secret.json.reveal());
        sealed.push_back(json::object{{"deployment", secret.deployment},
                                      {"namespace", secret.ns},
                                      {"name", secret.name},
                                      {"age", to_base64(crypto::seal(plain, {recipient}))}});
        wipe(plain);
    }
    return pack(canonical({{"sealed", std::move(sealed)}}));
}

std::map<SecretKey, Secret> open_secrets(std::string_view plain, std::string_view device,
                                         const Position& at, const crypto::Identity& identity) {
    const auto message = parse_message("secrets", plain, plain_limit);
    const Fields fields{message, "secrets"};
    std::map<SecretKey, Secret> opened;
    const auto& sealed = fields.array("sealed", secrets_limit);
    for (std::size_t i = 0; i < sealed.size(); ++i) {
        const auto entry = fields.element("sealed", sealed, i);
        SecretKey key{entry.text("deployment", deployment_limit),
                      entry.text_or("namespace", name_limit, ""), entry.text("name", name_limit)};
        const auto& [deployment, ns, name] = key;
        const auto age = from_base64(entry.text("age", plain_limit));
        if (!age) entry.fail("age", "is not base64");
        const auto text = crypto::unseal(*age, identity);
        const auto line = text.reveal().substr(0, text.reveal().find('\n'));
        const auto bound = canonical({{"deployment", deployment},
                                      {"device", device},
                                      {"epoch", at.epoch},
                                      {"gen", at.gen},
                                      {"name", name},
                                      {"namespace", ns}});
        if (line != bound || line.size() == text.reveal().size()) {
            throw Error{ErrorKind::denied, "secret " + ns + "/" + name +
                                               " was sealed for another device, generation or "
                                               "name"};
        }
        opened.insert_or_assign(std::move(key),
                                Secret{std::string{text.reveal().substr(line.size() + 1)}});
    }
    return opened;
}

OpenedSecret check_secret(const Secret& json, const kube::Object& object) {
    const auto what = "secret " + object.id().to_string();
    const auto message = parse_message(what, json.reveal(), plain_limit);
    const Fields fields{message, what};
    const auto* data = message.contains("data") ? message.at("data").if_object() : nullptr;
    if (data == nullptr) fields.fail("data", "must be an object");
    auto statement = secret_statement(object.ns(), object.name(), *data);
    const auto commitment = to_hex(crypto::hmac_sha256(fields.bytes("salt", 32), statement));
    wipe(statement);
    if (commitment != kube::find_string(object.fields(), {"sealed", "commitment"})) {
        throw Error{ErrorKind::denied, what + ": its values are not those the delivery key signed"};
    }
    OpenedSecret values;
    for (const auto& field : *data) {
        const auto* text = field.value().if_string();
        auto value = text == nullptr ? std::nullopt : from_base64(*text);
        if (!value) fields.fail("data", "holds a value that is not base64");
        values.emplace(field.key(), Secret{*std::move(value)});
    }
    return values;
}

}  // namespace kled::edge
