#include "apiserver/in_process.h"

#include "base/error.h"
#include "base/signal.h"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>

#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

namespace kled::api {

namespace asio = boost::asio;

namespace {

struct Ask {
    enum class What { answer, next } what = What::answer;
    net::Request request;
    std::uint64_t stream = 0;
};

struct Reply {
    Answer answer;                     // of Ask::answer; its stream stays on the server's loop …
    std::uint64_t stream = 0;          // … under this number
    std::optional<std::string> piece;  // of Ask::next
};

Error stopped() { return {ErrorKind::unavailable, "the embedded API server is not running"}; }

}  // namespace

/// One call: made and awaited on the caller's loop, carried out on the server's. `mutex` guards
/// `settled` and what it publishes.
struct InProcess::Exchange : std::enable_shared_from_this<Exchange> {
    explicit Exchange(asio::any_io_executor executor) : caller{std::move(executor)}, done{caller} {}

    /// The first outcome counts. Also the caller's own: it went away.
    void settle(Reply outcome, std::exception_ptr failure) {
        const std::scoped_lock lock{mutex};
        if (std::exchange(settled, true)) return;
        reply = std::move(outcome);
        error = std::move(failure);
        asio::post(caller, [self = shared_from_this()] { self->done.notify(); });
    }

    asio::any_io_executor caller;
    Signal done;                     // caller's loop
    asio::cancellation_signal stop;  // server's loop
    std::mutex mutex;
    bool settled = false;
    Reply reply;
    std::exception_ptr error;
};

struct InProcess::Gate : std::enable_shared_from_this<Gate> {
    Gate(asio::any_io_executor loop, Api& served, User as)
        : executor{std::move(loop)}, api{served}, user{std::move(as)}, idle{executor} {}

    // Any loop.
    asio::awaitable<Reply> call(Ask ask);
    void begin(const std::shared_ptr<Exchange>& exchange, Ask ask);  ///< with `mutex` held
    void drop(std::uint64_t stream);

    // The server's loop.
    void start(const std::shared_ptr<Exchange>& exchange, Ask ask);
    asio::awaitable<Reply> carry_out(Ask ask);

    asio::any_io_executor executor;
    Api& api;
    User user;
    std::mutex mutex;
    bool is_open = false;    // guarded
    bool is_closed = false;  // guarded: it will not be open again
    std::vector<std::pair<std::shared_ptr<Exchange>, Ask>> early;  // guarded: until it is open
    std::set<std::shared_ptr<Exchange>> exchanges;                 // guarded
    // The server's loop:
    std::map<std::uint64_t, std::shared_ptr<net::BodyStream>> streams;
    std::uint64_t last_stream = 0;
    std::size_t running = 0;
    Signal idle;
};

asio::awaitable<Reply> InProcess::Gate::call(Ask ask) {
    const auto exchange = std::make_shared<Exchange>(co_await asio::this_coro::executor);
    {
        const std::scoped_lock lock{mutex};
        if (is_closed) throw stopped();
        exchanges.insert(exchange);
        if (is_open) {
            begin(exchange, std::move(ask));
        } else {
            early.emplace_back(exchange, std::move(ask));
        }
    }
    struct Leave {
        Gate& gate;
        std::shared_ptr<Exchange> exchange;
        ~Leave() {
            const std::scoped_lock lock{gate.mutex};
            gate.exchanges.erase(exchange);
            std::erase_if(gate.early, [&](const auto& one) { return one.first == exchange; });
            const std::scoped_lock own{exchange->mutex};
            if (std::exchange(exchange->settled, true) || !gate.is_open) return;
            // The caller was cancelled.
            asio::post(gate.executor,
                       [left = exchange] { left->stop.emit(asio::cancellation_type::terminal); });
        }
    } leave{*this, exchange};
    co_await exchange->done.wait();
    if (exchange->error) std::rethrow_exception(exchange->error);
    co_return std::move(exchange->reply);
}

void InProcess::Gate::begin(const std::shared_ptr<Exchange>& exchange, Ask ask) {
    asio::post(executor, [gate = shared_from_this(), exchange, ask = std::move(ask)]() mutable {
        gate->start(exchange, std::move(ask));
    });
}

void InProcess::Gate::drop(std::uint64_t stream) {
    const std::scoped_lock lock{mutex};
    if (is_open)
        asio::post(executor, [gate = shared_from_this(), stream] { gate->streams.erase(stream); });
}

void InProcess::Gate::start(const std::shared_ptr<Exchange>& exchange, Ask ask) {
    {
        const std::scoped_lock lock{mutex};
        if (!is_open) return;  // close() has settled it
    }
    ++running;
    asio::co_spawn(executor, carry_out(std::move(ask)),
                   asio::bind_cancellation_slot(
                       exchange->stop.slot(), [gate = shared_from_this(), exchange](
                                                  std::exception_ptr error, Reply reply) {
                           exchange->settle(std::move(reply), std::move(error));
                           if (--gate->running == 0) gate->idle.notify();
                       }));
}

asio::awaitable<Reply> InProcess::Gate::carry_out(Ask ask) {
    Reply reply;
    if (ask.what == Ask::What::answer) {
        reply.answer = co_await api.dispatch(std::move(ask.request), user);
        if (reply.answer.stream) {
            reply.stream = ++last_stream;
            streams.emplace(reply.stream, std::move(reply.answer.stream));
        }
    } else if (const auto found = streams.find(ask.stream); found != streams.end()) {
        const auto stream = found->second;  // held while it waits, whatever drop() does
        reply.piece = co_await stream->next();
    }
    co_return reply;
}

class InProcess::Stream final : public net::BodyStream {
public:
    Stream(std::shared_ptr<Gate> gate, std::uint64_t id) : gate_{std::move(gate)}, id_{id} {}
    ~Stream() override { gate_->drop(id_); }
    asio::awaitable<std::optional<std::string>> next() override {
        Ask ask;
        ask.what = Ask::What::next;
        ask.stream = id_;
        auto reply = co_await gate_->call(std::move(ask));
        co_return std::move(reply.piece);
    }

private:
    std::shared_ptr<Gate> gate_;
    std::uint64_t id_;
};

namespace {

/// A body that was whole from the start.
class WholeBody final : public net::BodyStream {
public:
    explicit WholeBody(std::string body) : body_{std::move(body)} {}
    asio::awaitable<std::optional<std::string>> next() override {
        if (body_.empty()) co_return std::nullopt;
        co_return std::exchange(body_, {});
    }

private:
    std::string body_;
};

}  // namespace

class InProcess::Client final : public kube::Transport {
public:
    explicit Client(std::shared_ptr<Gate> gate) : gate_{std::move(gate)} {}

    asio::awaitable<net::Response> send(net::Request request) override {
        Ask ask;
        ask.request = std::move(request);
        auto reply = co_await gate_->call(std::move(ask));
        if (reply.stream != 0) {
            gate_->drop(reply.stream);
            throw Error{ErrorKind::invalid, "a watch has no whole answer: open it as a stream"};
        }
        net::Response response;
        response.status = reply.answer.status;
        response.headers = std::move(reply.answer.headers);
        response.body = std::move(reply.answer.body);
        co_return response;
    }

    asio::awaitable<net::StreamResponse> open(net::Request request) override {
        Ask ask;
        ask.request = std::move(request);
        auto reply = co_await gate_->call(std::move(ask));
        net::StreamResponse response;
        response.status = reply.answer.status;
        response.headers = std::move(reply.answer.headers);
        if (reply.stream != 0) {
            response.body = std::make_unique<Stream>(gate_, reply.stream);
        } else {
            response.body = std::make_unique<WholeBody>(std::move(reply.answer.body));
        }
        co_return response;
    }

private:
    std::shared_ptr<Gate> gate_;
};

InProcess::InProcess(asio::any_io_executor executor, Api& api, User user)
    : gate_{std::make_shared<Gate>(std::move(executor), api, std::move(user))} {}

InProcess::~InProcess() {
    const std::scoped_lock lock{gate_->mutex};
    gate_->is_open = false;
    gate_->is_closed = true;
}

std::shared_ptr<kube::Transport> InProcess::transport() const {
    return std::make_shared<Client>(gate_);
}

void InProcess::open() {
    const std::scoped_lock lock{gate_->mutex};
    gate_->is_open = true;
    for (auto& [exchange, ask] : std::exchange(gate_->early, {}))
        gate_->begin(exchange, std::move(ask));
}

asio::awaitable<void> InProcess::close() {
    std::set<std::shared_ptr<Exchange>> left;
    {
        const std::scoped_lock lock{gate_->mutex};
        gate_->is_open = false;
        gate_->is_closed = true;
        gate_->early.clear();
        left.swap(gate_->exchanges);
    }
    for (const auto& exchange : left) {
        exchange->settle({}, std::make_exception_ptr(stopped()));
        exchange->stop.emit(asio::cancellation_type::terminal);
    }
    while (gate_->running > 0) co_await gate_->idle.wait();
    gate_->streams.clear();
}

}  // namespace kled::api
