#include "gitops/source/oci_verification.h"

#include "base/error.h"
#include "crypto/hash.h"
#include "gitops/access/secret_data.h"
#include "gitops/oci/cosign.h"

#include <memory>
#include <optional>
#include <set>
#include <utility>

namespace kled::gitops {

namespace asio = boost::asio;

namespace {

asio::awaitable<std::optional<oci::Client::Found>> find_manifest(oci::Client& client,
                                                                 oci::Reference reference,
                                                                 RegistryAccess access) {
    try {
        co_return co_await client.manifest(std::move(reference), std::move(access));
    } catch (const Error& error) {
        if (error.kind() != ErrorKind::not_found) throw;
    }
    co_return std::nullopt;
}

/// What refers to the artifact, as the registry or, where it keeps no list, a tag says.
asio::awaitable<oci::Manifest> find_referrers(oci::Client& client, oci::Reference repository,
                                              RegistryAccess access, std::string digest) {
    auto wanted = repository;
    wanted.digest = digest;
    try {
        co_return co_await client.referrers(wanted, access);
    } catch (const Error&) {  // registries say in many ways that they have none
    }
    wanted.digest.clear();
    wanted.tag = oci::referrers_tag(digest);
    const auto listed = co_await find_manifest(client, wanted, access);
    co_return listed ? listed->manifest : oci::Manifest{};
}

asio::awaitable<std::string> read_blob(oci::Client& client, oci::Reference repository,
                                       RegistryAccess access, oci::Descriptor blob) {
    const auto bytes = std::make_shared<std::string>();
    const oci::Client::Sink sink = [bytes](std::string piece) -> asio::awaitable<void> {
        *bytes += piece;
        co_return;
    };
    co_await client.blob(std::move(repository), std::move(blob), std::move(access), sink);
    co_return std::move(*bytes);
}

}  // namespace

asio::awaitable<ArtifactKeys> ArtifactKeys::read(kube::Client& client, std::string ns,
                                                 std::string secret) {
    const auto data = co_await read_secret(client, std::move(ns), std::move(secret));
    ArtifactKeys result;
    result.secret = data.name();
    std::set<std::string> pems;
    for (const auto& name : data.keys()) {
        if (!name.ends_with(".pub")) continue;
        const auto pem = data.text({name});
        try {
            result.keys.push_back(crypto::PublicKey::from_pem(pem));
        } catch (const Error& error) {
            throw error.within("Secret " + data.name() + ": data." + name);
        }
        pems.insert(crypto::sha256_hex(pem));
    }
    if (result.keys.empty()) {
        throw Error{ErrorKind::invalid,
                    "Secret " + data.name() + " has no public key under a name that ends in .pub"};
    }
    std::string all;
    for (const auto& pem : pems) all += pem;
    result.fingerprint = crypto::sha256_hex(all);
    co_return result;
}

asio::awaitable<void> ArtifactKeys::verify(oci::Client& client, oci::Reference repository,
                                           RegistryAccess access, std::string digest) const {
    std::size_t seen = 0;
    auto wanted = repository;
    wanted.tag = oci::signature_tag(digest);
    if (const auto image = co_await find_manifest(client, wanted, access)) {
        for (const auto& signature : oci::CosignSignature::all_in(image->manifest)) {
            ++seen;
            try {
                const auto bytes =
                    co_await read_blob(client, repository, access, signature.payload);
                if (signature.is_good(bytes, digest, keys)) co_return;
            } catch (const Error& error) {  // somebody else's need not be whole
                if (error.kind() == ErrorKind::unavailable) throw;
            }
        }
    }
    wanted.tag.clear();
    const auto all = co_await find_referrers(client, repository, access, digest);
    for (const auto& bundle : oci::SigstoreBundle::all_in(all)) {
        ++seen;
        wanted.digest = bundle.digest;
        try {
            const auto manifest = co_await find_manifest(client, wanted, access);
            if (!manifest || manifest->manifest.index || manifest->manifest.layers.empty())
                continue;
            auto layer = manifest->manifest.layers.front();
            if (layer.size > oci::SigstoreBundle::size_limit) continue;
            const auto bytes = co_await read_blob(client, repository, access, std::move(layer));
            if (oci::SigstoreBundle::is_good(bytes, digest, keys)) co_return;
        } catch (const Error& error) {
            if (error.kind() == ErrorKind::unavailable) throw;
        }
    }
    throw Error{ErrorKind::denied, "no matching signatures were found for '" + repository.name() +
                                       "@" + digest + "': " +
                                       (seen == 0 ? "there are none"
                                                  : "none of " + std::to_string(seen) +
                                                        " says so with a key of Secret " + secret)};
}

}  // namespace kled::gitops
