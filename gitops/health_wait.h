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

using Watched = std::vector<std::pair<kube::GroupVersionKind, kube::ObjectId>>;

/// Reads each once and watches those that are not healthy yet. Returns why not, one line each;
/// empty when all are. Ends early when one failed for good, and when `give_up` says so: cancelling
/// `alarm` makes it ask. The references outlive the task.
boost::asio::awaitable<std::vector<std::string>> wait_until_healthy(
    kube::Client& client, const Watched& objects, SteadyTime deadline,
    boost::asio::steady_timer& alarm, const std::function<bool()>& give_up);

}  // namespace kled::gitops
