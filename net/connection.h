/// A stream and the bytes read ahead from it: where messages are read. Internal to net.
#pragma once

#include "net/stream.h"
#include "net/wire.h"

#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <string_view>
#include <vector>

namespace kled::net {

/// Throws what Stream and MessageParser throw. Reading is by one task at a time.
class Connection {
public:
    explicit Connection(Stream s) : stream{std::move(s)} {}

    /// False: the peer closed before another byte.
    boost::asio::awaitable<bool> wait_for_bytes(SteadyTime deadline);
    /// Until parser.has_head(); false: the peer closed before its first byte.
    boost::asio::awaitable<bool> read_head(MessageParser& parser, SteadyTime deadline);
    /// Until parser.done() or `enough` bytes of body can be taken.
    boost::asio::awaitable<void> read_body(MessageParser& parser, std::size_t enough,
                                           SteadyTime deadline);
    /// Until the peer has closed. At most `limit` bytes of later requests are kept meanwhile.
    boost::asio::awaitable<void> wait_for_close(std::size_t limit);

    /// Nothing was read beyond the messages taken.
    [[nodiscard]] bool is_empty() const noexcept { return begin_ == end_; }

    Stream stream;

private:
    [[nodiscard]] std::string_view unread() const noexcept {
        return {buffer_.data() + begin_, end_ - begin_};
    }
    void consume(std::size_t count) noexcept;
    boost::asio::awaitable<bool> read_more(SteadyTime deadline);

    std::vector<char> buffer_;  // unread bytes are [begin_, end_)
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
};

}  // namespace kled::net
