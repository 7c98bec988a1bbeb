/// OpenSSL's objects with owners, and its errors as ours: for the sources of crypto and net only.
#pragma once

#include "base/error.h"
#include "base/secret.h"

#include <openssl/bio.h>
#include <openssl/evp.h>

#include <memory>
#include <string>
#include <string_view>

namespace kled::crypto {

template <auto free>
struct Free {
    template <typename T>
    void operator()(T* pointer) const noexcept {
        free(pointer);
    }
};
template <typename T, auto free>
using Owned = std::unique_ptr<T, Free<free>>;

using Key = Owned<EVP_PKEY, EVP_PKEY_free>;
using KeyContext = Owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free>;
using Bio = Owned<BIO, BIO_free_all>;

/// `kind`, "<what>: <OpenSSL's oldest reason>"; empties OpenSSL's queue.
[[nodiscard]] Error openssl_error(ErrorKind kind, std::string_view what);

/// For calls that only fail without memory or with a broken library: Error(internal).
void check(bool ok, std::string_view what);

[[nodiscard]] inline const unsigned char* bytes_of(std::string_view text) noexcept {
    return reinterpret_cast<const unsigned char*>(text.data());
}
[[nodiscard]] inline unsigned char* bytes_of(std::string& text) noexcept {
    return reinterpret_cast<unsigned char*>(text.data());
}

/// Reads `text`; valid as long as it.
[[nodiscard]] Bio reading(std::string_view text);
[[nodiscard]] Bio writing();
[[nodiscard]] std::string text_of(const Bio& bio);

/// An unencrypted private key. Error(invalid) when it is none; `what` names it.
[[nodiscard]] Key private_key_from_pem(std::string_view pem, std::string_view what);
/// PKCS#8 PEM.
[[nodiscard]] Secret private_key_pem(const Key& key);

}  // namespace kled::crypto
