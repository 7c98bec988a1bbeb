/// The API for the roles that run beside it: the same requests and answers without TLS or sockets,
/// from any loop.
#pragma once

#include "apiserver/api.h"
#include "kube/transport.h"

#include <memory>

namespace kled::api {

class InProcess {
public:
    /// `api` lives on `executor`, which is one thread, and outlives this.
    InProcess(boost::asio::any_io_executor executor, Api& api, User user);
    ~InProcess();

    /// Thread-safe. Before `open` its calls wait for that; after `close` they are
    /// Error(unavailable).
    [[nodiscard]] std::shared_ptr<kube::Transport> transport() const;

    // On the server's loop.
    void open();
    /// Every call on its way ends with Error(unavailable); returns when none is left.
    boost::asio::awaitable<void> close();

private:
    struct Gate;
    class Client;
    class Stream;
    struct Exchange;
    std::shared_ptr<Gate> gate_;
};

}  // namespace kled::api
