#include "gitops/events.h"

#include "base/log.h"

namespace kled::gitops {

kube::json::object Event::to_json() const {
    kube::json::object result;
    result["number"] = number;
    result["time"] = to_rfc3339(time);
    result["type"] = warning ? "Warning" : "Normal";
    result["kind"] = object.kind;
    result["namespace"] = object.ns;
    result["name"] = object.name;
    result["reason"] = reason;
    result["message"] = message;
    return result;
}

void Events::record(const Key& object, bool warning, std::string reason, std::string message) {
    auto& latest = latest_[object];
    if (auto now = reason + '\n' + message; now == latest) {
        return;
    } else {
        latest = std::move(now);
    }
    log::write(warning ? log::Level::warn : log::Level::info, "gitops", message,
               {{"object", object.to_string()}, {"reason", reason}});
    kept_.push_back({.number = ++last_,
                     .time = std::chrono::system_clock::now(),
                     .object = object,
                     .warning = warning,
                     .reason = std::move(reason),
                     .message = std::move(message)});
    if (kept_.size() > limit) kept_.pop_front();
    if (sink_) sink_(kept_.back());
}

std::vector<Event> Events::since(std::uint64_t number) const {
    std::vector<Event> result;
    for (const auto& event : kept_)
        if (event.number > number) result.push_back(event);
    return result;
}

}  // namespace kled::gitops
