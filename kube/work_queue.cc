#include "kube/work_queue.h"

#include "base/error.h"
#include "base/log.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include <functional>

namespace kled::kube {

namespace asio = boost::asio;

void WorkSchedule::set_due(Keys::iterator entry, SteadyTime at) {
    auto& [key, state] = *entry;
    if (state.due && *state.due <= at) return;
    if (state.due && !state.working) due_.erase({*state.due, key});
    state.due = at;
    if (!state.working) due_.emplace(at, key);
}

void WorkSchedule::add(const std::string& key, SteadyTime at) {
    if (keys_.size() >= options_.limit && !keys_.contains(key)) {
        throw Error{ErrorKind::exhausted, "work queue: " + key + " is more than " +
                                              std::to_string(options_.limit) + " keys"};
    }
    set_due(keys_.try_emplace(key).first, at);
}

std::optional<std::string> WorkSchedule::take(SteadyTime now) {
    if (due_.empty() || due_.begin()->first > now) return std::nullopt;
    auto key = due_.begin()->second;
    due_.erase(due_.begin());
    auto& state = keys_.at(key);
    state.due.reset();
    state.working = true;
    return key;
}

void WorkSchedule::finished(Keys::iterator entry) {
    auto& [key, state] = *entry;
    state.working = false;
    if (state.due) {
        due_.emplace(*state.due, key);
    } else {
        keys_.erase(entry);
    }
}

void WorkSchedule::succeeded(const std::string& key, std::optional<SteadyTime> again) {
    const auto entry = keys_.find(key);
    if (entry == keys_.end() || !entry->second.working) return;
    entry->second.backoff.reset();
    if (again) set_due(entry, *again);
    finished(entry);
}

void WorkSchedule::failed(const std::string& key, SteadyTime now) {
    const auto entry = keys_.find(key);
    if (entry == keys_.end() || !entry->second.working) return;
    auto& backoff = entry->second.backoff;
    if (!backoff) backoff.emplace(options_.backoff, options_.seed ^ std::hash<std::string>{}(key));
    set_due(entry, now + backoff->next());
    finished(entry);
}

std::optional<SteadyTime> WorkSchedule::next_due() const {
    if (due_.empty()) return std::nullopt;
    return due_.begin()->first;
}

unsigned WorkSchedule::failures(const std::string& key) const {
    const auto entry = keys_.find(key);
    return entry == keys_.end() || !entry->second.backoff ? 0 : entry->second.backoff->failures();
}

WorkQueue::WorkQueue(asio::any_io_executor executor, Options options)
    : options_{std::move(options)},
      schedule_{options_.schedule},
      executor_{executor},
      wake_{executor, SteadyTime::max()} {}

void WorkQueue::add_after(const std::string& key, Duration delay) {
    schedule_.add(key, SteadyTime::clock::now() + delay);
    wake_.cancel();
}

asio::awaitable<void> WorkQueue::run(Reconciler& reconciler) {
    TaskGroup tasks{executor_};
    tasks.spawn(dispatch(reconciler, tasks));
    co_await even_if_cancelled;
    co_await tasks.join();
}

asio::awaitable<void> WorkQueue::dispatch(Reconciler& reconciler, TaskGroup& tasks) {
    for (bool stopping = false; !stopping;) {
        while (working_ < options_.workers) {
            auto key = schedule_.take(SteadyTime::clock::now());
            if (!key) break;
            ++working_;
            tasks.spawn(work(reconciler, *std::move(key)));
        }
        const bool all_busy = working_ == options_.workers;
        wake_.expires_at(all_busy ? SteadyTime::max()
                                  : schedule_.next_due().value_or(SteadyTime::max()));
        co_await wake_.async_wait(asio::as_tuple(asio::use_awaitable));
        const auto state = co_await asio::this_coro::cancellation_state;
        stopping = state.cancelled() != asio::cancellation_type::none;
    }
}

asio::awaitable<void> WorkQueue::work(Reconciler& reconciler, std::string key) {
    struct Leaving {
        WorkQueue& queue;
        ~Leaving() {
            --queue.working_;
            queue.wake_.cancel();
        }
    } const leaving{*this};
    std::string failure;
    try {
        const auto again = co_await reconciler.reconcile(key);
        const auto now = SteadyTime::clock::now();
        schedule_.succeeded(key, again ? std::optional{now + *again} : std::nullopt);
        co_return;
    } catch (const boost::system::system_error& error) {
        if (error.code() == asio::error::operation_aborted) {
            // Stopped in the middle: it is still to be done, by whoever runs the queue next.
            schedule_.succeeded(key, SteadyTime::clock::now());
            throw;
        }
        failure = error.what();
    } catch (const std::exception& error) {
        failure = error.what();
    }
    schedule_.failed(key, SteadyTime::clock::now());
    log::warn("kube", "work failed; it is tried again",
              {{"queue", options_.name},
               {"key", key},
               {"failures", schedule_.failures(key)},
               {"error", failure}});
}

}  // namespace kled::kube
