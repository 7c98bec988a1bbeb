#include "net/connection.h"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <cstring>

namespace kled::net {

namespace asio = boost::asio;

namespace {
constexpr std::size_t piece = 16U << 10U;  // what one read asks for, and what an idle one keeps
}

void Connection::consume(std::size_t count) noexcept {
    begin_ += count;
    if (begin_ < end_) return;
    begin_ = end_ = 0;
    if (buffer_.size() > piece) buffer_ = {};
}

asio::awaitable<bool> Connection::read_more(SteadyTime deadline) {
    if (begin_ > 0) {
        std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
        end_ -= begin_;
        begin_ = 0;
    }
    if (end_ == buffer_.size()) buffer_.resize(buffer_.size() + piece);
    const auto count =
        co_await stream.read_some({buffer_.data() + end_, buffer_.size() - end_}, deadline);
    end_ += count;
    co_return count > 0;
}

asio::awaitable<bool> Connection::wait_for_bytes(SteadyTime deadline) {
    if (!is_empty()) co_return true;
    co_return co_await read_more(deadline);
}

asio::awaitable<bool> Connection::read_head(MessageParser& parser, SteadyTime deadline) {
    const bool began = co_await wait_for_bytes(deadline);
    if (!began) co_return false;
    consume(parser.put(unread()));
    while (!parser.has_head()) {
        const bool more = co_await read_more(deadline);
        if (!more) parser.put_end();
        consume(parser.put(unread()));
    }
    co_return true;
}

asio::awaitable<void> Connection::read_body(MessageParser& parser, std::size_t enough,
                                            SteadyTime deadline) {
    while (!parser.done() && parser.body().size() < enough) {
        const auto used = parser.put(unread());
        consume(used);
        if (used > 0 || parser.done()) continue;
        const bool more = co_await read_more(deadline);
        if (more) continue;
        if (stream.truncated())
            throw Error{ErrorKind::unavailable, "the connection ended inside a message"};
        parser.put_end();
    }
}

asio::awaitable<void> Connection::wait_for_close(std::size_t limit) {
    while (end_ - begin_ < limit) {
        const bool more = co_await read_more(SteadyTime::max());
        if (!more) co_return;
    }
    // The peer sends without listening; only a failing write will tell that it went.
    asio::steady_timer never{co_await asio::this_coro::executor, SteadyTime::max()};
    co_await never.async_wait(asio::use_awaitable);
}

}  // namespace kled::net
