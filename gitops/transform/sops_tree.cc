#include "gitops/transform/sops_tree.h"

#include "base/encoding.h"
#include "base/error.h"
#include "crypto/aes_gcm.h"
#include "crypto/hash.h"

#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <memory>

namespace kled::gitops {

namespace json = boost::json;

namespace {

constexpr int depth_limit = 512;

std::string text_of(const json::object& metadata, std::string_view name) {
    return std::string{kube::find_string(metadata, {name})};
}

bool filled(const json::object& metadata, std::string_view name) {
    const auto* value = metadata.if_contains(name);
    return value != nullptr && value->is_array() && !value->get_array().empty();
}

// ---- the data key -------------------------------------------------------------------------------

std::string other_keys(const json::object& metadata) {
    std::string names;
    for (const auto& [field, name] : {std::pair{"kms", "AWS KMS"},
                                      {"gcp_kms", "GCP KMS"},
                                      {"azure_kv", "Azure Key Vault"},
                                      {"hc_vault", "Vault"},
                                      {"hckms", "Huawei Cloud KMS"}}) {
        if (filled(metadata, field)) names += (names.empty() ? "" : ", ") + std::string{name};
    }
    return names;
}

/// By the first entry of `field` ("age", "pgp") that `open` opens; it may say at once that it will
/// not.
template <typename Open>
std::optional<Secret> opened(const json::object& metadata, std::string_view field,
                             const Open& open) {
    if (!filled(metadata, field)) return std::nullopt;
    for (const auto& entry : metadata.at(field).get_array()) {
        const auto* sealed = kube::find(entry, {"enc"});
        if (sealed == nullptr || !sealed->is_string()) continue;
        try {
            if (auto key = open(std::string_view{sealed->get_string()}, entry)) return key;
        } catch (const Error&) {
            continue;  // for somebody else
        }
    }
    return std::nullopt;
}

Secret data_key_of(const json::object& metadata, const SopsKeys& keys) {
    if (filled(metadata, "key_groups")) {
        throw Error{ErrorKind::invalid,
                    "its key is shared between key groups, which is not supported"};
    }
    if (!filled(metadata, "age") && !filled(metadata, "pgp")) {
        const auto others = other_keys(metadata);
        throw Error{ErrorKind::invalid, others.empty()
                                            ? std::string{"its metadata names no keys"}
                                            : "it is encrypted for " + others +
                                                  " alone; kled decrypts with age and PGP keys"};
    }
    for (const auto& identity : keys.identities()) {
        auto key = opened(metadata, "age", [&](std::string_view sealed, const json::value&) {
            return std::optional{crypto::unseal(sealed, identity)};
        });
        if (key) return std::move(*key);
    }
    if (const auto* pgp = keys.pgp()) {
        auto key = opened(metadata, "pgp", [&](std::string_view sealed, const json::value& entry) {
            // What is for others librnp complains about on standard error.
            const auto* recipient = kube::find(entry, {"fp"});
            const bool ours = recipient == nullptr || !recipient->is_string() ||
                              pgp->has(recipient->get_string());
            return ours ? std::optional{pgp->decrypt(sealed)} : std::nullopt;
        });
        if (key) return std::move(*key);
    }
    throw Error{ErrorKind::denied,
                keys.empty() ? "it is encrypted, and spec.decryption.secretRef has no age or PGP "
                               "key"
                             : "none of the keys of spec.decryption.secretRef decrypts it"};
}

// ---- values -------------------------------------------------------------------------------------

/// What a value was before: its bytes as they are authenticated, and itself.
struct Opened {
    Secret bytes;
    std::string type;
};

/// "ENC[AES256_GCM,data:…,iv:…,tag:…,type:str]"
Opened open_value(std::string_view text, const Secret& key, std::string_view associated) {
    static const RE2 pattern{R"(ENC\[AES256_GCM,data:(.+),iv:(.+),tag:(.+),type:(.+)\])"};
    std::string data;
    std::string nonce;
    std::string tag;
    Opened result;
    if (!RE2::FullMatch(re2::StringPiece{text.data(), text.size()}, pattern, &data, &nonce, &tag,
                        &result.type)) {
        throw Error{ErrorKind::invalid, "a value is not encrypted, or not as SOPS does"};
    }
    const auto raw = from_base64(data);
    const auto raw_nonce = from_base64(nonce);
    const auto raw_tag = from_base64(tag);
    if (!raw || !raw_nonce || !raw_tag)
        throw Error{ErrorKind::invalid, "an encrypted value is not base64"};
    auto plain = crypto::aes256_gcm_open(key, *raw_nonce, *raw, *raw_tag, associated);
    if (!plain) {
        throw Error{ErrorKind::denied,
                    "a value cannot be decrypted: it was altered or moved after SOPS wrote it"};
    }
    result.bytes = std::move(*plain);
    return result;
}

template <typename T>
std::optional<T> number(std::string_view text) {
    T value{};
    const auto* end = text.data() + text.size();
    const auto [stop, failure] = std::from_chars(text.data(), end, value);
    if (failure != std::errc{} || stop != end) return std::nullopt;
    return value;
}

/// nullopt: a comment, which has no place in what is made of the file.
std::optional<json::value> value_of(const Opened& opened) {
    const auto text = opened.bytes.reveal();
    const auto bad = [&] {
        return Error{ErrorKind::invalid, "a value of type " + opened.type + " is none"};
    };
    if (opened.type == "str" || opened.type == "bytes" || opened.type == "time")
        return json::value(json::string{text});
    if (opened.type == "int") {
        const auto value = number<std::int64_t>(text.starts_with('+') ? text.substr(1) : text);
        if (!value) throw bad();
        return json::value(*value);
    }
    if (opened.type == "float") {
        const auto value = number<double>(text);
        if (!value || !std::isfinite(*value)) throw bad();
        return kube::number_value(*value);
    }
    if (opened.type == "bool") {
        constexpr std::array<std::string_view, 6> yes{"1", "t", "T", "true", "TRUE", "True"};
        constexpr std::array<std::string_view, 6> no{"0", "f", "F", "false", "FALSE", "False"};
        if (std::ranges::find(yes, text) != yes.end()) return json::value(true);
        if (std::ranges::find(no, text) != no.end()) return json::value(false);
        throw bad();
    }
    if (opened.type == "comment") return std::nullopt;
    throw bad();
}

/// As SOPS hashes it.
std::string bytes_of(const json::value& value) {
    if (value.is_string()) return std::string{value.get_string()};
    if (value.is_bool()) return value.get_bool() ? "True" : "False";
    if (value.is_int64()) return std::to_string(value.get_int64());
    if (value.is_uint64()) return std::to_string(value.get_uint64());
    std::array<char, 400> digits{};
    const auto [end, failure] = std::to_chars(digits.data(), digits.data() + digits.size(),
                                              value.get_double(), std::chars_format::fixed);
    return failure == std::errc{} ? std::string{digits.data(), end} : std::string{};
}

// ---- which values -------------------------------------------------------------------------------

/// At most one of SOPS' rules; by itself: all but what is below a key that ends in "_unencrypted".
class Rule {
public:
    explicit Rule(const json::object& metadata) {
        int count = 0;
        const auto take = [&](std::string_view field, bool encrypted, bool regex) {
            auto text = text_of(metadata, field);
            if (text.empty()) return;
            ++count;
            matching_is_encrypted_ = encrypted;
            if (regex) {
                regex_ = std::make_unique<RE2>(text, RE2::Quiet);
                if (!regex_->ok())
                    throw Error{ErrorKind::invalid, std::string{field} + " is no pattern"};
            } else {
                suffix_ = std::move(text);
            }
        };
        take("unencrypted_suffix", false, false);
        take("encrypted_suffix", true, false);
        take("unencrypted_regex", false, true);
        take("encrypted_regex", true, true);
        for (const auto* field : {"unencrypted_comment_regex", "encrypted_comment_regex"}) {
            if (!text_of(metadata, field).empty())
                throw Error{ErrorKind::invalid, std::string{field} + " is not supported"};
        }
        if (count > 1) throw Error{ErrorKind::invalid, "more than one rule says what is encrypted"};
        if (count == 0) suffix_ = "_unencrypted";
    }

    [[nodiscard]] bool encrypted(const std::vector<std::string_view>& path) const {
        const bool matches = std::ranges::any_of(path, [&](std::string_view key) {
            if (regex_) {
                return RE2::PartialMatch(re2::StringPiece{key.data(), key.size()}, *regex_);
            }
            return key.ends_with(suffix_);
        });
        return matches == matching_is_encrypted_;
    }

private:
    bool matching_is_encrypted_ = false;
    std::string suffix_;
    std::unique_ptr<RE2> regex_;
};

class Walk {
public:
    Walk(const Rule& rule, const Secret& key, const SopsKeys& keys, bool only_encrypted)
        : rule_{rule}, key_{key}, keys_{keys}, only_encrypted_{only_encrypted} {
        // Makes the MAC of one kind differ from that of the other: SHA-256 of "sops".
        if (only_encrypted) {
            const auto start = crypto::sha256("sops");
            hashed_.append(reinterpret_cast<const char*>(start.data()), start.size());
        }
    }
    ~Walk() { wipe(hashed_); }
    Walk(const Walk&) = delete;
    Walk& operator=(const Walk&) = delete;

    void object(json::object& fields) {
        if (path_.size() > depth_limit) throw Error{ErrorKind::exhausted, "it is nested too deep"};
        for (auto& item : fields) {
            path_.push_back(item.key());
            value(item.value());
            path_.pop_back();
        }
    }
    /// SOPS' MAC of what was walked through.
    [[nodiscard]] std::string mac() const {
        auto digest = crypto::sha512_hex(hashed_);
        std::ranges::transform(digest, digest.begin(), [](char c) {
            return c >= 'a' && c <= 'f' ? static_cast<char>(c - 'a' + 'A') : c;
        });
        return digest;
    }

private:
    /// False: it was a comment.
    bool value(json::value& value) {
        if (value.is_object()) {
            object(value.get_object());
        } else if (value.is_array()) {
            if (++lists_ > depth_limit) throw Error{ErrorKind::exhausted, "it is nested too deep"};
            auto& list = value.get_array();
            for (auto item = list.begin(); item != list.end();)
                item = this->value(*item) ? item + 1 : list.erase(item);
            --lists_;
        } else if (!value.is_null()) {
            return leaf(value);
        }
        return true;
    }

    bool leaf(json::value& value) {
        const bool encrypted = rule_.encrypted(path_);
        if (encrypted) {
            if (!value.is_string()) {
                throw Error{ErrorKind::invalid,
                            "/" + joined('/') + " is not encrypted, as it should be"};
            }
            const std::string_view text{value.get_string()};
            if (!text.empty()) {
                try {
                    const auto opened = open_value(text, key_, joined(':') + ":");
                    if (opened.type != "bool" && !names_the_object())
                        keys_.opened(opened.bytes.reveal());
                    auto plain = value_of(opened);
                    if (!plain) return false;
                    value = std::move(*plain);
                } catch (const Error& error) {
                    throw error.within("/" + joined('/'));
                }
            }
        }
        if (encrypted || !only_encrypted_) {
            auto bytes = bytes_of(value);
            hashed_ += bytes;
            wipe(bytes);
        }
        return true;
    }

    /// What an object is called is in every message and every inventory; whoever encrypts that too
    /// (SOPS' default) did not mean to hide it from himself.
    [[nodiscard]] bool names_the_object() const {
        if (path_.size() == 1) return path_[0] == "kind" || path_[0] == "apiVersion";
        return path_.size() == 2 && path_[0] == "metadata" &&
               (path_[1] == "name" || path_[1] == "namespace");
    }

    [[nodiscard]] std::string joined(char separator) const {
        std::string result;
        for (const auto part : path_) {
            if (!result.empty()) result += separator;
            result += part;
        }
        return result;
    }

    const Rule& rule_;
    const Secret& key_;
    const SopsKeys& keys_;
    bool only_encrypted_;
    std::vector<std::string_view> path_;
    int lists_ = 0;
    std::string hashed_;
};

}  // namespace

void decrypt_sops_tree(const std::vector<json::object*>& branches, const json::object& metadata,
                       const SopsKeys& keys) {
    const auto key = data_key_of(metadata, keys);
    const Rule rule{metadata};
    const auto* only = metadata.if_contains("mac_only_encrypted");
    Walk walk{rule, key, keys, only != nullptr && (*only == json::value(true) || *only == "true")};
    for (auto* branch : branches) walk.object(*branch);
    const auto mac = open_value(text_of(metadata, "mac"), key, text_of(metadata, "lastmodified"));
    if (!equal_constant_time(mac.bytes.reveal(), walk.mac())) {
        throw Error{ErrorKind::denied,
                    "its MAC does not match: something in it was changed without SOPS"};
    }
}

}  // namespace kled::gitops
