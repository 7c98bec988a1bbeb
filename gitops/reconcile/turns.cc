#include "gitops/reconcile/turns.h"

#include "base/log.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include <exception>
#include <utility>

namespace kled::gitops {

namespace asio = boost::asio;

namespace {

constexpr Duration pause{2'000};  // after what should not have happened

}  // namespace

Turns::Turns(const asio::any_io_executor& loop, std::size_t concurrency, Turn turn, Ended ended)
    : schedule_{concurrency}, turn_{std::move(turn)}, ended_{std::move(ended)}, wake_{loop} {}

void Turns::touch(const Key& key, SteadyTime when) {
    schedule_.touch_at(key, when);
    wake_.cancel();
}

asio::awaitable<void> Turns::run(TaskGroup& tasks) {
    for (;;) {
        while (const auto key = schedule_.next(steady_now())) tasks.spawn(take(*key));
        wake_.expires_at(schedule_.wake_at().value_or(SteadyTime::max()));
        co_await wake_.async_wait(asio::as_tuple(asio::use_awaitable));
    }
}

asio::awaitable<void> Turns::take(Key key) {
    const auto started = steady_now();
    std::optional<SteadyTime> again;
    bool failed = false;
    try {
        auto turn = turn_(key);
        again = co_await std::move(turn);
    } catch (const std::exception& error) {
        const auto* system = dynamic_cast<const boost::system::system_error*>(&error);
        if (system != nullptr && system->code() == asio::error::operation_aborted) {
            schedule_.finished(key, std::nullopt);
            throw;  // cancelled
        }
        // The API server could not be reached, or a bug: either way this one tries again later.
        failed = true;
        log::warn("gitops", error.what(), {{"object", key.to_string()}});
        again = steady_now() + pause;
    }
    if (ended_) ended_(key, steady_now() - started, failed);
    schedule_.finished(key, again);
    wake_.cancel();
}

}  // namespace kled::gitops
