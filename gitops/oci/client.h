/// Asks registries (OCI distribution specification v1.1, pulling).
#pragma once

#include "gitops/oci/access.h"
#include "gitops/oci/challenge.h"
#include "gitops/oci/manifest.h"
#include "gitops/oci/reference.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace kled::gitops::oci {

/// Used from one loop. Credentials are shown to the registry itself and to the token server that it
/// names, never where it redirects to. Tokens stay in memory until they expire. Errors: denied,
/// not_found, exhausted (a limit), invalid (the credentials, or an answer that is none or not what
/// its digest says), unavailable (also past `access.timeout`). Messages begin with the
/// repository's name.
class Client {
public:
    struct Limits {
        std::size_t manifest = 4U << 20U;  ///< bytes, as the specification allows
        std::size_t tags = 16U << 20U;     ///< bytes of all pages of one repository together
        std::size_t pages = 10'000;        ///< of tags
        int redirects = 5;
    };
    explicit Client(boost::asio::any_io_executor loop) : Client{std::move(loop), Limits{}} {}
    Client(boost::asio::any_io_executor loop, const Limits& limits)
        : loop_{std::move(loop)}, limits_{limits} {}

    /// In the registry's order.
    boost::asio::awaitable<std::vector<std::string>> tags(Reference repository,
                                                          RegistryAccess access);
    /// "sha256:…" of what the tag names now.
    boost::asio::awaitable<std::string> digest(Reference reference, RegistryAccess access);

    struct Found {
        std::string digest;  ///< of the body
        Manifest manifest;
    };
    /// By its digest, else its tag, else "latest".
    boost::asio::awaitable<Found> manifest(Reference reference, RegistryAccess access);

    /// What refers to the manifest of `reference.digest`. Error(not_found) also where the registry
    /// keeps no such list.
    boost::asio::awaitable<Manifest> referrers(Reference reference, RegistryAccess access);

    /// Gives the bytes of `blob` to `sink` as they come, and waits for it: no more than blob.size,
    /// which the caller has judged. Only when this returns have they the digest: until then nobody
    /// may use them.
    using Sink = std::function<boost::asio::awaitable<void>(std::string bytes)>;
    boost::asio::awaitable<void> blob(Reference repository, Descriptor blob, RegistryAccess access,
                                      Sink sink);

private:
    class Session;

    boost::asio::any_io_executor loop_;
    Limits limits_;
    TokenCache tokens_;
};

}  // namespace kled::gitops::oci
