/// One look at whether a process answers.
#pragma once

#include "edge/workload.h"

#include <boost/asio/awaitable.hpp>

#include <string>
#include <vector>

namespace kled::edge {

/// Empty: it does; else why not. HTTP: status 200 to 399; TCP: a connection; exec: status 0, with
/// the container's environment. Both arguments outlive the task.
boost::asio::awaitable<std::string> run_probe(const Probe& probe,
                                              const std::vector<std::string>& env);

}  // namespace kled::edge
