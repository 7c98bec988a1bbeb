/// From events to providers: who wants one is told of it, beside the work that it is about.
#pragma once

#include "base/clock.h"
#include "base/retry.h"
#include "base/task_group.h"
#include "gitops/notify/alert.h"
#include "gitops/notify/message.h"
#include "gitops/reconcile/events.h"
#include "gitops/store/cluster_store.h"
#include "kube/client.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace kled::gitops {

/// The same told again within a time is told once (as notification-controller's
/// --rate-limit-interval: by object, message and revision). It decides, and reads no clock.
class Repetitions {
public:
    explicit Repetitions(Duration window) : window_{window} {}
    [[nodiscard]] bool is_new(const Event& event, SteadyTime now);

private:
    static constexpr std::size_t limit = 4096;  ///< remembered; beyond, all is forgotten
    Duration window_;
    std::map<std::string, SteadyTime> seen_;  // digest → when it counts again
};

/// Follows Alerts and Providers. Used from one loop; what it refers to outlives it.
class Notifier : private ObjectStore::Listener {
public:
    struct Options {
        bool no_cross_namespace_refs = false;  ///< event sources of other namespaces do not count
        Duration window{300'000};              ///< of Repetitions
        /// Events wait so long for the Alerts to be known after the start.
        Duration settle{3'000};
        std::size_t waiting = 100;  ///< for one provider; beyond, the oldest is dropped
        unsigned attempts = 5;
        Backoff::Options retry{.first = Duration{2'000}, .limit = Duration{30'000}};
    };

    Notifier(boost::asio::any_io_executor loop, kube::Client& client, Events& events,
             Options options);

    /// Returns at once and never throws.
    void take(const Event& event);
    /// Until cancelled; what waits then is not sent.
    boost::asio::awaitable<void> run();

private:
    /// What waits for one provider: sent one after the other.
    struct Lane {
        struct Item {
            kube::Object alert;
            Notification notification;
        };
        std::deque<Item> waiting;
        bool running = false;
    };

    void changed(kube::Object object) override;
    void removed(const Key& key) override;
    void match(const Event& event);
    boost::asio::awaitable<void> follow();
    boost::asio::awaitable<void> settle();
    boost::asio::awaitable<void> drain(Key provider);
    /// Empty: it was told, or there is nothing to tell. Else why not.
    boost::asio::awaitable<std::string> tell(std::shared_ptr<const Provider> provider,
                                             Notification notification);
    boost::asio::awaitable<ProviderAccess> read_access(const Provider& provider);
    /// Tries until the answer is final. Error(unavailable|denied|invalid).
    boost::asio::awaitable<net::Response> exchange(const Provider& provider,
                                                   const ProviderAccess& access,
                                                   const Message& message);

    boost::asio::any_io_executor loop_;
    kube::Client& client_;
    ClusterStore api_;
    Events& events_;
    Options options_;
    Repetitions repetitions_;
    std::map<Key, std::shared_ptr<const Alert>> alerts_;
    std::map<Key, std::shared_ptr<const Provider>> providers_;
    std::map<Key, Lane> lanes_;
    std::deque<Event> early_;
    bool settled_ = false;
    TaskGroup tasks_;
};

}  // namespace kled::gitops
