#include "kube/work_queue.h"

#include "base/error.h"
#include "base/run.h"
#include "base/task_group.h"

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace kled::kube {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

const SteadyTime start = SteadyTime{} + 1h;

WorkSchedule::Options no_more_than(std::size_t limit) {
    WorkSchedule::Options options;
    options.limit = limit;
    return options;
}

TEST(WorkSchedule, ManyRequestsAreOnePieceOfWork) {
    WorkSchedule schedule{{}};
    schedule.add("a", start);
    schedule.add("a", start + 1s);
    schedule.add("b", start - 1s);
    EXPECT_EQ(schedule.take(start), "b") << "the longest due first";
    EXPECT_EQ(schedule.take(start), "a");
    EXPECT_EQ(schedule.take(start + 1h), std::nullopt);
    schedule.succeeded("a");
    schedule.succeeded("b");
    EXPECT_EQ(schedule.size(), 0U);
}

TEST(WorkSchedule, AKeyIsWorkedOnOnceAtATimeAndNothingIsMissed) {
    WorkSchedule schedule{{}};
    schedule.add("a", start);
    EXPECT_EQ(schedule.take(start), "a");
    schedule.add("a", start);
    EXPECT_EQ(schedule.take(start), std::nullopt);
    EXPECT_EQ(schedule.next_due(), std::nullopt);
    schedule.succeeded("a");
    EXPECT_EQ(schedule.take(start), "a");
    schedule.succeeded("a", start + 1min);
    EXPECT_EQ(schedule.next_due(), start + 1min);
    EXPECT_EQ(schedule.take(start), std::nullopt);
    schedule.add("a", start);
    EXPECT_EQ(schedule.take(start), "a") << "sooner wins";
}

TEST(WorkSchedule, FailuresWaitLongerAndAreForgotten) {
    WorkSchedule schedule{{}};
    schedule.add("a", start);
    auto now = start;
    Duration longest{0};
    for (unsigned i = 1; i <= 20; ++i) {
        ASSERT_EQ(schedule.take(now), "a");
        schedule.failed("a", now);
        EXPECT_EQ(schedule.failures("a"), i);
        const auto due = *schedule.next_due();
        longest = std::max(longest, std::chrono::duration_cast<Duration>(due - now));
        EXPECT_LE(due - now, 300s);
        now = due;
    }
    EXPECT_GT(longest, 60s);
    ASSERT_EQ(schedule.take(now), "a");
    schedule.succeeded("a");
    EXPECT_EQ(schedule.failures("a"), 0U);
    schedule.failed("a", now);
    EXPECT_EQ(schedule.size(), 0U) << "what is not worked on cannot end";
}

TEST(WorkSchedule, HasALimit) {
    WorkSchedule schedule{no_more_than(2)};
    schedule.add("a", start);
    schedule.add("b", start);
    schedule.add("b", start);
    EXPECT_THROW(schedule.add("c", start), Error);
}

/// Notes what it is asked for; "fail…" fails twice.
class Worker final : public Reconciler {
public:
    asio::awaitable<std::optional<Duration>> reconcile(std::string key) override {
        EXPECT_EQ(std::ranges::count(active, key), 0) << key;
        active.push_back(key);
        most_active = std::max(most_active, active.size());
        asio::steady_timer timer{co_await asio::this_coro::executor, pause};
        const Leaving leaving{*this, key};
        co_await timer.async_wait(asio::use_awaitable);
        done.push_back(key);
        if (key.starts_with("fail") && std::ranges::count(done, key) < 3)
            throw Error{ErrorKind::unavailable, "not now"};
        if (key == "again" && std::ranges::count(done, key) < 3) co_return Duration{1};
        co_return std::nullopt;
    }
    struct Leaving {
        Worker& worker;
        std::string key;
        ~Leaving() { std::erase(worker.active, key); }
    };
    std::vector<std::string> active;
    std::vector<std::string> done;
    std::size_t most_active = 0;
    Duration pause{1};
};

WorkQueue::Options quick() {
    WorkQueue::Options options;
    options.name = "test";
    options.workers = 3;
    options.schedule.backoff = Backoff::Options{.first = 1ms, .limit = 1ms};
    return options;
}

asio::awaitable<void> idle(WorkQueue& queue) {
    asio::steady_timer timer{co_await asio::this_coro::executor};
    for (int i = 0; i < 5000 && queue.size() > 0; ++i) {
        timer.expires_after(1ms);
        co_await timer.async_wait(asio::use_awaitable);
    }
    EXPECT_EQ(queue.size(), 0U);
}

asio::awaitable<void> works() {
    const auto loop = co_await asio::this_coro::executor;
    WorkQueue queue{loop, quick()};
    Worker worker;
    TaskGroup tasks{loop};
    tasks.spawn(queue.run(worker));
    for (int i = 0; i < 20; ++i) queue.add("key" + std::to_string(i % 10));
    queue.add("fail");
    queue.add("again");
    queue.add_after("later", 3ms);
    co_await idle(queue);
    EXPECT_EQ(worker.most_active, 3U);
    EXPECT_EQ(worker.done.size(), 10U + 3 + 3 + 1);
    queue.add("key0");
    co_await idle(queue);
    EXPECT_EQ(worker.done.back(), "key0");
    tasks.cancel();
    co_await even_if_cancelled;
    co_await tasks.join();
}
TEST(WorkQueue, WorksOffWhatIsAdded) { run_to_end(works()); }

asio::awaitable<void> stops() {
    const auto loop = co_await asio::this_coro::executor;
    WorkQueue queue{loop, quick()};
    Worker worker;
    worker.pause = 1h;
    queue.add("a");
    queue.add("b");
    TaskGroup tasks{loop};
    tasks.spawn(queue.run(worker));
    asio::steady_timer timer{loop};
    while (worker.active.size() < 2) {
        timer.expires_after(1ms);
        co_await timer.async_wait(asio::use_awaitable);
    }
    tasks.cancel();
    co_await even_if_cancelled;
    co_await tasks.join();
    EXPECT_TRUE(worker.active.empty());
    EXPECT_TRUE(worker.done.empty());

    worker.pause = 1ms;
    TaskGroup again{loop};
    again.spawn(queue.run(worker));
    co_await idle(queue);
    EXPECT_EQ(worker.done.size(), 2U) << "what was stopped is still to be done";
    again.cancel();
    co_await even_if_cancelled;
    co_await again.join();
}
TEST(WorkQueue, WhatIsStoppedIsStillToBeDone) { run_to_end(stops()); }

}  // namespace
}  // namespace kled::kube
