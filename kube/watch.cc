#include "kube/watch.h"

#include "base/log.h"
#include "kube/served.h"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <random>
#include <utility>

namespace kled::kube {

namespace asio = boost::asio;

WatchState::Next WatchState::next() const {
    const auto step = version_.empty() ? Next::Step::list : Next::Step::watch;
    return Next{.step = step, .after = delay_, .resource_version = version_};
}

void WatchState::worked() {
    progress_ = true;
    delay_ = Duration{0};
    backoff_.reset();
}

void WatchState::wait() {
    progress_ = false;
    delay_ = backoff_.next();
}

void WatchState::listed(std::string resource_version) {
    version_ = std::move(resource_version);
    worked();
    progress_ = false;
}

void WatchState::failed(const Error& error) {
    const auto* const status = dynamic_cast<const StatusError*>(&error);
    if (status != nullptr) {
        const bool from_the_future = std::ranges::any_of(status->causes(), [](const auto& cause) {
            return cause.type == "ResourceVersionTooLarge";
        });
        // 404: the kind itself may have gone and come back, with another history.
        if (status->code() == 410 || status->code() == 404 || from_the_future) version_.clear();
    }
    wait();
}

WatchState::Verdict WatchState::received(std::string_view type, const Object& object) {
    const bool is_event = type == "ADDED" || type == "MODIFIED" || type == "DELETED";
    if (is_event || type == "BOOKMARK") {
        const auto version = object.resource_version();
        if (!version.empty()) version_ = version;
        worked();
        return is_event ? Verdict::deliver : Verdict::skip;
    }
    failed(StatusError::from_status(object.fields(), 500));
    return Verdict::reconnect;
}

void WatchState::ended() {
    // A server that takes connections only to drop them is not asked at once again.
    if (progress_) {
        progress_ = false;
        delay_ = Duration{0};
    } else {
        wait();
    }
}

namespace {

/// One watch or list after the other, by the state's word.
class Follower {
public:
    Follower(Client& client, GroupVersionKind gvk, WatchOptions options, WatchHandler& handler)
        : client_{client},
          gvk_{std::move(gvk)},
          options_{std::move(options)},
          handler_{handler},
          random_{std::random_device{}()},
          state_{options_.backoff, random_()} {}

    asio::awaitable<void> run() {
        asio::steady_timer timer{co_await asio::this_coro::executor};
        for (;;) {
            const auto next = state_.next();
            if (next.after > Duration{0}) {
                timer.expires_after(next.after);
                co_await timer.async_wait(asio::use_awaitable);
            }
            try {
                if (next.step == WatchState::Next::Step::list) {
                    co_await list();
                } else {
                    co_await stream(next.resource_version);
                }
            } catch (const HandlerFailure& failure) {
                std::rethrow_exception(failure.cause);
            } catch (const Error& error) {
                state_.failed(error);
                report(error);
            }
        }
    }

private:
    /// What the handler throws is not the server's fault.
    struct HandlerFailure {
        std::exception_ptr cause;
    };
    template <typename Call>
    void tell(Call call) {
        try {
            call();
        } catch (...) {
            throw HandlerFailure{std::current_exception()};
        }
    }

    asio::awaitable<void> list() {
        // A server that does not answer is another matter, and asked less and less often.
        if (!co_await client_.map(gvk_)) co_await until_served(client_, gvk_);
        const Client::PageSink sink = [this](std::vector<Object> items, bool first) {
            tell([&] { handler_.list_page(std::move(items), first); });
        };
        auto version = co_await client_.each_page(gvk_, options_.list, sink);
        tell([&] { handler_.list_complete(); });
        recovered();
        state_.listed(std::move(version));
    }

    asio::awaitable<void> stream(std::string version) {
        const auto mapping = co_await client_.map(gvk_);
        if (!mapping) {
            // As the server itself would say it: a list is needed when it is served again.
            throw StatusError{
                ErrorKind::not_found, gvk_.to_string() + " is not served any more", 404, {}, {}};
        }
        net::Request request;
        request.target =
            Client::path(*mapping, options_.list.ns) +
            "?watch=true&allowWatchBookmarks=true&resourceVersion=" + net::percent_encode(version) +
            "&timeoutSeconds=" + lifetime();
        if (!options_.list.label_selector.empty())
            request.target += "&labelSelector=" + net::percent_encode(options_.list.label_selector);
        if (!options_.list.field_selector.empty())
            request.target += "&fieldSelector=" + net::percent_encode(options_.list.field_selector);
        request.headers.set("Accept", options_.list.accepted(false));
        auto response = co_await client_.transport().open(request);
        if (response.status != 200) {
            net::Response refusal;
            refusal.status = response.status;
            refusal.body = co_await collect(*response.body);
            throw StatusError::from_response(refusal);
        }
        co_await read(*response.body);
    }

    /// The body of a refusal, as far as it is of use.
    static asio::awaitable<std::string> collect(net::BodyStream& body) {
        std::string all;
        auto piece = co_await body.next();
        while (piece && all.size() < 64U << 10U) {
            all += *piece;
            piece = co_await body.next();
        }
        co_return all;
    }

    asio::awaitable<void> read(net::BodyStream& body) {
        std::string pending;
        auto piece = co_await body.next();
        while (piece) {
            pending += *piece;
            std::size_t begin = 0;
            for (auto end = pending.find('\n', begin); end != std::string::npos;
                 end = pending.find('\n', begin)) {
                const auto line = std::string_view{pending}.substr(begin, end - begin);
                if (!line.empty() && !deliver(line)) co_return;
                begin = end + 1;
            }
            pending.erase(0, begin);
            if (pending.size() > options_.line_limit) {
                throw Error{ErrorKind::exhausted,
                            "watch of " + gvk_.to_string() + ": an event of more than " +
                                std::to_string(options_.line_limit) + " bytes"};
            }
            piece = co_await body.next();
        }
        state_.ended();
    }

    /// False: this stream is of no more use.
    bool deliver(std::string_view line) {
        auto event = parse_json(line);
        auto* const fields = event.if_object();
        auto* const given = fields == nullptr ? nullptr : fields->if_contains("object");
        if (given == nullptr || !given->is_object())
            throw Error{ErrorKind::unavailable, "watch: a line is not an event"};
        const auto type = std::string{find_string(*fields, {"type"})};
        Object object{std::move(given->get_object())};
        const auto verdict = state_.received(type, object);
        if (verdict == WatchState::Verdict::reconnect) {
            log::debug(
                "kube", "watch ended by the server",
                {{"kind", gvk_.to_string()}, {"error", find_string(object.fields(), {"message"})}});
            return false;
        }
        recovered();
        if (verdict == WatchState::Verdict::skip) return true;
        tell([&] {
            if (type == "DELETED") {
                handler_.deleted(std::move(object));
            } else {
                handler_.changed(std::move(object));
            }
        });
        return true;
    }

    std::string lifetime() {
        const auto seconds = std::max<std::int64_t>(
            1, std::chrono::floor<std::chrono::seconds>(options_.lifetime).count());
        return std::to_string(
            std::uniform_int_distribution<std::int64_t>{seconds, 2 * seconds}(random_));
    }

    /// Once for each time that it stops working, not for each attempt.
    void report(const Error& error) {
        // One lost connection, or a version that grew too old, is everyday life.
        const bool quiet = state_.failures() < 2 || std::exchange(failing_, true);
        const auto level = quiet ? log::Level::debug : log::Level::warn;
        if (!log::enabled(level)) return;
        log::write(level, "kube", "watch failed; it is tried again",
                   {{"kind", gvk_.to_string()}, {"error", error.what()}});
    }
    void recovered() {
        if (std::exchange(failing_, false))
            log::info("kube", "watch works again", {{"kind", gvk_.to_string()}});
    }

    Client& client_;
    GroupVersionKind gvk_;
    WatchOptions options_;
    WatchHandler& handler_;
    std::mt19937_64 random_;
    WatchState state_;
    bool failing_ = false;
};

}  // namespace

asio::awaitable<void> watch(Client& client, GroupVersionKind gvk, WatchOptions options,
                            WatchHandler& handler) {
    Follower follower{client, std::move(gvk), std::move(options), handler};
    co_await follower.run();
}

}  // namespace kled::kube
