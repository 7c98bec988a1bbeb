/// What an image's registry is asked, and what is shown to it.
#pragma once

#include "gitops/oci/access.h"

#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <string>
#include <vector>

namespace kled::gitops {

/// Used from one loop. Errors: invalid (the name of the image), denied, not_found, exhausted (more
/// tags than `tag_bytes_limit`), unavailable.
class ImageRegistry {
public:
    static constexpr std::size_t tag_bytes_limit = 16U << 20U;  ///< of one image's tags together

    virtual ~ImageRegistry() = default;
    /// With all that is implied: "docker.io/library/alpine" of "alpine".
    [[nodiscard]] virtual std::string canonical_name(const std::string& image) const = 0;
    virtual boost::asio::awaitable<std::vector<std::string>> tags(std::string image,
                                                                  RegistryAccess access) = 0;
    /// "sha256:…" of what a tag names now.
    virtual boost::asio::awaitable<std::string> digest(std::string image, std::string tag,
                                                       RegistryAccess access) = 0;
};

}  // namespace kled::gitops
