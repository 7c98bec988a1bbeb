/// Images where they are: in registries.
#pragma once

#include "gitops/image/registry.h"

#include <boost/asio/any_io_executor.hpp>

#include <memory>

namespace kled::gitops {

[[nodiscard]] std::shared_ptr<ImageRegistry> make_oci_registry(boost::asio::any_io_executor loop);

}  // namespace kled::gitops
