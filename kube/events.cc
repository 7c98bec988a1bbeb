#include "kube/events.h"

#include "base/log.h"
#include "base/utf8.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>

namespace kled::kube {

namespace asio = boost::asio;

namespace {

constexpr std::size_t message_limit = 1024;  // of a v1 Event (core validation)
constexpr std::size_t waiting_limit = 256;

std::string hex(std::uint64_t value) {
    char text[17];
    std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(value));
    return text;
}

}  // namespace

EventAggregator::About& EventAggregator::about(const std::string& key, WallTime now) {
    const auto [entry, is_new] = objects_.try_emplace(key);
    if (is_new) {
        entry->second.tokens = static_cast<double>(options_.burst);
        entry->second.refilled = now;
    }
    entry->second.last = now;
    if (objects_.size() > options_.objects) {
        const auto silent = std::ranges::min_element(
            objects_, {}, [](const auto& object) { return object.second.last; });
        if (silent != entry) objects_.erase(silent);
    }
    return entry->second;
}

std::optional<Object> EventAggregator::note(const Object& about_object, const EventNote& note,
                                            WallTime now) {
    const std::string key = about_object.uid().empty() ? about_object.id().to_string()
                                                       : std::string{about_object.uid()};
    auto& source = about(key, now);
    const auto elapsed = std::chrono::duration<double, std::milli>(now - source.refilled);
    source.tokens = std::min(static_cast<double>(options_.burst),
                             source.tokens + std::max(0.0, elapsed.count()) /
                                                 static_cast<double>(options_.refill.count()));
    source.refilled = now;
    if (source.tokens < 1) return std::nullopt;
    source.tokens -= 1;

    std::erase_if(source.seen,
                  [&](const auto& seen) { return now - seen.second.last > options_.same_for; });
    const auto message = shortened(note.message, message_limit);
    const std::string type = note.warning ? "Warning" : "Normal";
    auto& seen = source.seen[type + "\n" + note.reason + "\n" + message];
    if (seen.count == 0) {
        const auto since =
            std::chrono::duration_cast<std::chrono::nanoseconds>(now.time_since_epoch());
        // As client-go names them; the salt keeps two in one instant apart.
        const auto salt = static_cast<std::uint64_t>(since.count()) + source.seen.size();
        seen.name = about_object.name().substr(0, 200);
        while (seen.name.ends_with('.') || seen.name.ends_with('-')) seen.name.pop_back();
        seen.name += "." + hex(salt);
        seen.first = now;
    }
    seen.last = now;
    ++seen.count;

    const std::string ns = about_object.ns().empty() ? "default" : std::string{about_object.ns()};
    json::object involved;
    involved["apiVersion"] = about_object.api_version();
    involved["kind"] = about_object.kind();
    if (!about_object.ns().empty()) involved["namespace"] = about_object.ns();
    involved["name"] = about_object.name();
    if (!about_object.uid().empty()) involved["uid"] = about_object.uid();
    if (!about_object.resource_version().empty())
        involved["resourceVersion"] = about_object.resource_version();

    Object event;
    auto& fields = event.fields();
    fields["apiVersion"] = "v1";
    fields["kind"] = "Event";
    event.set_name(seen.name);
    event.set_namespace(ns);
    fields["involvedObject"] = std::move(involved);
    fields["type"] = type;
    fields["reason"] = note.reason;
    fields["message"] = message;
    fields["source"].emplace_object()["component"] = options_.component;
    fields["reportingComponent"] = options_.component;
    fields["reportingInstance"] = options_.component;
    fields["firstTimestamp"] = to_rfc3339(seen.first);
    fields["lastTimestamp"] = to_rfc3339(seen.last);
    fields["count"] = seen.count;
    return event;
}

EventRecorder::EventRecorder(asio::any_io_executor executor, Client& client,
                             EventAggregator::Options options)
    : client_{client}, aggregator_{std::move(options)}, wake_{executor} {}

void EventRecorder::record(const Object& about, const EventNote& note) {
    auto event = aggregator_.note(about, note, WallTime::clock::now());
    if (!event) return;
    // A higher count of one that still waits takes its place.
    const auto same = std::ranges::find(waiting_, event->name(), &Object::name);
    if (same != waiting_.end()) {
        *same = *std::move(event);
    } else {
        if (waiting_.size() == waiting_limit) waiting_.pop_front();
        waiting_.push_back(*std::move(event));
    }
    wake_.notify();
}

asio::awaitable<void> EventRecorder::run() {
    const ApplyOptions options;
    for (;;) {
        while (!waiting_.empty()) {
            const auto event = std::move(waiting_.front());
            waiting_.pop_front();
            try {
                (void)co_await client_.apply(event, options);
            } catch (const Error& error) {
                log::debug(
                    "kube", "event not recorded",
                    {{"reason", find_string(event.fields(), {"reason"})}, {"error", error.what()}});
            }
        }
        co_await wake_.wait();
    }
}

}  // namespace kled::kube
