/// Sealing to an X25519 key in the age format (age-encryption.org/v1, C2SP age.md): what the
/// programs `age` and `rage` write and read.
#pragma once

#include "base/secret.h"

#include <string>
#include <string_view>
#include <vector>

namespace kled::crypto {

/// "age1…" (Bech32).
class Recipient {
public:
    /// Error(invalid) for another prefix, checksum or length.
    static Recipient parse(std::string_view text);
    [[nodiscard]] std::string text() const;
    [[nodiscard]] const std::string& raw() const noexcept { return raw_; }

private:
    explicit Recipient(std::string raw) : raw_{std::move(raw)} {}
    friend class Identity;
    std::string raw_;
};

/// "AGE-SECRET-KEY-1…".
class Identity {
public:
    static Identity generate();
    static Identity parse(std::string_view text);
    [[nodiscard]] Secret text() const;
    [[nodiscard]] Recipient recipient() const;

private:
    explicit Identity(Secret raw) : raw_{std::move(raw)} {}
    friend Secret unseal(std::string_view sealed, const Identity& identity);
    Secret raw_;
};

/// Binary age file for all of `recipients` (at least one).
[[nodiscard]] std::string seal(std::string_view plain, const std::vector<Recipient>& recipients);
/// Reads binary and armored files. Error(denied) when no stanza is for `identity` or anything was
/// altered; Error(invalid) when it is not an age file.
[[nodiscard]] Secret unseal(std::string_view sealed, const Identity& identity);

}  // namespace kled::crypto
