/// OpenPGP (RFC 4880) by librnp: secret keys that open messages, public keys that check signatures.
#pragma once

#include "base/secret.h"

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace kled::crypto {

/// Keys in memory only. Its const members may be called from several threads.
class PgpKeys {
public:
    static constexpr std::size_t locked_limit = 16;

    PgpKeys();
    PgpKeys(PgpKeys&&) noexcept;
    PgpKeys& operator=(PgpKeys&&) noexcept;
    ~PgpKeys();

    /// The keys of one file, public or secret, in armor or binary (`gpg --export-secret-keys
    /// --armor`). Error(invalid): there are none; or a secret one has a passphrase, which nobody
    /// could enter here.
    void add(std::string_view text);
    /// The same, with the passphrase of the secret ones, which may have it; at most
    /// `locked_limit` of them. Error(invalid) too: it is another one.
    void add(std::string_view text, const Secret& passphrase);
    [[nodiscard]] bool empty() const noexcept;
    /// Whether one of the keys, or of their sub-keys, has this fingerprint (hex).
    [[nodiscard]] bool has(std::string_view fingerprint) const;

    /// What `message` (in armor or binary) holds, at most 1 MiB. Error(denied): none of the keys
    /// opens it; Error(invalid): it is none.
    [[nodiscard]] Secret decrypt(std::string_view message) const;

    /// The fingerprint, in upper-case hex, of the primary key that `signature` of `data` was made
    /// with. Error(denied): by none of the keys, by one that had expired or was revoked, or of
    /// other data; Error(invalid): it is no signature.
    [[nodiscard]] std::string signer(std::string_view data, std::string_view signature) const;

    /// A detached signature of `data`, in armor, by the newest sub-key that may sign, or else by
    /// the primary key. Error(invalid): there is no secret key that may, or more than one has
    /// secret parts.
    [[nodiscard]] std::string sign(std::string_view data) const;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace kled::crypto
