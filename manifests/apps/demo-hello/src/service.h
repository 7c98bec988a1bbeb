/// What the two programs of the demo share: settings from the environment, and serving until told
/// to stop.
#pragma once

#include "net/http_server.h"

#include <cstdint>
#include <string>

namespace demo {

struct Settings {
    std::string host = "127.0.0.1";                     ///< HOST: loopback unless asked otherwise
    std::uint16_t port = 8080;                          ///< PORT
    std::string revision = "dev";                       ///< REVISION: of the configuration
    std::string greeting = "Hello";                     ///< GREETING
    std::string device;                                 ///< DEVICE; the host's name when not given
    std::string backend_url = "http://127.0.0.1:8081";  ///< BACKEND_URL

    /// kled::Error(invalid) for a PORT that is none.
    static Settings from_environment();
};

/// 200 with `body`, not to be cached.
[[nodiscard]] kled::net::Response answer(std::string body, std::string content_type);

/// Serves until SIGTERM or SIGINT; the exit status. Failures are logged.
int serve(const std::string& name, const Settings& settings, const kled::net::Handler& handler);

}  // namespace demo
