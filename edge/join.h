/// How a device becomes one of a fleet's: keys made here, a certificate from the hub.
#pragma once

#include "base/secret.h"
#include "edge/enrolment.h"

#include <boost/asio/awaitable.hpp>

#include <filesystem>
#include <string>
#include <vector>

namespace kled::edge {

/// What a device asks with. Keys are made once and kept in `<state>`, so that an answer that was
/// lost can be asked for again with the same token.
struct JoinKeys {
    std::string request;                        ///< PKCS#10, PEM
    std::string recipient;                      ///< "age1…"
    std::vector<std::filesystem::path> made{};  ///< by this call, in the order of their making
};
[[nodiscard]] JoinKeys prepare_keys(const std::filesystem::path& state, const std::string& device);

/// After a refusal: removes what `prepare_keys` made.
void discard_keys(const JoinKeys& keys) noexcept;

/// Writes `<state>/agent.json`, the certificate and the broker's CA. What another fleet left
/// (assignments signed by another key) is removed.
void save_identity(const std::filesystem::path& state, const EnrolmentAnswer& answer);

/// With a token. `server`: instead of the token's, or empty. Error(conflict) when the device has
/// joined already, unless `again`.
boost::asio::awaitable<EnrolmentAnswer> join(std::filesystem::path state, std::string token,
                                             std::string device, std::string server, bool again);

}  // namespace kled::edge
