/// Carries an outbox to the broker.
#pragma once

#include "base/signal.h"
#include "edge/outbox.h"

#include <boost/asio/awaitable.hpp>

namespace kled::edge {

/// The part of an MQTT session the pump needs. Real: edge/mqtt_session.h; fake: in the test.
class Publisher {
public:
    virtual ~Publisher() = default;
    /// Completes once the transport has it. Throws Error(unavailable) when the connection is gone.
    virtual boost::asio::awaitable<void> publish(Outbox::Sequence sequence, Message message) = 0;
};

/// Runs until cancelled or until `publisher` throws. Notify `wake` after each push,
/// acknowledgement and reconnection. All three arguments outlive the task.
boost::asio::awaitable<void> pump(Outbox& outbox, Publisher& publisher, Signal& wake);

}  // namespace kled::edge
