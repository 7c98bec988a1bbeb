#include "kube/served.h"

#include "base/run.h"
#include "base/task_group.h"
#include "base/timeout.h"
#include "kube/informer.h"
#include "tests/support/fake_api.h"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <gtest/gtest.h>

#include <memory>

namespace kled::kube {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using test::FakeApi;

const GroupVersionKind widget{"example.com", "v1", "Widget"};
const std::string widget_path = "/apis/example.com/v1/widgets/one";

asio::awaitable<void> pause(Duration time) {
    asio::steady_timer timer{co_await asio::this_coro::executor, time};
    co_await timer.async_wait(asio::use_awaitable);
}

json::object named(const std::string& name) {
    json::object metadata;
    metadata["name"] = name;
    json::object object;
    object["metadata"] = std::move(metadata);
    return object;
}

asio::awaitable<void> waiting_for(Client& client, Mapping& mapping) {
    mapping = co_await until_served(client, widget);
}

/// Much sooner than the next look without a definition.
asio::awaitable<Duration> time_to_see(bool served_with_its_definition) {
    const auto loop = co_await asio::this_coro::executor;
    const auto api = std::make_shared<FakeApi>(loop);
    Client client{api};
    Mapping mapping;
    TaskGroup tasks{loop};
    tasks.spawn(waiting_for(client, mapping));
    while (api->watches() == 0) co_await pause(1ms);
    api->define("example.com", "gadgets", "Gadget");
    co_await pause(20ms);
    const auto begin = SteadyTime::clock::now();
    api->define("example.com", "widgets", "Widget", served_with_its_definition);
    if (!served_with_its_definition) {
        co_await pause(250ms);
        EXPECT_EQ(mapping.kind, "");
        api->serve();
    }
    co_await with_timeout(4s, "the kind is seen", tasks.join());
    EXPECT_EQ(mapping.resource.resource, "widgets");
    co_return std::chrono::duration_cast<Duration>(SteadyTime::clock::now() - begin);
}

TEST(UntilServed, SeesAKindWithItsDefinition) { EXPECT_LT(run_to_end(time_to_see(true)), 200ms); }

TEST(UntilServed, LooksAgainSoonWhereTheDefinitionComesFirst) {
    EXPECT_LT(run_to_end(time_to_see(false)), 600ms);
}

asio::awaitable<void> informer_of_a_kind_to_come() {
    const auto loop = co_await asio::this_coro::executor;
    const auto api = std::make_shared<FakeApi>(loop);
    Client client{api};
    Informer informer{loop, client, widget};
    TaskGroup tasks{loop};
    tasks.spawn(informer.run());
    while (api->watches() == 0) co_await pause(1ms);
    api->define("example.com", "widgets", "Widget");
    api->put(widget_path, named("one"));
    co_await with_timeout(1s, "the first list", informer.wait_until_synced());
    EXPECT_EQ(informer.size(), 1U);
    tasks.cancel();
    co_await even_if_cancelled;
    co_await tasks.join();
}

TEST(UntilServed, AnInformerIsThereAsSoonAsItsKindIs) { run_to_end(informer_of_a_kind_to_come()); }

}  // namespace
}  // namespace kled::kube
