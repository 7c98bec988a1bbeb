#include "kube/events.h"

#include "base/run.h"
#include "base/task_group.h"
#include "tests/support/fake_api.h"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <gtest/gtest.h>

#include <set>
#include <string>

namespace kled::kube {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

const WallTime noon = WallTime{} + std::chrono::hours{24 * 365 * 50};

Object thing(const std::string& name = "web", const std::string& uid = "u1") {
    Object object;
    object.fields()["apiVersion"] = "kustomize.toolkit.fluxcd.io/v1";
    object.fields()["kind"] = "Kustomization";
    object.set_name(name);
    object.set_namespace("flux-system");
    object.metadata()["uid"] = uid;
    return object;
}

EventNote failure(std::string message) {
    EventNote note;
    note.warning = true;
    note.reason = "BuildFailed";
    note.message = std::move(message);
    return note;
}

TEST(EventAggregator, SaysWhatHappenedToWhat) {
    EventAggregator events{{}};
    const auto event = events.note(thing(), failure("no such file"), noon);
    ASSERT_TRUE(event);
    EXPECT_EQ(event->kind(), "Event");
    EXPECT_EQ(event->ns(), "flux-system");
    EXPECT_TRUE(event->name().starts_with("web."));
    EXPECT_EQ(find_string(event->fields(), {"involvedObject", "kind"}), "Kustomization");
    EXPECT_EQ(find_string(event->fields(), {"involvedObject", "uid"}), "u1");
    EXPECT_EQ(find_string(event->fields(), {"type"}), "Warning");
    EXPECT_EQ(find_string(event->fields(), {"firstTimestamp"}), to_rfc3339(noon));
}

TEST(EventAggregator, CountsRepetitions) {
    EventAggregator events{{}};
    const auto first = events.note(thing(), failure("a"), noon);
    const auto second = events.note(thing(), failure("a"), noon + 1min);
    EXPECT_EQ(first->name(), second->name());
    EXPECT_EQ(find(second->fields(), {"count"})->to_number<int>(), 2);
    EXPECT_EQ(find_string(second->fields(), {"firstTimestamp"}), to_rfc3339(noon));
    EXPECT_EQ(find_string(second->fields(), {"lastTimestamp"}), to_rfc3339(noon + 1min));
    const auto other = events.note(thing(), failure("b"), noon + 1min);
    EXPECT_NE(other->name(), first->name());
    const auto late = events.note(thing(), failure("a"), noon + 30min);
    EXPECT_NE(late->name(), first->name()) << "long after, it is news again";
}

TEST(EventAggregator, BoundsTheRateOfEachObject) {
    EventAggregator events{{}};
    int sent = 0;
    for (int i = 0; i < 100; ++i) {
        if (events.note(thing(), failure(std::to_string(i)), noon)) ++sent;
    }
    EXPECT_EQ(sent, 25);
    EXPECT_TRUE(events.note(thing("other", "u2"), failure("a"), noon));
    EXPECT_FALSE(events.note(thing(), failure("x"), noon + 1min));
    EXPECT_TRUE(events.note(thing(), failure("x"), noon + 6min));
}

TEST(EventAggregator, ForgetsTheLongestSilent) {
    EventAggregator::Options options;
    options.objects = 10;
    options.burst = 1;
    EventAggregator events{options};
    for (int i = 0; i < 100; ++i)
        EXPECT_TRUE(events.note(thing("n", std::to_string(i)), failure("a"), noon + i * 1s));
    EXPECT_FALSE(events.note(thing("n", "99"), failure("a"), noon + 100s));
    EXPECT_TRUE(events.note(thing("n", "0"), failure("a"), noon + 100s));
}

TEST(EventAggregator, CutsLongMessagesBetweenCharacters) {
    EventAggregator events{{}};
    std::string message;
    while (message.size() < 3000) message += "é";
    const auto event = events.note(thing(), failure(message), noon);
    const auto text = find_string(event->fields(), {"message"});
    EXPECT_LE(text.size(), 1024U);
    EXPECT_TRUE(text.ends_with("é..."));
}

asio::awaitable<void> records() {
    const auto loop = co_await asio::this_coro::executor;
    const auto api = std::make_shared<test::FakeApi>(loop);
    Client client{api};
    EventRecorder recorder{loop, client};
    recorder.record(thing(), failure("a"));
    recorder.record(thing(), failure("a"));
    recorder.record(thing(), failure("b"));
    api->answer_next(0);
    TaskGroup tasks{loop};
    tasks.spawn(recorder.run());
    asio::steady_timer timer{loop};
    for (int i = 0; i < 5000 && api->requests.size() < 2; ++i) {
        timer.expires_after(1ms);
        co_await timer.async_wait(asio::use_awaitable);
    }
    tasks.cancel();
    co_await even_if_cancelled;
    co_await tasks.join();
    EXPECT_GE(api->requests.size(), 2U) << "a failure neither ends nor holds it up";
}
TEST(EventRecorder, SendsBesideTheWork) { run_to_end(records()); }

}  // namespace
}  // namespace kled::kube
