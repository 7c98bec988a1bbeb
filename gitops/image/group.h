/// The API group of Flux's image automation.
#pragma once

#include <string_view>

namespace kled::gitops {

inline constexpr std::string_view image_group = "image.toolkit.fluxcd.io";

}  // namespace kled::gitops
