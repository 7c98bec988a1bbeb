#include "gitops/reconcile/schedule.h"

#include <algorithm>
#include <cassert>

namespace kled::gitops {

void Schedule::touch_at(const Key& key, SteadyTime when) {
    auto& due = entries_[key].due;
    due = due ? std::min(*due, when) : when;
}

void Schedule::forget(const Key& key) {
    const auto entry = entries_.find(key);
    if (entry == entries_.end()) return;
    entry->second.due.reset();
    if (!entry->second.running) entries_.erase(entry);
}

std::optional<Key> Schedule::next(SteadyTime now) {
    if (running_ >= concurrency_) return std::nullopt;
    auto best = entries_.end();
    for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
        const auto& [due, running] = entry->second;
        if (running || !due || *due > now) continue;
        if (best == entries_.end() || *due < *best->second.due) best = entry;
    }
    if (best == entries_.end()) return std::nullopt;
    best->second.due.reset();
    best->second.running = true;
    ++running_;
    return best->first;
}

void Schedule::finished(const Key& key, std::optional<SteadyTime> again) {
    const auto entry = entries_.find(key);
    assert(entry != entries_.end() && entry->second.running);
    entry->second.running = false;
    --running_;
    if (again) touch_at(key, *again);
    if (!entry->second.due) entries_.erase(entry);
}

std::optional<SteadyTime> Schedule::wake_at() const {
    if (running_ >= concurrency_) return std::nullopt;
    std::optional<SteadyTime> first;
    for (const auto& [key, entry] : entries_) {
        if (!entry.running && entry.due && (!first || *entry.due < *first)) first = entry.due;
    }
    return first;
}

bool Schedule::touched_while_running(const Key& key, SteadyTime now) const {
    const auto entry = entries_.find(key);
    return entry != entries_.end() && entry->second.due && *entry->second.due <= now;
}

bool Schedule::is_running(const Key& key) const {
    const auto found = entries_.find(key);
    return found != entries_.end() && found->second.running;
}

Duration retry_after(Backoff& backoff, Duration interval) {
    constexpr unsigned quick = 7;
    constexpr Duration least{200};
    const auto delay = std::max(backoff.next(), least);
    return backoff.failures() > quick ? interval : std::min(delay, interval);
}

}  // namespace kled::gitops
