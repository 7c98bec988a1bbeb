#include "apiserver/watch.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include <algorithm>
#include <utility>

namespace kled::api {

namespace asio = boost::asio;
using SteadyClock = std::chrono::steady_clock;

namespace {
constexpr std::size_t piece_bytes = 64U << 10U;  // handed to the connection at once, about
}

WatchStream::WatchStream(asio::any_io_executor executor, Storage& storage, ResourcePtr resource,
                         Form form, Filter filter, Options options)
    : storage_{storage},
      renderer_{resource, form},
      filter_{std::move(filter)},
      options_{std::move(options)},
      collection_{resource->collection},
      cursor_{options_.from},
      deadline_{options_.timeout ? SteadyClock::now() + *options_.timeout
                                 : SteadyClock::time_point::max()},
      next_bookmark_{options_.bookmarks ? SteadyClock::now() + options_.bookmark_period
                                        : SteadyClock::time_point::max()},
      timer_{std::move(executor)},
      subscription_{storage, collection_, [this](const Change&) {
                        changed_ = true;
                        timer_.cancel();
                    }} {}

asio::awaitable<std::optional<std::string>> WatchStream::next() {
    std::string out;
    for (;;) {
        if (ended_) co_return std::nullopt;
        append_initial(out);
        if (out.size() < piece_bytes) append_changes(out);
        if (!out.empty()) co_return out;
        const auto now = SteadyClock::now();
        if (now >= deadline_) {
            ended_ = true;
            if (!options_.bookmarks) co_return std::nullopt;
            renderer_.bookmark(out, cursor_, false);  // where the client's next watch starts
            co_return out;
        }
        if (now >= next_bookmark_) {
            next_bookmark_ = now + options_.bookmark_period;
            renderer_.bookmark(out, cursor_, false);
            co_return out;
        }
        co_await wait();
    }
}

void WatchStream::append_initial(std::string& out) {
    const auto now = std::chrono::system_clock::now();
    for (; initial_sent_ < options_.initial.size() && out.size() < piece_bytes; ++initial_sent_)
        renderer_.event(out, "ADDED", options_.initial[initial_sent_], std::nullopt, now);
    if (initial_sent_ < options_.initial.size()) return;
    options_.initial.clear();
    options_.initial.shrink_to_fit();
    initial_sent_ = 0;
    if (std::exchange(options_.initial_end, false)) renderer_.bookmark(out, cursor_, true);
}

void WatchStream::append_changes(std::string& out) {
    changed_ = false;
    if (cursor_ >= storage_.version()) return;
    if (!storage_.remembers(cursor_)) {
        append_error(out);
        return;
    }
    const auto& history = storage_.history();
    for (auto i = storage_.first_after(cursor_); i < history.size(); ++i) {
        if (out.size() >= piece_bytes) return;
        const auto& change = *history[i];
        if (change.collection == collection_ &&
            (options_.ns.empty() || change.key.ns == options_.ns) &&
            (options_.name.empty() || change.key.name == options_.name))
            append_change(out, change);
        cursor_ = change.version;
    }
    cursor_ = storage_.version();
}

void WatchStream::append_change(std::string& out, const Change& change) {
    const auto now = std::chrono::system_clock::now();
    const bool was = change.previous && filter_.matches(change.previous);
    const bool is = !change.removed && filter_.matches(change.object);
    if (is) {
        renderer_.event(out, was ? "MODIFIED" : "ADDED", change.object, std::nullopt, now);
    } else if (was) {
        // One that only leaves the selection is shown as it was, at the version of the change.
        if (change.removed) {
            renderer_.event(out, "DELETED", change.object, std::nullopt, now);
        } else {
            renderer_.event(out, "DELETED", change.previous, change.version, now);
        }
    }
}

void WatchStream::append_error(std::string& out) {
    const auto gone = expired("too old resource version: " + std::to_string(cursor_) + " (" +
                              std::to_string(storage_.version()) + ")");
    out += R"({"type":"ERROR","object":)" + kube::to_json(gone.to_status()) + "}\n";
    ended_ = true;
}

asio::awaitable<void> WatchStream::wait() {
    timer_.expires_at(std::min(deadline_, next_bookmark_));
    while (!changed_ && SteadyClock::now() < timer_.expiry()) {
        co_await timer_.async_wait(asio::as_tuple(asio::use_awaitable));
        // The timer is cancelled for a change; a cancelled caller has to be told apart.
        const auto state = co_await asio::this_coro::cancellation_state;
        if (state.cancelled() != asio::cancellation_type::none)
            throw boost::system::system_error{asio::error::operation_aborted};
    }
}

}  // namespace kled::api
