/// Carries out a Schedule: what is due has its turn, in a coroutine of its own.
#pragma once

#include "base/now.h"
#include "base/task_group.h"
#include "gitops/reconcile/schedule.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>

namespace kled::gitops {

/// Used from one loop.
class Turns {
public:
    /// When the object is due again if nothing touches it earlier. What it throws is logged, and
    /// the object's turn comes again soon.
    using Turn = std::function<boost::asio::awaitable<std::optional<SteadyTime>>(Key)>;
    /// Told of each turn that was not cancelled.
    using Ended = std::function<void(const Key&, std::chrono::duration<double> took, bool failed)>;

    Turns(const boost::asio::any_io_executor& loop, std::size_t concurrency, Turn turn,
          Ended ended = nullptr);

    /// Due at `when` at the latest.
    void touch(const Key& key, SteadyTime when = steady_now());
    void forget(const Key& key) { schedule_.forget(key); }
    [[nodiscard]] const Schedule& schedule() const noexcept { return schedule_; }

    /// Until cancelled. The turns are tasks of `tasks` too.
    boost::asio::awaitable<void> run(TaskGroup& tasks);

private:
    boost::asio::awaitable<void> take(Key key);

    Schedule schedule_;
    Turn turn_;
    Ended ended_;
    boost::asio::steady_timer wake_;
};

}  // namespace kled::gitops
