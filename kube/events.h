/// Kubernetes events: what `kubectl get events` and `kubectl describe` show about an object.
#pragma once

#include "base/clock.h"
#include "base/signal.h"
#include "kube/client.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace kled::kube {

struct EventNote {
    bool warning = false;
    std::string reason;   ///< CamelCase, for machines: "ReconciliationSucceeded"
    std::string message;  ///< for people; cut at 1024 bytes
};

/// Folds repetitions into counts and limits the rate for each object (as client-go's correlator:
/// bursts of 25, then one each 5 minutes). It decides, and reads no clock.
class EventAggregator {
public:
    struct Options {
        std::string component = "kled";
        std::size_t burst = 25;
        Duration refill{300'000};    ///< one more for an object
        Duration same_for{600'000};  ///< a repetition within this is counted, not added
        std::size_t objects = 4096;  ///< remembered; beyond, the longest silent is forgotten
    };
    explicit EventAggregator(Options options) : options_{std::move(options)} {}

    /// The v1 Event to apply, new or with a higher count; nullopt: over the rate.
    [[nodiscard]] std::optional<Object> note(const Object& about, const EventNote& note,
                                             WallTime now);

private:
    struct Seen {
        std::string name;
        WallTime first;
        WallTime last;
        int count = 0;
    };
    struct About {
        double tokens = 0;
        WallTime refilled;
        WallTime last;
        std::map<std::string, Seen> seen;  // by type, reason and message
    };
    About& about(const std::string& key, WallTime now);

    Options options_;
    std::map<std::string, About> objects_;  // by uid, or by id where there is none
};

/// Sends events beside the work they are about; never holds it up and never fails it.
class EventRecorder {
public:
    EventRecorder(boost::asio::any_io_executor executor, Client& client,
                  EventAggregator::Options options = {});

    /// Returns at once. When the API server is slow, the oldest of 256 waiting ones is dropped.
    void record(const Object& about, const EventNote& note);
    /// Sends until cancelled.
    boost::asio::awaitable<void> run();

private:
    Client& client_;
    EventAggregator aggregator_;
    std::deque<Object> waiting_;
    Signal wake_;
};

}  // namespace kled::kube
