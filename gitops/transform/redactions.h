/// Plain text that no message may hold.
#pragma once

#include "base/secret.h"

#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace kled::gitops {

/// The values that were decrypted, or came from a Secret, for one build; wiped with it. What parses
/// them afterwards, an API server too, may quote them in what it says is wrong. Thread-safe.
class Redactions {
public:
    /// Shorter ones are in too many innocent words.
    static constexpr std::size_t shortest = 4;

    /// The value; of a text also its lines, and the words in it that look like a secret.
    void add(std::string_view value);
    /// "***" in place of each value, also in base64 and escaped as in JSON.
    [[nodiscard]] std::string redact(std::string text) const;

private:
    mutable std::mutex mutex_;
    std::vector<Secret> values_;
};

}  // namespace kled::gitops
