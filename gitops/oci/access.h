/// How a registry is reached and what is shown to it.
#pragma once

#include "base/clock.h"
#include "base/secret.h"

#include <memory>
#include <string>

namespace kled::gitops {

/// Of one ImageRepository or OCIRepository.
struct RegistryAccess {
    std::shared_ptr<const Secret> docker_config{};  ///< ".dockerconfigjson"; null: no credentials
    std::string ca_pem{};                           ///< empty: the system's trust store
    std::string certificate_pem{};
    std::shared_ptr<const Secret> key_pem{};
    std::string proxy{};
    bool insecure = false;     ///< http
    Duration timeout{60'000};  ///< for one call as a whole
};

}  // namespace kled::gitops
