/// The one listener of a hub that devices reach without a certificate: HTTPS, two paths.
#pragma once

#include "edge/hub.h"
#include "edge/pki.h"
#include "net/http_server.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace kled::edge {

struct EnrolmentServerOptions {
    std::string host = "127.0.0.1";
    std::uint16_t port = 8884;         ///< 0: any free one
    std::vector<std::string> names{};  ///< under which devices reach it, beside `host`
};

/// On the hub's loop; the hub outlives it. Bodies are limited, and a wrong token costs a second.
[[nodiscard]] std::unique_ptr<net::HttpServer> make_enrolment_server(
    Hub& hub, const Pki& pki, const EnrolmentServerOptions& options);

}  // namespace kled::edge
