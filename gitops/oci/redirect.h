/// Where an answer leads that is not the last.
#pragma once

#include "net/http.h"

#include <string>

namespace kled::gitops::oci {

[[nodiscard]] bool is_redirect(unsigned status) noexcept;

/// "https://host:port"
[[nodiscard]] std::string origin_of(const net::Url& url);

/// Where `location`, of an answer from `from`, leads: without credentials. Error(invalid) for what
/// is no URL, or a socket.
[[nodiscard]] net::Url resolve(const net::Url& from, const std::string& location);
/// The same for one that is followed: Error(denied) from https to http.
[[nodiscard]] net::Url redirected(const net::Url& from, const std::string& location);

}  // namespace kled::gitops::oci
