#include "kube/election.h"

#include "base/run.h"
#include "base/task_group.h"
#include "tests/support/fake_api.h"

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace kled::kube {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using test::FakeApi;

const SteadyTime start = SteadyTime{} + 1h;
const WallTime wall = WallTime{} + 100h;
// The fake serves what is defined as cluster-scoped.
const std::string path = "/apis/coordination.k8s.io/v1/leases/gitops";

LeaseTurn::Options options(std::string identity) {
    return {.ns = "kled",
            .name = "gitops",
            .identity = std::move(identity),
            .duration = 1'000ms,
            .renew_within = 300ms,
            .retry = 20ms};
}

Object stored(Object lease, int version) {
    lease.metadata()["resourceVersion"] = std::to_string(version);
    return lease;
}

std::string text(const Object& lease, std::string_view key) {
    return std::string{find_string(*lease.spec(), {key})};
}

TEST(LeaseTurn, TakesWhatIsFreeAndRenewsIt) {
    LeaseTurn a{options("a")};
    const auto first = a.claim(std::nullopt, start, wall);
    ASSERT_TRUE(first);
    EXPECT_EQ(first->id().to_string(), "Lease.coordination.k8s.io kled/gitops");
    EXPECT_EQ(text(*first, "holderIdentity"), "a");
    EXPECT_EQ(first->spec()->at("leaseDurationSeconds").as_int64(), 1);
    EXPECT_EQ(first->spec()->at("leaseTransitions").as_int64(), 0);
    EXPECT_FALSE(a.held(start)) << "the server has not said yes";
    a.granted(start);
    EXPECT_TRUE(a.held(start + 299ms));
    EXPECT_FALSE(a.held(start + 300ms));

    const auto renewed = a.claim(stored(*first, 1), start + 200ms, wall + 1s);
    ASSERT_TRUE(renewed);
    EXPECT_EQ(text(*renewed, "acquireTime"), text(*first, "acquireTime"));
    EXPECT_NE(text(*renewed, "renewTime"), text(*first, "renewTime"));
    EXPECT_EQ(renewed->spec()->at("leaseTransitions").as_int64(), 0);
}

TEST(LeaseTurn, LeavesAnotherInPeaceUntilItWasSilentForItsDuration) {
    LeaseTurn a{options("a")};
    LeaseTurn b{options("b")};
    const auto of_a = *a.claim(std::nullopt, start, wall);
    EXPECT_FALSE(b.claim(stored(of_a, 1), start + 500h, wall - 500h)) << "first seen only now";
    EXPECT_EQ(b.holder(), "a");
    EXPECT_FALSE(b.claim(stored(of_a, 1), start + 500h + 999ms, wall));
    EXPECT_FALSE(b.claim(stored(of_a, 2), start + 500h + 1s, wall)) << "it was renewed";
    const auto taken = b.claim(stored(of_a, 2), start + 500h + 2s, wall);
    ASSERT_TRUE(taken);
    EXPECT_EQ(text(*taken, "holderIdentity"), "b");
    EXPECT_EQ(taken->spec()->at("leaseTransitions").as_int64(), 1);
    EXPECT_FALSE(a.claim(stored(*taken, 3), start, wall));
}

TEST(LeaseTurn, WhatIsGivenBackIsAnybodysAtOnce) {
    LeaseTurn a{options("a")};
    LeaseTurn b{options("b")};
    const auto free = a.surrender(*a.claim(std::nullopt, start, wall), wall);
    EXPECT_TRUE(b.claim(stored(free, 2), start, wall));
}

TEST(LeaseTurn, IsNotMisledByALeaseOfStrangeForm) {
    LeaseTurn a{options("a")};
    auto lease = Object{};
    lease.fields()["spec"] = "text";
    EXPECT_TRUE(a.claim(stored(lease, 1), start, wall));
    auto for_ever = *LeaseTurn{options("b")}.claim(std::nullopt, start, wall);
    for_ever.fields()["spec"].get_object()["leaseDurationSeconds"] = 1'000'000'000'000;
    EXPECT_FALSE(a.claim(stored(for_ever, 2), start, wall));
    EXPECT_TRUE(a.claim(stored(for_ever, 2), start + 1h, wall));
}

/// Two candidates on one loop; `log` says what happened in which order.
struct Contest {
    explicit Contest(asio::any_io_executor executor)
        : loop{std::move(executor)}, api{std::make_shared<FakeApi>(loop)}, client{api} {
        api->define("coordination.k8s.io", "leases", "Lease");
    }

    asio::awaitable<void> work(std::string who) {
        log.push_back(who + " works");
        asio::steady_timer timer{loop, asio::steady_timer::time_point::max()};
        try {
            co_await timer.async_wait(asio::use_awaitable);
        } catch (const boost::system::system_error&) {
            log.push_back(who + " stops");
            throw;
        }
    }
    asio::awaitable<void> stand(std::string who) {
        Election election{client, options(who)};
        auto run = [this, who] { return work(who); };
        try {
            co_await election.lead(run);
        } catch (const Error& error) {
            log.push_back(who + ": " + error.what());
        }
    }
    asio::awaitable<void> until(std::size_t entries) {
        for (int i = 0; i < 500 && log.size() < entries; ++i) {
            asio::steady_timer timer{loop, 10ms};
            co_await timer.async_wait(asio::use_awaitable);
        }
    }

    asio::any_io_executor loop;
    std::shared_ptr<FakeApi> api;
    Client client;
    std::vector<std::string> log;
};

using Log = std::vector<std::string>;

asio::awaitable<void> hands_over() {
    Contest contest{co_await asio::this_coro::executor};
    TaskGroup first{contest.loop};
    TaskGroup second{contest.loop};
    first.spawn(contest.stand("a"));
    co_await contest.until(1);
    second.spawn(contest.stand("b"));
    asio::steady_timer timer{contest.loop, 100ms};
    co_await timer.async_wait(asio::use_awaitable);
    EXPECT_EQ(contest.log, Log{"a works"});
    first.cancel();
    co_await even_if_cancelled;
    co_await first.join();
    co_await contest.until(3);
    EXPECT_EQ(contest.log, (Log{"a works", "a stops", "b works"}));
    second.cancel();
    co_await even_if_cancelled;
    co_await second.join();
    EXPECT_EQ(find_string(contest.api->at(path), {"spec", "holderIdentity"}), "");
}

asio::awaitable<void> stops_when_taken() {
    Contest contest{co_await asio::this_coro::executor};
    TaskGroup tasks{contest.loop};
    tasks.spawn(contest.stand("a"));
    co_await contest.until(1);
    auto lease = contest.api->at(path);
    lease["spec"].get_object()["holderIdentity"] = "b";
    contest.api->put(path, lease);
    co_await contest.until(3);
    EXPECT_EQ(contest.log,
              (Log{"a works", "a stops", "a: the lease kled/gitops is lost: b leads"}));
    tasks.cancel();
    co_await even_if_cancelled;
    co_await tasks.join();
    EXPECT_EQ(find_string(contest.api->at(path), {"spec", "holderIdentity"}), "b");
}

asio::awaitable<void> stops_when_it_cannot_renew() {
    Contest contest{co_await asio::this_coro::executor};
    TaskGroup tasks{contest.loop};
    tasks.spawn(contest.stand("a"));
    co_await contest.until(1);
    for (int i = 0; i < 1000; ++i) contest.api->answer_next(0);
    co_await contest.until(3);
    EXPECT_EQ(contest.log.size(), 3U);
    EXPECT_EQ(contest.log.at(1), "a stops");
    EXPECT_TRUE(contest.log.back().starts_with("a: the lease kled/gitops is lost: "))
        << contest.log.back();
    tasks.cancel();
    co_await even_if_cancelled;
    co_await tasks.join();
}

TEST(Election, HandsOver) { run_to_end(hands_over()); }
TEST(Election, StopsWhenAnotherTookIt) { run_to_end(stops_when_taken()); }
TEST(Election, StopsWhenItCannotRenew) { run_to_end(stops_when_it_cannot_renew()); }

}  // namespace
}  // namespace kled::kube
