/// Files encrypted by SOPS (getsops/sops v3), read with age and PGP keys.
#pragma once

#include "base/secret.h"
#include "crypto/pgp.h"
#include "crypto/seal.h"
#include "gitops/transform/redactions.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kled::gitops {

/// What opens the data key of a file.
class SopsKeys {
public:
    /// What is decrypted by them is added to `redactions`.
    explicit SopsKeys(std::shared_ptr<Redactions> redactions)
        : redactions_{std::move(redactions)} {}
    SopsKeys() = default;

    /// The lines of an age key file; '#' begins a comment. Error(invalid) for another line.
    void add_age(std::string_view text);
    /// The secret keys of a PGP key file, in armor or binary, without a passphrase.
    /// Error(invalid) for anything else.
    void add_pgp(std::string_view text);
    [[nodiscard]] bool empty() const noexcept { return identities_.empty() && !pgp_; }
    [[nodiscard]] const std::vector<crypto::Identity>& identities() const noexcept {
        return identities_;
    }
    /// Null: there are none.
    [[nodiscard]] const crypto::PgpKeys* pgp() const noexcept { return pgp_ ? &*pgp_ : nullptr; }
    /// Of all of them, for noticing others.
    [[nodiscard]] std::uint64_t digest() const noexcept { return digest_; }

    /// A value that was opened: from now on in no message.
    void opened(std::string_view value) const {
        if (redactions_) redactions_->add(value);
    }

private:
    std::shared_ptr<Redactions> redactions_;
    std::vector<crypto::Identity> identities_;
    std::optional<crypto::PgpKeys> pgp_;
    std::uint64_t digest_ = 0;
};

/// The plain text of `content`, the file at `path`; nullopt: SOPS has not encrypted it. By what it
/// holds and its name it is YAML (several documents too), JSON, dotenv, or any file in SOPS' JSON
/// envelope. A YAML document whose object says `kustomize.toolkit.fluxcd.io/decrypt: disabled`
/// stays as it is.
///
/// Every value is authenticated, and the file as a whole by its MAC. Error(denied): no key opens
/// it, or it was altered; Error(invalid): not as SOPS writes it, or in a way that is not supported
/// (cloud KMS, key groups, comment rules). No message holds a value.
[[nodiscard]] std::optional<std::string> decrypt_sops(std::string_view path,
                                                      std::string_view content,
                                                      const SopsKeys& keys);

}  // namespace kled::gitops
