/// When a process is started, stopped and started again: a state machine without I/O.
#pragma once

#include "base/clock.h"
#include "edge/workload.h"

#include <chrono>
#include <cstdint>
#include <optional>

namespace kled::edge {

class Supervision {
public:
    /// A run of this length is taken as success: the pauses between restarts begin anew.
    static constexpr std::chrono::seconds settled_after{60};
    static constexpr std::chrono::seconds first_pause{1};
    static constexpr std::chrono::seconds longest_pause{300};

    enum class Action { none, start, terminate, kill };

    Supervision(RestartPolicy policy, std::chrono::seconds grace, std::uint64_t restarts = 0)
        : policy_{policy}, grace_{grace}, restarts_{restarts} {}

    /// What to do now; each action is returned once. A start is answered by `started` or `exited`.
    [[nodiscard]] Action next(SteadyTime now);
    /// When `next` may have something without anything happening before.
    [[nodiscard]] SteadyTime wake_at() const noexcept;

    void started(SteadyTime now);
    /// The process ended, or could not be started (status 127).
    void exited(int status, SteadyTime now);
    /// It has to end for good.
    void stop();
    /// It has to be started anew: a liveness probe failed.
    void restart();

    [[nodiscard]] bool finished() const noexcept { return state_ == State::finished; }
    [[nodiscard]] bool running() const noexcept {
        return state_ == State::running || state_ == State::stopping;
    }
    /// A run ended and the next one waits.
    [[nodiscard]] bool failing() const noexcept { return state_ == State::waiting && failed_; }
    [[nodiscard]] std::uint64_t restarts() const noexcept { return restarts_; }
    [[nodiscard]] std::optional<int> last_status() const noexcept { return last_status_; }

private:
    enum class State { waiting, starting, running, stopping, finished };

    RestartPolicy policy_;
    std::chrono::seconds grace_;
    State state_ = State::waiting;
    bool stop_ = false;
    bool failed_ = false;  // waiting because a run ended
    bool terminate_due_ = false;
    bool kill_due_ = false;
    SteadyTime at_{};  // waiting: start then; stopping: kill then
    SteadyTime started_at_{};
    std::chrono::seconds pause_{0};
    std::uint64_t restarts_;
    std::optional<int> last_status_;
};

}  // namespace kled::edge
