/// Waiting until objects have become what their specs say.
#pragma once

#include "base/clock.h"
#include "kube/client.h"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace kled::gitops {

struct WatchedObject {
    kube::GroupVersionKind gvk;
    kube::ObjectId id;
    bool brought = false;  ///< not if it says in the cluster that it is to be left alone
    bool expires = false;  ///< it goes once it is done
};
using Watched = std::vector<WatchedObject>;

/// Reads each once and watches those that are not healthy yet. Returns why not, one line each;
/// empty when all are. Ends early when one failed for good, and when `give_up` says so: cancelling
/// `alarm` makes it ask. The references outlive the task.
boost::asio::awaitable<std::vector<std::string>> wait_until_healthy(
    kube::Client& client, const Watched& objects, SteadyTime deadline,
    boost::asio::steady_timer& alarm, const std::function<bool()>& give_up);

}  // namespace kled::gitops
