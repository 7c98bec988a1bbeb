#include "crypto/openssl.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <array>
#include <climits>

namespace kled::crypto {

Error openssl_error(ErrorKind kind, std::string_view what) {
    std::string message{what};
    if (const auto code = ERR_get_error(); code != 0) {
        if (const char* reason = ERR_reason_error_string(code); reason != nullptr)
            message.append(": ").append(reason);
    }
    ERR_clear_error();
    return {kind, message};
}

void check(bool ok, std::string_view what) {
    if (!ok) throw openssl_error(ErrorKind::internal, what);
}

Bio reading(std::string_view text) {
    if (text.size() > INT_MAX) throw Error{ErrorKind::invalid, "PEM of more than 2 GiB"};
    Bio bio{BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))};
    check(bio != nullptr, "BIO_new_mem_buf");
    return bio;
}

Bio writing() {
    Bio bio{BIO_new(BIO_s_mem())};  // its buffer is wiped when freed
    check(bio != nullptr, "BIO_new");
    return bio;
}

std::string text_of(const Bio& bio) {
    char* data = nullptr;
    const auto size = BIO_get_mem_data(bio.get(), &data);
    return {data, static_cast<std::size_t>(size)};
}

Key private_key_from_pem(std::string_view pem, std::string_view what) {
    const auto bio = reading(pem);
    // The empty password stands in for OpenSSL's prompt on the terminal.
    std::array<char, 1> no_password{};
    Key key{PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, no_password.data())};
    if (!key)
        throw openssl_error(ErrorKind::invalid,
                            std::string{what} + ": not an unencrypted PEM private key");
    return key;
}

Secret private_key_pem(const Key& key) {
    const auto bio = writing();
    check(PEM_write_bio_PKCS8PrivateKey(bio.get(), key.get(), nullptr, nullptr, 0, nullptr,
                                        nullptr) == 1,
          "PEM_write_bio_PKCS8PrivateKey");
    return Secret{text_of(bio)};
}

}  // namespace kled::crypto
