#include "gitops/reconcile/events.h"

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

/// Enough to find it again, and to choose by.
kube::Object reference_to(const kube::Object& object) {
    kube::json::object fields;
    fields["apiVersion"] = object.api_version();
    fields["kind"] = object.kind();
    kube::Object result{std::move(fields)};
    result.set_name(object.name());
    result.set_namespace(object.ns());
    result.metadata()["uid"] = object.uid();
    const auto* labels = kube::find(object.fields(), {"metadata", "labels"});
    if (labels != nullptr && labels->is_object() && !labels->get_object().empty())
        result.metadata()["labels"] = *labels;
    const auto* annotations = kube::find(object.fields(), {"metadata", "annotations"});
    if (annotations != nullptr && annotations->is_object()) {
        for (const auto& item : annotations->get_object()) {
            const std::string_view key{item.key()};
            if (item.value().is_string() && key.starts_with(event_annotations))
                result.set_annotation(key, std::string_view{item.value().get_string()});
        }
    }
    return result;
}

}  // namespace

void Events::record(const kube::Object& about, bool warning, std::string reason,
                    std::string message, std::string revision, std::string origin) {
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
                     .message = std::move(message),
                     .revision = std::move(revision),
                     .origin = std::move(origin)});
    if (kept_.size() > limit) kept_.pop_front();
    if (sink_) sink_(kept_.back());
}

void Events::happened(const kube::Object& about, bool warning, std::string reason,
                      std::string message, std::string revision, std::string origin) {
    latest_.erase(key_of(about));
    record(about, warning, std::move(reason), std::move(message), std::move(revision),
           std::move(origin));
}

std::vector<Event> Events::since(std::uint64_t number) const {
    std::vector<Event> result;
    for (const auto& event : kept_)
        if (event.number > number) result.push_back(event);
    return result;
}

}  // namespace kled::gitops
