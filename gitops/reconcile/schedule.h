/// Decides which object is reconciled when: pure, and tells the time to nobody.
#pragma once

#include "base/clock.h"
#include "base/retry.h"
#include "gitops/objects/api.h"

#include <cstddef>
#include <map>
#include <optional>

namespace kled::gitops {

/// Each key runs at most once at a time; a key touched while it runs runs once more right after,
/// however often it was touched. Oldest due first.
class Schedule {
public:
    explicit Schedule(std::size_t concurrency) : concurrency_{concurrency} {}

    /// Due now at the latest.
    void touch(const Key& key, SteadyTime now) { touch_at(key, now); }
    /// Due at `when` at the latest; an earlier time set before stays.
    void touch_at(const Key& key, SteadyTime when);
    /// Not due any more until touched; one that runs finishes first.
    void forget(const Key& key);

    /// The next that is due, from now on running; nullopt: nothing due, or enough running.
    [[nodiscard]] std::optional<Key> next(SteadyTime now);
    /// It ended. `again`: when it is due next if nothing touches it earlier.
    void finished(const Key& key, std::optional<SteadyTime> again);

    /// When `next` may have something to give; nullopt: not before a touch or an end.
    [[nodiscard]] std::optional<SteadyTime> wake_at() const;
    /// Whether something happened to `key` since it began to run: a reason not to wait on.
    [[nodiscard]] bool touched_while_running(const Key& key, SteadyTime now) const;
    [[nodiscard]] bool is_running(const Key& key) const;
    [[nodiscard]] std::size_t running() const noexcept { return running_; }

private:
    struct Entry {
        std::optional<SteadyTime> due;
        bool running = false;
    };
    std::map<Key, Entry> entries_;
    std::size_t concurrency_;
    std::size_t running_ = 0;
};

/// When what failed is tried again: at first soon, less and less often, in the end each `interval`.
[[nodiscard]] Duration retry_after(Backoff& backoff, Duration interval);

}  // namespace kled::gitops
