/// What runs workloads on a device.
#pragma once

#include "edge/protocol.h"
#include "edge/workload.h"

#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace kled::edge {

/// Calls come from one loop. A runtime keeps running what it was told last, over its own restarts.
class Runtime {
public:
    virtual ~Runtime() = default;
    /// Supervises until cancelled; what runs then goes on running.
    virtual boost::asio::awaitable<void> run() = 0;
    /// From now on this workload, in place of what has its id. Does not wait for it to be up. The
    /// same digest again changes nothing.
    virtual void apply(Workload workload) = 0;
    /// Stops it within its grace period. An unknown id changes nothing.
    virtual void remove(const WorkloadId& id) = 0;
    /// All that was applied is known: what is left of others (an earlier run's) is stopped.
    virtual void settled() = 0;
    [[nodiscard]] virtual std::vector<WorkloadId> known() const = 0;
    /// One entry for each workload, in order of id.
    [[nodiscard]] virtual std::vector<WorkloadReport> observe() const = 0;
    [[nodiscard]] virtual std::vector<Condition> conditions() const = 0;
    /// The end of a container's output. Error(not_found) when there is none. Blocks.
    [[nodiscard]] virtual std::string logs(const WorkloadId& id, std::string_view container,
                                           std::size_t bytes) const = 0;
};

}  // namespace kled::edge
