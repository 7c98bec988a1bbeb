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
constexpr std::size_t signature_limit = 64U << 10U;

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
using Sign = Owned<rnp_op_sign_t, rnp_op_sign_destroy>;
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

bool is_true(rnp_result_t (*ask)(rnp_key_handle_t, bool*), rnp_key_handle_t key) {
    bool answer = false;
    return ask(key, &answer) == RNP_SUCCESS && answer;
}

/// Not only a note that it is elsewhere: in a card, or of a primary key that stays at home.
bool has_secret_part(rnp_key_handle_t key) {
    Text protection;
    return is_true(rnp_key_have_secret, key) &&
           (rnp_key_get_protection_type(key, protection.out()) != RNP_SUCCESS ||
            !protection.value().starts_with("GPG-"));
}

template <typename Each>
void each_secret_key(rnp_ffi_t ffi, const Each& each) {
    Identifiers all;
    check(rnp_identifier_iterator_create(ffi, all.out(), "fingerprint"), ErrorKind::internal,
          "OpenPGP");
    for (;;) {
        const char* fingerprint = nullptr;
        if (rnp_identifier_iterator_next(all.get(), &fingerprint) != RNP_SUCCESS ||
            fingerprint == nullptr) {
            return;
        }
        Key key;
        check(rnp_locate_key(ffi, "fingerprint", fingerprint, key.out()), ErrorKind::internal,
              "OpenPGP");
        if (key.get() != nullptr && has_secret_part(key.get())) each(key.get(), fingerprint);
    }
}

/// Every key with a secret part, sub-keys too, opens without a passphrase.
void refuse_locked(rnp_ffi_t ffi) {
    each_secret_key(ffi, [](rnp_key_handle_t key, const std::string& fingerprint) {
        if (!is_true(rnp_key_is_protected, key)) return;
        throw Error{ErrorKind::invalid,
                    "the PGP key " + fingerprint + " has a passphrase; export it without one"};
    });
}

/// From now on they do. To open one takes long, on purpose.
void unlock(rnp_ffi_t ffi, const Secret& passphrase) {
    std::size_t count = 0;
    each_secret_key(ffi, [&](rnp_key_handle_t key, const std::string& fingerprint) {
        if (!is_true(rnp_key_is_protected, key)) return;
        if (++count > PgpKeys::locked_limit)
            throw Error{ErrorKind::exhausted, "more than " + std::to_string(PgpKeys::locked_limit) +
                                                  " PGP keys with a passphrase"};
        std::string text{passphrase.reveal()};
        const auto result = rnp_key_unprotect(key, text.c_str());
        wipe(text);
        if (result != RNP_SUCCESS)
            throw Error{ErrorKind::invalid,
                        "the passphrase does not open the PGP key " + fingerprint};
    });
}

/// Of the key itself, or of the one whose sub-key it is.
std::string primary_fingerprint(rnp_key_handle_t key) {
    Text primary;
    if (rnp_key_get_primary_fprint(key, primary.out()) == RNP_SUCCESS) return primary.value();
    Text own;
    check(rnp_key_get_fprint(key, own.out()), ErrorKind::internal, "OpenPGP");
    return own.value();
}

/// The fingerprint of the key that signs: which one, as Go's OpenPGP (and so Flux) has it.
std::string signing_key(rnp_ffi_t ffi) {
    std::string owner;
    std::string best;
    std::pair<bool, std::uint32_t> best_rank;  // a sub-key, the newest
    each_secret_key(ffi, [&](rnp_key_handle_t key, const std::string& fingerprint) {
        const auto primary = primary_fingerprint(key);
        if (!owner.empty() && owner != primary)
            throw Error{ErrorKind::invalid,
                        "there are several PGP keys, and nothing says which one signs"};
        owner = primary;
        bool may_sign = false;
        std::uint32_t created = 0;
        if (rnp_key_allows_usage(key, "sign", &may_sign) != RNP_SUCCESS || !may_sign ||
            !is_true(rnp_key_is_valid, key) || rnp_key_get_creation(key, &created) != RNP_SUCCESS) {
            return;
        }
        const std::pair rank{is_true(rnp_key_is_sub, key), created};
        if (!best.empty() && rank <= best_rank) return;
        best = fingerprint;
        best_rank = rank;
    });
    if (best.empty())
        throw Error{ErrorKind::invalid,
                    "no secret PGP key that may sign: none is there, or it has expired"};
    return best;
}

}  // namespace

struct PgpKeys::Impl {
    Impl() {
        check(rnp_ffi_create(ffi.out(), "GPG", "GPG"), ErrorKind::internal, "OpenPGP");
        check(rnp_ffi_set_pass_provider(ffi.get(), no_passphrase, nullptr), ErrorKind::internal,
              "OpenPGP");
    }

    void add(std::string_view text, const Secret* passphrase);

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

void PgpKeys::Impl::add(std::string_view text, const Secret* passphrase) {
    if (text.size() > keys_limit)
        throw Error{ErrorKind::exhausted, "a file of PGP keys has at most 1 MiB"};
    const std::scoped_lock lock{mutex};
    Input input;
    open(input, text);
    check(rnp_import_keys(ffi.get(), input.get(),
                          RNP_LOAD_SAVE_PUBLIC_KEYS | RNP_LOAD_SAVE_SECRET_KEYS, nullptr),
          ErrorKind::invalid, "no PGP keys");
    if (passphrase == nullptr) {
        refuse_locked(ffi.get());
    } else {
        unlock(ffi.get(), *passphrase);
    }
    empty = false;
}

void PgpKeys::add(std::string_view text) { impl_->add(text, nullptr); }

void PgpKeys::add(std::string_view text, const Secret& passphrase) {
    impl_->add(text, &passphrase);
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

std::string PgpKeys::sign(std::string_view data) const {
    const std::scoped_lock lock{impl_->mutex};
    const auto fingerprint = signing_key(impl_->ffi.get());
    Key key;
    check(rnp_locate_key(impl_->ffi.get(), "fingerprint", fingerprint.c_str(), key.out()),
          ErrorKind::internal, "OpenPGP");
    Input input;
    open(input, data);
    Output output;
    check(rnp_output_to_memory(output.out(), signature_limit), ErrorKind::internal, "OpenPGP");
    const auto what = "the PGP key " + fingerprint + " cannot sign";
    Sign sign;
    check(rnp_op_sign_detached_create(sign.out(), impl_->ffi.get(), input.get(), output.get()),
          ErrorKind::internal, "OpenPGP");
    check(rnp_op_sign_set_armor(sign.get(), true), ErrorKind::internal, "OpenPGP");
    check(rnp_op_sign_set_hash(sign.get(), "SHA256"), ErrorKind::internal, "OpenPGP");
    check(rnp_op_sign_add_signature(sign.get(), key.get(), nullptr), ErrorKind::invalid, what);
    check(rnp_op_sign_execute(sign.get()), ErrorKind::invalid, what);
    std::uint8_t* bytes = nullptr;
    std::size_t size = 0;
    check(rnp_output_memory_get_buf(output.get(), &bytes, &size, false), ErrorKind::internal,
          "OpenPGP");
    std::string text{reinterpret_cast<const char*>(bytes), size};
    std::erase(text, '\r');  // its lines end as mail's
    return text;
}

}  // namespace kled::crypto
