/// Runs `command` + `args` of containers as processes of the device (docs/edge.md says what of a
/// pod that covers). A process is written down before its program runs, so an agent that was killed
/// finds it again, or knows that it is gone: none is lost, none runs twice.
#pragma once

#include "base/offload.h"
#include "edge/agent_store.h"
#include "edge/runtime/runtime.h"

#include <boost/asio/any_io_executor.hpp>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

namespace kled::edge {

class ProcessRuntime final : public Runtime {
public:
    struct Options {
        std::filesystem::path roots;  ///< as in PlanOptions: mounted files and the working files
        std::filesystem::path
            secrets;                 ///< where secret volumes are kept; a tmpfs where there is one
        std::filesystem::path logs;  ///< <folder>/<container>.log
        std::filesystem::path cgroups = "/sys/fs/cgroup";
        std::string agent;  ///< "<fleet>.<device>": its control groups stand below this name
        std::string boot_id;
        std::size_t log_bytes = 1U << 20U;  ///< of one container; the older half goes first
    };
    /// `changed` is called on the loop when `observe` or `conditions` may give something else.
    ProcessRuntime(boost::asio::any_io_executor executor, ThreadPool& pool, AgentStore& store,
                   Options options, std::function<void()> changed);
    ~ProcessRuntime() override;

    boost::asio::awaitable<void> run() override;
    void apply(Workload workload) override;
    void remove(const WorkloadId& id) override;
    void settled() override;
    [[nodiscard]] std::vector<WorkloadId> known() const override;
    [[nodiscard]] std::vector<WorkloadReport> observe() const override;
    [[nodiscard]] std::vector<Condition> conditions() const override;
    [[nodiscard]] std::string logs(const WorkloadId& id, std::string_view container,
                                   std::size_t bytes) const override;
    /// Stops all workloads, also those that an earlier run left, and waits for them; what is
    /// applied from then on is not begun. `run` has to be running.
    boost::asio::awaitable<void> stop_all();

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// A tmpfs of ours for secrets: below /run, $XDG_RUNTIME_DIR or /dev/shm; empty: there is none.
[[nodiscard]] std::filesystem::path secrets_directory(std::string_view name);

}  // namespace kled::edge
