#include "base/offload.h"

#include "base/error.h"
#include "base/run.h"
#include "base/task_group.h"
#include "base/timeout.h"

#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <thread>

namespace kled {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

asio::awaitable<void> returns_to_its_loop(ThreadPool& pool) {
    const auto loop_thread = std::this_thread::get_id();
    const auto work = [] { return std::make_unique<std::thread::id>(std::this_thread::get_id()); };
    const auto worker = co_await offload(pool, work);
    EXPECT_NE(*worker, loop_thread);
    EXPECT_EQ(std::this_thread::get_id(), loop_thread);
    std::atomic<bool> ran = false;
    co_await offload(pool, [&ran] { ran = true; });
    EXPECT_TRUE(ran);
}

TEST(Offload, RunsElsewhereAndComesBackWithTheResult) {
    ThreadPool pool{1};
    run_to_end(returns_to_its_loop(pool));
    pool.join();
}

asio::awaitable<void> throws_what_the_work_threw(ThreadPool& pool) {
    std::string what;
    try {
        co_await offload(pool, [] { throw Error{ErrorKind::denied, "no"}; });
    } catch (const Error& error) {
        what = error.what();
    }
    EXPECT_EQ(what, "no");
}

TEST(Offload, ThrowsWhatTheWorkThrew) {
    ThreadPool pool{1};
    run_to_end(throws_what_the_work_threw(pool));
    pool.join();
}

struct Progress {
    std::promise<void> started;
    std::promise<void> go_on;
    std::string steps;
};

asio::awaitable<void> blocked(ThreadPool& pool, Progress& progress) {
    const auto work = [&progress] {
        progress.started.set_value();
        progress.go_on.get_future().wait();
        return std::string{"result"};
    };
    progress.steps = co_await offload(pool, work);
    co_await offload(pool, [] {});
    progress.steps += ", went on";
}

asio::awaitable<void> cancels_while_it_works(ThreadPool& pool, Progress& progress) {
    TaskGroup tasks{co_await asio::this_coro::executor};
    tasks.spawn(blocked(pool, progress));
    ThreadPool other{1};
    co_await offload(other, [&progress] { progress.started.get_future().wait(); });
    tasks.cancel();
    progress.go_on.set_value();
    co_await even_if_cancelled;
    co_await tasks.join();
    other.join();
}

TEST(Offload, FinishesWorkWhoseCallerIsCancelledAndThenStops) {
    ThreadPool pool{1};
    Progress progress;
    run_to_end(cancels_while_it_works(pool, progress));
    pool.join();
    EXPECT_EQ(progress.steps, "result");
}

asio::awaitable<int> answer_at_once() { co_return 42; }

asio::awaitable<int> never(bool& cancelled) {
    asio::steady_timer timer{co_await asio::this_coro::executor, SteadyTime::max()};
    try {
        co_await timer.async_wait(asio::use_awaitable);
    } catch (const boost::system::system_error&) {
        cancelled = true;
        throw;
    }
    co_return 0;
}

TEST(Timeout, GivesTheResultThatCameInTime) {
    EXPECT_EQ(run_to_end(with_timeout(1h, "answer", answer_at_once())), 42);
}

TEST(Timeout, CancelsAndNamesWhatDidNotAnswer) {
    bool cancelled = false;
    try {
        run_to_end(with_timeout(1ms, "broker", never(cancelled)));
        FAIL() << "it ended";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::unavailable);
        EXPECT_STREQ(error.what(), "broker: no answer within 1ms");
    }
    EXPECT_TRUE(cancelled);
}

asio::awaitable<void> waits_with_a_timeout(bool& cancelled, bool& went_on) {
    co_await with_timeout(1h, "broker", never(cancelled));
    went_on = true;
}

asio::awaitable<void> cancels_a_timeout() {
    bool cancelled = false;
    bool went_on = false;
    TaskGroup tasks{co_await asio::this_coro::executor};
    tasks.spawn(waits_with_a_timeout(cancelled, went_on));
    for (int i = 0; i < 4; ++i)
        co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
    tasks.cancel();
    co_await even_if_cancelled;
    co_await tasks.join();
    EXPECT_TRUE(cancelled);
    EXPECT_FALSE(went_on);
}

TEST(Timeout, EndsWithItsCaller) { run_to_end(cancels_a_timeout()); }

}  // namespace
}  // namespace kled
