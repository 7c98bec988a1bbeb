/// How a registry asks for credentials (RFC 9110 §11.6.1, distribution's token authentication), and
/// the tokens it was satisfied with.
#pragma once

#include "base/clock.h"
#include "base/secret.h"

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kled::gitops::oci {

struct Challenge {
    std::string scheme;                             ///< in small letters
    std::map<std::string, std::string> parameters;  ///< by name in small letters; the first counts

    [[nodiscard]] std::string parameter(const std::string& name) const;
};

/// Of one WWW-Authenticate, which may have several. What is malformed, and all behind it, is left
/// out.
[[nodiscard]] std::vector<Challenge> parse_challenges(std::string_view text);

/// A token server's answer.
struct Token {
    std::shared_ptr<const Secret> value;
    Duration lifetime{60'000};  ///< the protocol's, where none is said
};
/// Error(invalid) when it holds no token.
[[nodiscard]] Token parse_token(std::string_view body);

/// Tokens by what they are for, until shortly before they expire. No more than `limit`: the one
/// that expires first makes room.
class TokenCache {
public:
    explicit TokenCache(std::size_t limit = 1'000) : limit_{limit} {}

    [[nodiscard]] std::shared_ptr<const Secret> find(const std::string& key, SteadyTime now);
    void put(const std::string& key, const Token& token, SteadyTime now);
    void drop(const std::string& key) { tokens_.erase(key); }
    [[nodiscard]] std::size_t size() const noexcept { return tokens_.size(); }

private:
    struct Held {
        std::shared_ptr<const Secret> value;
        SteadyTime until;
    };
    std::size_t limit_;
    std::map<std::string, Held> tokens_;
};

}  // namespace kled::gitops::oci
