#include "gitops/oci/challenge.h"

#include "base/error.h"
#include "kube/object.h"

#include <algorithm>
#include <utility>

namespace kled::gitops::oci {

namespace {

constexpr std::size_t text_limit = 8'192;
constexpr std::size_t challenge_limit = 8;
constexpr std::size_t parameter_limit = 32;
constexpr std::size_t token_limit = 65'536;
constexpr std::int64_t longest_lifetime = 24 * 3600;  // seconds; whoever says more is asked again
constexpr std::size_t json_depth = 32;

std::string lower(std::string_view text) {
    std::string result{text};
    std::ranges::transform(result, result.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    return result;
}

bool is_token_character(char c) noexcept {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           std::string_view{"!#$%&'*+-.^_`|~"}.find(c) != std::string_view::npos;
}

class Scanner {
public:
    explicit Scanner(std::string_view text) : rest_{text} {}

    [[nodiscard]] bool at_end() const noexcept { return rest_.empty(); }
    bool take(char c) noexcept {
        if (!rest_.starts_with(c)) return false;
        rest_.remove_prefix(1);
        return true;
    }
    void skip(std::string_view any) noexcept {
        rest_.remove_prefix(std::min(rest_.find_first_not_of(any), rest_.size()));
    }
    std::string_view token() noexcept {
        const auto end = std::ranges::find_if_not(rest_, is_token_character);
        const auto result = rest_.substr(0, static_cast<std::size_t>(end - rest_.begin()));
        rest_.remove_prefix(result.size());
        return result;
    }
    std::optional<std::string> quoted() {
        std::string result;
        for (std::size_t i = 1; i < rest_.size(); ++i) {
            if (rest_[i] == '"') {
                rest_.remove_prefix(i + 1);
                return result;
            }
            if (rest_[i] == '\\' && ++i == rest_.size()) break;
            result += rest_[i];
        }
        return std::nullopt;
    }
    [[nodiscard]] bool at_quote() const noexcept { return rest_.starts_with('"'); }

private:
    std::string_view rest_;
};

}  // namespace

std::string Challenge::parameter(const std::string& name) const {
    const auto found = parameters.find(name);
    return found == parameters.end() ? std::string{} : found->second;
}

std::vector<Challenge> parse_challenges(std::string_view text) {
    std::vector<Challenge> result;
    if (text.size() > text_limit) return result;
    Scanner in{text};
    constexpr std::string_view between = " \t,";
    constexpr std::string_view blank = " \t";
    while (true) {
        in.skip(between);
        if (in.at_end()) return result;
        const auto word = in.token();
        if (word.empty()) return result;
        auto ahead = in;
        ahead.skip(blank);
        // A scheme, unless '=' follows: then a parameter of the scheme before.
        if (!ahead.take('=')) {
            if (result.size() == challenge_limit) return result;
            result.push_back({.scheme = lower(word), .parameters = {}});
            continue;
        }
        if (result.empty() || result.back().parameters.size() == parameter_limit) return result;
        in = ahead;
        in.skip(blank);
        std::optional<std::string> value;
        if (in.at_quote()) {
            value = in.quoted();
        } else {
            value = std::string{in.token()};
        }
        if (!value) {
            result.pop_back();
            return result;
        }
        result.back().parameters.emplace(lower(word), *std::move(value));
    }
}

Token parse_token(std::string_view body) {
    const auto answer = kube::parse_json(body, json_depth);
    if (!answer.is_object()) throw Error{ErrorKind::invalid, "the answer is no JSON object"};
    const auto& fields = answer.get_object();
    auto value = std::string{kube::find_string(fields, {"token"})};
    if (value.empty()) value = kube::find_string(fields, {"access_token"});
    const bool visible = std::ranges::all_of(value, [](char c) { return c > ' ' && c < 0x7f; });
    if (value.empty() || value.size() > token_limit || !visible)
        throw Error{ErrorKind::invalid, "the answer has no token"};
    Token token;
    token.value = std::make_shared<const Secret>(std::move(value));
    if (const auto* seconds = fields.if_contains("expires_in");
        seconds != nullptr && seconds->is_int64() && seconds->get_int64() > 0) {
        token.lifetime = std::chrono::seconds{std::min(seconds->get_int64(), longest_lifetime)};
    }
    return token;
}

std::shared_ptr<const Secret> TokenCache::find(const std::string& key, SteadyTime now) {
    const auto found = tokens_.find(key);
    if (found == tokens_.end()) return nullptr;
    if (found->second.until > now) return found->second.value;
    tokens_.erase(found);
    return nullptr;
}

void TokenCache::put(const std::string& key, const Token& token, SteadyTime now) {
    if (tokens_.size() >= limit_ && !tokens_.contains(key)) {
        const auto first = std::ranges::min_element(
            tokens_, {}, [](const auto& entry) { return entry.second.until; });
        if (first != tokens_.end()) tokens_.erase(first);
    }
    // A request takes time, and clocks differ.
    const auto margin = token.lifetime / 10;
    tokens_.insert_or_assign(key,
                             Held{.value = token.value, .until = now + token.lifetime - margin});
}

}  // namespace kled::gitops::oci
