#include "base/task_group.h"

#include "base/error.h"
#include "base/run.h"
#include "base/signal.h"

#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace kled {
namespace {

namespace asio = boost::asio;

asio::awaitable<void> yield() {
    co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
}

asio::awaitable<void> forever(Signal& never) { co_await never.wait(); }

asio::awaitable<void> fail(std::string what) {
    co_await yield();
    throw Error{ErrorKind::unavailable, what};
}

asio::awaitable<void> append(std::string& text, std::string piece) {
    co_await yield();
    text += piece;
}

asio::awaitable<void> waits_for_all() {
    std::string text;
    TaskGroup tasks{co_await asio::this_coro::executor};
    tasks.spawn(append(text, "a"));
    tasks.spawn(append(text, "b"));
    co_await even_if_cancelled;
    co_await tasks.join();
    EXPECT_EQ(text, "ab");
    tasks.spawn(append(text, "c"));
    co_await even_if_cancelled;
    co_await tasks.join();
    EXPECT_EQ(text, "abc");
}

TEST(TaskGroup, WaitsForAllAndCanBeUsedAgain) { run_to_end(waits_for_all()); }

asio::awaitable<void> failure_ends_the_group() {
    const auto loop = co_await asio::this_coro::executor;
    Signal never{loop};
    TaskGroup tasks{loop};
    tasks.spawn(forever(never));
    tasks.spawn(fail("first"));
    tasks.spawn(fail("second"));
    std::string what;
    try {
        co_await even_if_cancelled;
        co_await tasks.join();
    } catch (const Error& error) {
        what = error.what();
    }
    EXPECT_EQ(what, "first");
}

TEST(TaskGroup, CancelsTheOthersAndThrowsTheFirstFailure) { run_to_end(failure_ends_the_group()); }

asio::awaitable<void> parent(Signal& never, bool& joined) {
    TaskGroup tasks{co_await asio::this_coro::executor};
    tasks.spawn(forever(never));
    tasks.spawn(forever(never));
    co_await even_if_cancelled;
    co_await tasks.join();
    joined = true;
}

asio::awaitable<void> cancelling_the_parent() {
    const auto loop = co_await asio::this_coro::executor;
    Signal never{loop};
    bool joined = false;
    TaskGroup tasks{loop};
    tasks.spawn(parent(never, joined));
    co_await yield();
    co_await yield();
    tasks.cancel();
    co_await even_if_cancelled;
    co_await tasks.join();
    EXPECT_TRUE(joined);
}

TEST(TaskGroup, CancellingTheParentCancelsTheChildrenAndWaits) {
    run_to_end(cancelling_the_parent());
}

asio::awaitable<void> hold(std::shared_ptr<int>, bool& started) {
    started = true;
    co_return;
}

asio::awaitable<void> starts_nothing_after_cancel() {
    const auto held = std::make_shared<int>(1);
    bool started = false;
    TaskGroup tasks{co_await asio::this_coro::executor};
    tasks.cancel();
    tasks.spawn(hold(held, started));
    EXPECT_EQ(held.use_count(), 1);
    co_await even_if_cancelled;
    co_await tasks.join();
    EXPECT_FALSE(started);
}

TEST(TaskGroup, StartsNothingOnceCancelled) { run_to_end(starts_nothing_after_cancel()); }

asio::awaitable<void> spawn_more(TaskGroup& tasks, int depth, int& ended) {
    if (depth > 0) {
        tasks.spawn(spawn_more(tasks, depth - 1, ended));
        tasks.spawn(spawn_more(tasks, depth - 1, ended));
    }
    co_await yield();
    ++ended;
}

asio::awaitable<void> children_spawn() {
    int ended = 0;
    TaskGroup tasks{co_await asio::this_coro::executor};
    tasks.spawn(spawn_more(tasks, 6, ended));
    co_await even_if_cancelled;
    co_await tasks.join();
    EXPECT_EQ(ended, 127);
}

TEST(TaskGroup, WaitsForWhatItsChildrenSpawn) { run_to_end(children_spawn()); }

asio::awaitable<void> fail_when_cancelled(Signal& never) {
    try {
        co_await never.wait();
    } catch (const boost::system::system_error&) {
        throw Error{ErrorKind::internal, "could not clean up"};
    }
}

asio::awaitable<void> failure_while_cancelled() {
    const auto loop = co_await asio::this_coro::executor;
    Signal never{loop};
    TaskGroup tasks{loop};
    tasks.spawn(fail_when_cancelled(never));
    tasks.spawn(forever(never));
    co_await yield();
    tasks.cancel();
    std::string what;
    try {
        co_await even_if_cancelled;
        co_await tasks.join();
    } catch (const Error& error) {
        what = error.what();
    }
    EXPECT_EQ(what, "could not clean up");
}

TEST(TaskGroup, TellsAFailureFromBeingCancelled) { run_to_end(failure_while_cancelled()); }

// ---- Cancelled at the worst moments

asio::awaitable<void> end_and_cancel(TaskGroup& group) {
    group.cancel();
    co_return;
}

asio::awaitable<void> cancels_as_it_starts() {
    const auto loop = co_await asio::this_coro::executor;
    Signal never{loop};
    TaskGroup tasks{loop};
    tasks.spawn(forever(never));
    tasks.spawn(end_and_cancel(tasks));
    co_await even_if_cancelled;
    co_await tasks.join();
}

TEST(TaskGroup, AChildMayEndTheGroupBeforeItWasEverSuspended) {
    run_to_end(cancels_as_it_starts());
}

/// Is cancelled while it waits for what does not stop for that, and only then has children.
asio::awaitable<void> parent_that_learns_late(Signal& never, bool& joined) {
    co_await yield();
    TaskGroup tasks{co_await asio::this_coro::executor};
    tasks.spawn(forever(never));
    co_await even_if_cancelled;
    co_await tasks.join();
    joined = true;
}

asio::awaitable<void> cancelled_before_it_has_children() {
    const auto loop = co_await asio::this_coro::executor;
    Signal never{loop};
    bool joined = false;
    TaskGroup tasks{loop};
    tasks.spawn(parent_that_learns_late(never, joined));
    tasks.cancel();
    co_await even_if_cancelled;
    co_await tasks.join();
    EXPECT_TRUE(joined);
}

TEST(TaskGroup, IsJoinedByAParentThatWasCancelledBeforeItSpawned) {
    run_to_end(cancelled_before_it_has_children());
}

// ---- Signal

asio::awaitable<void> count(Signal& signal, int& woken) {
    for (;;) {
        co_await signal.wait();
        ++woken;
    }
}

asio::awaitable<void> keeps_one() {
    const auto loop = co_await asio::this_coro::executor;
    Signal signal{loop};
    int woken = 0;
    signal.notify();
    signal.notify();
    TaskGroup tasks{loop};
    tasks.spawn(count(signal, woken));
    co_await yield();
    co_await yield();
    EXPECT_EQ(woken, 1);
    signal.notify();
    co_await yield();
    co_await yield();
    EXPECT_EQ(woken, 2);
    tasks.cancel();
    co_await even_if_cancelled;
    co_await tasks.join();
}

TEST(Signal, KeepsOneNotificationForTheNextWait) { run_to_end(keeps_one()); }

// ---- g++ 12: a braced aggregate with a non-trivial member inside a co_await expression is
// destroyed twice (GCC bug 99576 and its kin). This is how we write it instead; asan would tell.

struct Options {
    std::string field_manager;
    std::vector<std::string> names;
    std::shared_ptr<int> token;
};

asio::awaitable<std::size_t> use(Options options) {
    co_await yield();
    co_return options.field_manager.size() + options.names.size();
}

asio::awaitable<std::size_t> read(const Options& options) {
    co_await yield();
    co_return options.field_manager.size() + options.names.size();
}

asio::awaitable<void> named_first(std::weak_ptr<int>& watched) {
    const std::string long_text(100, 'x');
    Options options{
        .field_manager = long_text, .names = {long_text, "b"}, .token = std::make_shared<int>(7)};
    watched = options.token;
    EXPECT_EQ(co_await read(options), 102U);
    EXPECT_EQ(co_await use(options), 102U);
    EXPECT_EQ(watched.use_count(), 1);
    EXPECT_EQ(co_await use(std::move(options)), 102U);
}

TEST(Coroutines, AnAggregateNamedBeforeTheAwaitIsDestroyedOnce) {
    std::weak_ptr<int> watched;
    run_to_end(named_first(watched));
    EXPECT_TRUE(watched.expired());
}

}  // namespace
}  // namespace kled
