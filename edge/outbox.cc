#include "edge/outbox.h"

#include "base/error.h"

#include <utility>

namespace kled::edge {

namespace {
std::size_t size_of(const Message& m) { return m.topic.size() + m.payload.size(); }
}  // namespace

void Outbox::push(Message message) {
    const auto size = size_of(message);
    if (size > free()) {
        throw Error{ErrorKind::exhausted, "outbox: " + message.topic + " needs " +
                                              std::to_string(size) + " bytes, " +
                                              std::to_string(free()) + " are free"};
    }
    held_.emplace_hint(held_.end(), pushed_++, std::move(message));
    bytes_ += size;
}

std::optional<Outbox::Due> Outbox::next(Clock::time_point now) {
    if (in_flight_ == limits_.in_flight) return std::nullopt;
    auto entry = held_.lower_bound(cursor_);
    while (entry != held_.end() && entry->second.expires_at <= now) entry = drop(entry);
    if (entry == held_.end()) return std::nullopt;
    cursor_ = entry->first + 1;
    ++in_flight_;
    return Due{.sequence = entry->first, .message = entry->second};
}

void Outbox::acknowledge(Sequence sequence) noexcept {
    const auto entry = held_.find(sequence);
    if (entry == held_.end() || sequence >= cursor_) return;
    drop(entry);
    --in_flight_;
}

void Outbox::connection_lost() noexcept {
    cursor_ = 0;
    in_flight_ = 0;
}

Outbox::Held::iterator Outbox::drop(Held::iterator entry) noexcept {
    bytes_ -= size_of(entry->second);
    return held_.erase(entry);
}

}  // namespace kled::edge
