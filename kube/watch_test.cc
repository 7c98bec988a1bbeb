#include "kube/watch.h"

#include "base/run.h"
#include "base/task_group.h"
#include "kube/informer.h"
#include "tests/support/fake_api.h"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

namespace kled::kube {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using test::FakeApi;
using Step = WatchState::Next::Step;
using Verdict = WatchState::Verdict;

const GroupVersionKind config_map{"", "v1", "ConfigMap"};

// ---- the decisions

constexpr Backoff::Options slow{.first = 1000ms, .limit = 8000ms};

Object at_version(std::string_view version) {
    Object object;
    object.metadata()["resourceVersion"] = version;
    return object;
}

StatusError refusal(int code, const std::string& cause = {}) {
    std::vector<StatusError::Cause> causes;
    if (!cause.empty()) causes.push_back({cause, {}, {}});
    return {ErrorKind::unavailable, "refused", code, "", causes};
}

WatchState listed_at(const std::string& version) {
    WatchState state{slow, 1};
    state.listed(version);
    return state;
}

TEST(WatchState, ListsThenWatchesFromTheList) {
    WatchState state{slow, 1};
    EXPECT_EQ(state.next().step, Step::list);
    state.listed("7");
    EXPECT_EQ(state.next().step, Step::watch);
    EXPECT_EQ(state.next().resource_version, "7");
    EXPECT_EQ(state.next().after, 0ms);
}

TEST(WatchState, EventsAndBookmarksMoveItOn) {
    auto state = listed_at("7");
    EXPECT_EQ(state.received("ADDED", at_version("8")), Verdict::deliver);
    EXPECT_EQ(state.received("MODIFIED", at_version("9")), Verdict::deliver);
    EXPECT_EQ(state.received("DELETED", at_version("10")), Verdict::deliver);
    EXPECT_EQ(state.received("BOOKMARK", at_version("20")), Verdict::skip);
    state.ended();
    EXPECT_EQ(state.next().step, Step::watch);
    EXPECT_EQ(state.next().resource_version, "20");
    EXPECT_EQ(state.next().after, 0ms) << "a stream that worked is opened again at once";
}

TEST(WatchState, ALostConnectionGoesOnWhereItWas) {
    auto state = listed_at("7");
    (void)state.received("ADDED", at_version("8"));
    state.failed(Error{ErrorKind::unavailable, "reset"});
    EXPECT_EQ(state.next().step, Step::watch);
    EXPECT_EQ(state.next().resource_version, "8");
    EXPECT_LE(state.next().after, 1000ms);
    EXPECT_EQ(state.failures(), 1U);
    (void)state.received("ADDED", at_version("9"));
    EXPECT_EQ(state.failures(), 0U);
}

TEST(WatchState, AVersionTheServerLacksMeansAnotherList) {
    for (const auto& error :
         {refusal(410), refusal(404), refusal(504, "ResourceVersionTooLarge")}) {
        auto state = listed_at("7");
        state.failed(error);
        EXPECT_EQ(state.next().step, Step::list) << error.code();
    }
    auto state = listed_at("7");
    Object gone;
    gone.fields()["kind"] = "Status";
    gone.fields()["code"] = 410;
    EXPECT_EQ(state.received("ERROR", gone), Verdict::reconnect);
    EXPECT_EQ(state.next().step, Step::list);

    auto other = listed_at("7");
    other.failed(refusal(403));
    EXPECT_EQ(other.next().step, Step::watch);
    EXPECT_EQ(other.received("NEW-TYPE", at_version("9")), Verdict::reconnect);
    EXPECT_EQ(other.next().resource_version, "7");
}

TEST(WatchState, WhatFailsWaitsLongerEachTime) {
    WatchState state{slow, 1};
    Duration longest{0};
    for (int i = 0; i < 50; ++i) {
        state.failed(Error{ErrorKind::unavailable, "down"});
        EXPECT_LE(state.next().after, 8000ms);
        longest = std::max(longest, state.next().after);
    }
    EXPECT_GT(longest, 4000ms);
    state.listed("1");
    EXPECT_EQ(state.next().after, 0ms);
    Duration waited{0};
    for (int i = 0; i < 10; ++i) {
        state.ended();
        waited += state.next().after;
    }
    EXPECT_GT(waited, 0ms) << "a server that drops each stream at once";
}

// ---- the informer over it

struct World {
    explicit World(const asio::any_io_executor& loop)
        : api{std::make_shared<FakeApi>(loop)}, client{api}, tasks{loop} {}
    void put(std::string_view ns, const std::string& name, const std::string& value) {
        Object object;
        object.fields()["apiVersion"] = "v1";
        object.fields()["kind"] = "ConfigMap";
        object.set_name(name);
        object.set_namespace(ns);
        object.metadata()["managedFields"].emplace_array().emplace_back(json::object{});
        object.fields()["data"].emplace_object()["k"] = value;
        api->put(path(ns, name), object.fields());
    }
    void erase(std::string_view ns, const std::string& name) { api->erase(path(ns, name)); }
    static std::string path(std::string_view ns, const std::string& name) {
        return "/api/v1/namespaces/" + std::string{ns} + "/configmaps/" + name;
    }
    std::shared_ptr<FakeApi> api;
    Client client;
    TaskGroup tasks;
    std::vector<std::string> told;
};

InformerOptions quick() {
    InformerOptions options;
    options.watch.backoff = Backoff::Options{.first = 1ms, .limit = 1ms};
    options.watch.list.page = 2;
    return options;
}

void remember(World& world, Informer& informer) {
    informer.add_handler([&world](const Informer::Change& change) {
        const auto* const kind = change.kind == Informer::Change::Kind::added     ? "+"
                                 : change.kind == Informer::Change::Kind::updated ? "~"
                                                                                  : "-";
        world.told.push_back(kind + change.key + "=" +
                             std::string{find_string(change.object.fields(), {"data", "k"})});
    });
}

asio::awaitable<void> until(std::function<bool()> condition) {
    asio::steady_timer timer{co_await asio::this_coro::executor};
    for (int i = 0; i < 5000 && !condition(); ++i) {
        timer.expires_after(1ms);
        co_await timer.async_wait(asio::use_awaitable);
    }
    EXPECT_TRUE(condition());
}

using Told = std::vector<std::string>;

asio::awaitable<void> follows(World& w, Informer& informer) {
    w.put("a", "one", "1");
    w.put("a", "two", "1");
    w.put("b", "one", "1");
    w.tasks.spawn(informer.run());
    co_await informer.wait_until_synced();
    EXPECT_EQ(w.told, (Told{"+a/one=1", "+a/two=1", "+b/one=1"}));
    EXPECT_EQ(informer.keys(), (Told{"a/one", "a/two", "b/one"}));
    EXPECT_EQ(informer.keys("a"), (Told{"a/one", "a/two"}));
    const auto found = informer.get("a", "two");
    EXPECT_EQ(found->kind(), "ConfigMap");
    EXPECT_EQ(found->metadata()->if_contains("managedFields"), nullptr);
    EXPECT_FALSE(informer.get("a", "three").has_value());

    w.told.clear();
    w.put("a", "two", "2");
    w.put("c", "new", "1");
    w.erase("b", "one");
    const auto& told = w.told;
    co_await until([&told] { return told.size() == 3; });
    EXPECT_EQ(w.told, (Told{"~a/two=2", "+c/new=1", "-b/one=1"}));
    EXPECT_EQ(informer.size(), 3U);
}

asio::awaitable<void> survives_torn_streams(World& w, Informer& informer) {
    w.put("a", "one", "1");
    w.tasks.spawn(informer.run());
    co_await informer.wait_until_synced();
    const auto& api = w.api;
    for (int i = 2; i < 6; ++i) {
        co_await until([&api] { return api->watches() == 1; });
        if (i % 2 == 0) {
            w.api->tear();
        } else {
            w.api->end();
        }
        w.put("a", "one", std::to_string(i));
        const auto expected = "~a/one=" + std::to_string(i);
        const auto& told = w.told;
        co_await until([&told, &expected] { return told.back() == expected; });
    }
    EXPECT_EQ(w.told.size(), 5U) << "nothing lost, nothing twice";
    EXPECT_EQ(std::ranges::count(w.api->requests, "GET /api/v1/configmaps?limit=2"), 1)
        << "listed once";
}

asio::awaitable<void> relists_when_too_old(World& w, Informer& informer) {
    w.put("a", "stays", "1");
    w.put("a", "goes", "1");
    w.put("a", "changes", "1");
    w.tasks.spawn(informer.run());
    co_await informer.wait_until_synced();
    const auto& api = w.api;
    co_await until([&api] { return api->watches() == 1; });
    w.told.clear();
    w.api->end();
    w.put("a", "changes", "2");
    w.put("a", "comes", "1");
    w.erase("a", "goes");
    w.api->compact();
    const auto& told = w.told;
    co_await until([&told] { return told.size() == 3; });
    EXPECT_EQ(w.told, (Told{"~a/changes=2", "+a/comes=1", "-a/goes=1"}));
    co_await until([&api] { return api->watches() == 1; });
    EXPECT_EQ(w.told.size(), 3U);
}

asio::awaitable<void> bookmarks_keep_it_young(World& w, Informer& informer) {
    w.put("a", "one", "1");
    w.tasks.spawn(informer.run());
    co_await informer.wait_until_synced();
    const auto& api = w.api;
    co_await until([&api] { return api->watches() == 1; });
    // Others change, which this watch does not see; the bookmark tells it how far it is.
    json::object other;
    other["metadata"].emplace_object()["name"] = "x";
    w.api->put("/api/v1/namespaces/x", other);
    w.api->bookmark();
    asio::steady_timer timer{co_await asio::this_coro::executor, 5ms};
    co_await timer.async_wait(asio::use_awaitable);
    w.api->compact();
    w.api->end();
    co_await until([&api] { return api->watches() == 1; });
    EXPECT_EQ(std::ranges::count(w.api->requests, "GET /api/v1/configmaps?limit=2"), 1);
}

asio::awaitable<void> outlives_a_server_that_is_down(World& w, Informer& informer) {
    w.put("a", "one", "1");
    for (int i = 0; i < 5; ++i) w.api->answer_next(0);
    w.api->answer_next(500, "broken");
    w.api->answer_next(403, "forbidden");
    w.tasks.spawn(informer.run());
    co_await informer.wait_until_synced();
    EXPECT_EQ(informer.size(), 1U);
    const auto& api = w.api;
    co_await until([&api] { return api->watches() == 1; });
    w.api->answer_next(200, "{\"type\":\"ADDED\"}\n");
    w.api->answer_next(200, "not json\n");
    w.api->answer_next(429, "slow down");
    w.api->end();
    w.put("a", "two", "1");
    co_await until([&informer] { return informer.size() == 2; });
}

using Case = asio::awaitable<void> (*)(World&, Informer&);

asio::awaitable<void> with_informer(Case body, InformerOptions options) {
    const auto loop = co_await asio::this_coro::executor;
    World world{loop};
    Informer informer{loop, world.client, config_map, std::move(options)};
    remember(world, informer);
    std::exception_ptr failure;
    try {
        co_await body(world, informer);
    } catch (...) {
        failure = std::current_exception();
    }
    world.tasks.cancel();
    co_await even_if_cancelled;
    co_await world.tasks.join();
    if (failure) std::rethrow_exception(failure);
}

void run(Case body, const InformerOptions& options = quick()) {
    run_to_end(with_informer(body, options));
}

TEST(Informer, ShowsWhatTheServerHas) { run(follows); }
TEST(Informer, LosesNothingWhenStreamsBreak) { run(survives_torn_streams); }
TEST(Informer, ListsAgainAndTellsTheDifferenceWhenTooOld) { run(relists_when_too_old); }
TEST(Informer, BookmarksSpareTheNextList) { run(bookmarks_keep_it_young); }
TEST(Informer, OutlivesAServerThatIsDownOrTalksNonsense) { run(outlives_a_server_that_is_down); }

asio::awaitable<void> only_metadata(World& w, Informer& informer) {
    w.put("a", "one", std::string(10'000, 'x'));
    w.tasks.spawn(informer.run());
    co_await informer.wait_until_synced();
    const auto found = informer.get("a", "one");
    EXPECT_EQ(found->fields().size(), 3U);
    EXPECT_LT(informer.bytes(), 300U);
}
TEST(Informer, CanKeepMetadataOnly) {
    auto options = quick();
    options.metadata_only = true;
    run(only_metadata, options);
}

asio::awaitable<void> too_much(World& w, Informer& informer) {
    w.put("a", "one", std::string(10'000, 'x'));
    std::string what;
    try {
        co_await informer.run();
    } catch (const Error& error) {
        what = error.what();
    }
    EXPECT_EQ(what, "the cache of v1/ConfigMap would pass 5000 bytes");
}
TEST(Informer, RefusesToGrowBeyondItsLimit) {
    auto options = quick();
    options.limit_bytes = 5000;
    run(too_much, options);
}

asio::awaitable<void> bytes_are_counted(World& w, Informer& informer) {
    w.tasks.spawn(informer.run());
    co_await informer.wait_until_synced();
    for (int i = 0; i < 20; ++i)
        w.put("a", std::to_string(i % 3), std::string(static_cast<std::size_t>(i) * 10, 'x'));
    for (int i = 0; i < 3; ++i) w.erase("a", std::to_string(i));
    const auto& told = w.told;
    co_await until([&told] { return told.size() == 23; });
    EXPECT_EQ(informer.bytes(), 0U);
}
TEST(Informer, CountsItsBytesExactly) { run(bytes_are_counted); }

}  // namespace
}  // namespace kled::kube
