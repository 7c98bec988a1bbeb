/// What happened, for people: the last of it in memory, all of it in the log.
#pragma once

#include "base/clock.h"
#include "gitops/objects/api.h"
#include "kube/object.h"

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace kled::gitops {

/// Annotations of an object that go along with what is told of it.
inline constexpr std::string_view event_annotations = "event.toolkit.fluxcd.io/";

struct Event {
    std::uint64_t number = 0;  ///< 1, 2, 3, …
    WallTime time;
    /// apiVersion, kind, namespace, name, uid, labels, and annotations `event_annotations`…
    kube::Object about;
    bool warning = false;
    std::string reason;
    std::string message;
    std::string revision{};  ///< of the source that it is about; empty: of none
    std::string origin{};    ///< what that was made of, where it says so

    [[nodiscard]] kube::json::object to_json() const;
};

/// Used from one loop.
class Events {
public:
    /// `sink` gets each event once, as it happens: where a cluster keeps them.
    explicit Events(std::function<void(const Event&)> sink = {}) : sink_{std::move(sink)} {}

    /// The same again for the same object (a failure at each retry) is told once.
    void record(const kube::Object& about, bool warning, std::string reason, std::string message,
                std::string revision = {}, std::string origin = {});
    /// What is told each time it happens, also when it is the same again.
    void happened(const kube::Object& about, bool warning, std::string reason, std::string message,
                  std::string revision = {}, std::string origin = {});
    /// It is gone; the same name is another object from now on.
    void forget(const Key& object) { latest_.erase(object); }
    /// Those after `number`, oldest first.
    [[nodiscard]] std::vector<Event> since(std::uint64_t number) const;
    [[nodiscard]] std::uint64_t last() const noexcept { return last_; }

private:
    static constexpr std::size_t limit = 1000;
    std::function<void(const Event&)> sink_;
    std::deque<Event> kept_;
    std::map<Key, std::string> latest_;  // reason and message
    std::uint64_t last_ = 0;
};

}  // namespace kled::gitops
