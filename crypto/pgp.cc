#include "crypto/pgp.h"

#include "base/error.h"

#include <rnp/rnp.h>
#include <rnp/rnp_err.h>

#include <cstdint>
#include <mutex>
#include <utility>

namespace kled::crypto {

namespace {

constexpr std::size_t keys_limit = 1U << 20U;
constexpr std::size_t message_limit = 1U << 20U;

template <typename Handle, auto destroy>
class Owned {
public:
    Owned() = default;
    Owned(const Owned&) = delete;
    Owned& operator=(const Owned&) = delete;
    ~Owned() {
        if (handle_ != nullptr) static_cast<void>(destroy(handle_));
    }
    [[nodiscard]] Handle get() const noexcept { return handle_; }
    Handle* out() noexcept { return &handle_; }

private:
    Handle handle_ = nullptr;
};
using Ffi = Owned<rnp_ffi_t, rnp_ffi_destroy>;
using Input = Owned<rnp_input_t, rnp_input_destroy>;
using Output = Owned<rnp_output_t, rnp_output_destroy>;
using Verify = Owned<rnp_op_verify_t, rnp_op_verify_destroy>;
using Key = Owned<rnp_key_handle_t, rnp_key_handle_destroy>;
using Identifiers = Owned<rnp_identifier_iterator_t, rnp_identifier_iterator_destroy>;

/// A string that librnp made.
class Text {
public:
    Text() = default;
    Text(const Text&) = delete;
    Text& operator=(const Text&) = delete;
    ~Text() { rnp_buffer_destroy(text_); }
    char** out() noexcept { return &text_; }
    [[nodiscard]] std::string value() const { return text_ == nullptr ? "" : text_; }

private:
    char* text_ = nullptr;
};

void check(rnp_result_t result, ErrorKind kind, const std::string& what) {
    if (result == RNP_SUCCESS) return;
    throw Error{kind, what + ": " + rnp_result_to_string(result)};
}

/// The bytes must outlive it.
void open(Input& input, std::string_view bytes) {
    const auto* begin = reinterpret_cast<const std::uint8_t*>(bytes.data());
    check(rnp_input_from_memory(input.out(), begin, bytes.size(), false), ErrorKind::internal,
          "OpenPGP");
}

/// Nobody is there to enter one.
bool no_passphrase(rnp_ffi_t, void*, rnp_key_handle_t, const char*, char*, std::size_t) {
    return false;
}

/// Every key with a secret part, sub-keys too, opens without a passphrase.
void refuse_locked(rnp_ffi_t ffi) {
    Identifiers each;
    check(rnp_identifier_iterator_create(ffi, each.out(), "fingerprint"), ErrorKind::internal,
          "OpenPGP");
    for (;;) {
        const char* fingerprint = nullptr;
        if (rnp_identifier_iterator_next(each.get(), &fingerprint) != RNP_SUCCESS ||
            fingerprint == nullptr) {
            return;
        }
        Key key;
        check(rnp_locate_key(ffi, "fingerprint", fingerprint, key.out()), ErrorKind::internal,
              "OpenPGP");
        bool secret = false;
        bool locked = false;
        if (key.get() == nullptr || rnp_key_have_secret(key.get(), &secret) != RNP_SUCCESS ||
            !secret || rnp_key_is_protected(key.get(), &locked) != RNP_SUCCESS || !locked) {
            continue;
        }
        throw Error{ErrorKind::invalid, "the PGP key " + std::string{fingerprint} +
                                            " has a passphrase; export it without one"};
    }
}

/// Of the key itself, or of the one whose sub-key it is.
std::string primary_fingerprint(rnp_key_handle_t key) {
    Text primary;
    if (rnp_key_get_primary_fprint(key, primary.out()) == RNP_SUCCESS) return primary.value();
    Text own;
    check(rnp_key_get_fprint(key, own.out()), ErrorKind::internal, "OpenPGP");
    return own.value();
}

}  // namespace

struct PgpKeys::Impl {
    Impl() {
        check(rnp_ffi_create(ffi.out(), "GPG", "GPG"), ErrorKind::internal, "OpenPGP");
        check(rnp_ffi_set_pass_provider(ffi.get(), no_passphrase, nullptr), ErrorKind::internal,
              "OpenPGP");
    }

    Ffi ffi;
    mutable std::mutex mutex;  // librnp's handles are for one thread at a time
    bool empty = true;
};

PgpKeys::PgpKeys() : impl_{std::make_unique<Impl>()} {}
PgpKeys::PgpKeys(PgpKeys&&) noexcept = default;
PgpKeys& PgpKeys::operator=(PgpKeys&&) noexcept = default;
PgpKeys::~PgpKeys() = default;

bool PgpKeys::empty() const noexcept { return impl_->empty; }

bool PgpKeys::has(std::string_view fingerprint) const {
    const std::scoped_lock lock{impl_->mutex};
    Key key;
    const std::string text{fingerprint};
    return rnp_locate_key(impl_->ffi.get(), "fingerprint", text.c_str(), key.out()) ==
               RNP_SUCCESS &&
           key.get() != nullptr;
}

void PgpKeys::add(std::string_view text) {
    if (text.size() > keys_limit)
        throw Error{ErrorKind::exhausted, "a file of PGP keys has at most 1 MiB"};
    const std::scoped_lock lock{impl_->mutex};
    Input input;
    open(input, text);
    check(rnp_import_keys(impl_->ffi.get(), input.get(),
                          RNP_LOAD_SAVE_PUBLIC_KEYS | RNP_LOAD_SAVE_SECRET_KEYS, nullptr),
          ErrorKind::invalid, "no PGP keys");
    refuse_locked(impl_->ffi.get());
    impl_->empty = false;
}

Secret PgpKeys::decrypt(std::string_view message) const {
    const std::scoped_lock lock{impl_->mutex};
    Input input;
    open(input, message);
    Output output;
    check(rnp_output_to_memory(output.out(), message_limit), ErrorKind::internal, "OpenPGP");
    const auto result = rnp_decrypt(impl_->ffi.get(), input.get(), output.get());
    if (result == RNP_ERROR_NO_SUITABLE_KEY || result == RNP_ERROR_KEY_NOT_FOUND ||
        result == RNP_ERROR_BAD_PASSWORD || result == RNP_ERROR_DECRYPT_FAILED) {
        throw Error{ErrorKind::denied, "none of the PGP keys opens it"};
    }
    check(result, ErrorKind::invalid, "no PGP message");
    std::uint8_t* bytes = nullptr;
    std::size_t size = 0;
    check(rnp_output_memory_get_buf(output.get(), &bytes, &size, false), ErrorKind::internal,
          "OpenPGP");
    Secret plain{std::string{reinterpret_cast<const char*>(bytes), size}};
    rnp_buffer_clear(bytes, size);
    return plain;
}

std::string PgpKeys::signer(std::string_view data, std::string_view signature) const {
    const std::scoped_lock lock{impl_->mutex};
    Input signed_data;
    open(signed_data, data);
    Input signatures;
    open(signatures, signature);
    Verify verify;
    check(rnp_op_verify_detached_create(verify.out(), impl_->ffi.get(), signed_data.get(),
                                        signatures.get()),
          ErrorKind::invalid, "no PGP signature");
    static_cast<void>(rnp_op_verify_execute(verify.get()));  // each signature says how it went
    std::size_t count = 0;
    if (rnp_op_verify_get_signature_count(verify.get(), &count) != RNP_SUCCESS || count == 0)
        throw Error{ErrorKind::invalid, "no PGP signature"};
    auto why = std::string{"unknown"};
    for (std::size_t i = 0; i < count; ++i) {
        rnp_op_verify_signature_t one = nullptr;  // the operation's
        check(rnp_op_verify_get_signature_at(verify.get(), i, &one), ErrorKind::internal,
              "OpenPGP");
        const auto status = rnp_op_verify_signature_get_status(one);
        Key key;
        if (status == RNP_SUCCESS &&
            rnp_op_verify_signature_get_key(one, key.out()) == RNP_SUCCESS) {
            return primary_fingerprint(key.get());
        }
        why = status == RNP_ERROR_KEY_NOT_FOUND       ? "it is by another key"
              : status == RNP_ERROR_SIGNATURE_INVALID ? "it is of other data"
                                                      : rnp_result_to_string(status);
    }
    throw Error{ErrorKind::denied, "the PGP signature does not hold: " + why};
}

}  // namespace kled::crypto
