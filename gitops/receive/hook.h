/// The post-receive hook that tells kledd about a push.
#pragma once

#include <boost/asio/awaitable.hpp>

#include <filesystem>
#include <string>

namespace kled::gitops {

struct HookInstalled {
    std::filesystem::path path;
    bool chained = false;  ///< a hook that was there before runs first
    bool updated = false;  ///< ours was there already
};

/// Into the hooks directory that Git itself names for `repository`. `program` is the absolute path
/// of kled, `state` the directory of the kledd to tell. Error(not_found) when it is no repository,
/// Error(denied|unavailable) when the hook cannot be written.
boost::asio::awaitable<HookInstalled> install_hook(std::filesystem::path repository,
                                                   std::filesystem::path program,
                                                   std::filesystem::path state);

}  // namespace kled::gitops
