#include "gitops/events.h"

#include "base/log.h"

namespace kled::gitops {

kube::json::object Event::to_json() const {
    kube::json::object result;
    result["number"] = number;
    result["time"] = to_rfc3339(time);
    result["type"] = warning ? "Warning" : "Normal";
    result["kind"] = about.kind();
    result["namespace"] = about.ns();
    result["name"] = about.name();
    result["reason"] = reason;
    result["message"] = message;
    return result;
}

namespace {

/// Enough to find it again.
kube::Object reference_to(const kube::Object& object) {
    kube::json::object fields;
    fields["apiVersion"] = object.api_version();
    fields["kind"] = object.kind();
    kube::Object result{std::move(fields)};
    result.set_name(object.name());
    result.set_namespace(object.ns());
    result.metadata()["uid"] = object.uid();
    return result;
}

}  // namespace

void Events::record(const kube::Object& about, bool warning, std::string reason,
                    std::string message) {
    const auto key = key_of(about);
    auto now = reason + '\n' + message;
    auto& latest = latest_[key];
    if (now == latest) return;
    latest = std::move(now);
    log::write(warning ? log::Level::warn : log::Level::info, "gitops", message,
               {{"object", key.to_string()}, {"reason", reason}});
    kept_.push_back({.number = ++last_,
                     .time = std::chrono::system_clock::now(),
                     .about = reference_to(about),
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
