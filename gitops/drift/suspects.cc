#include "gitops/drift/suspects.h"

#include "gitops/drift/record.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace kled::gitops {

namespace {

constexpr unsigned looks_at_once = 3;
constexpr Duration first_pause{1'000};
constexpr Duration longest_pause{60'000};
constexpr Duration calm{300'000};  // after which it all begins anew

/// Whether `a` is a version before `b`: what was seen may be older than what was written since.
bool older(std::string_view a, std::string_view b) {
    const auto number = [](std::string_view text) -> std::optional<std::uint64_t> {
        std::uint64_t value = 0;
        const auto* const end = text.data() + text.size();
        const auto [rest, error] = std::from_chars(text.data(), end, value);
        if (error != std::errc{} || rest != end) return std::nullopt;
        return value;
    };
    const auto first = number(a);
    const auto second = number(b);
    return first && second && *first < *second;
}

}  // namespace

Sighting Sighting::of(const kube::Object& metadata, std::string_view manager) {
    return {.resource_version = std::string{metadata.resource_version()},
            .record = record_of(metadata, manager),
            .read_first = looks_first(metadata)};
}

SteadyTime Suspects::Looks::next() const {
    if (times < looks_at_once) return last;
    const auto doublings = std::min(times - looks_at_once, 10U);
    return last + std::min(longest_pause, first_pause * (1U << doublings));
}

void Suspects::saw(const kube::ObjectId& id, Sighting sighting) {
    seen_.insert_or_assign(id, std::move(sighting));
}

bool Suspects::as_written(const Sighting& seen, Memory::iterator known, const Memory& memory) {
    // What nobody remembers is looked at with everything else.
    if (known == memory.end()) return true;
    if (seen.resource_version.empty()) return false;
    auto& there = known->second;
    if (seen.resource_version == there.resource_version ||
        older(seen.resource_version, there.resource_version))
        return true;
    if (seen.record == 0 || seen.record != there.record) return false;
    there.resource_version = seen.resource_version;
    there.read_first = seen.read_first;
    return true;
}

bool Suspects::settle(Memory& memory) {
    std::erase_if(seen_, [&](const auto& entry) {
        return as_written(entry.second, memory.find(entry.first), memory);
    });
    return !seen_.empty();
}

bool Suspects::settle(const kube::ObjectId& id, Memory& memory) {
    const auto found = seen_.find(id);
    if (found == seen_.end()) return false;
    if (!as_written(found->second, memory.find(id), memory)) return true;
    seen_.erase(found);
    return false;
}

std::vector<Suspects::Suspect> Suspects::due(Memory& memory, SteadyTime now) {
    std::vector<Suspect> result;
    std::erase_if(looks_, [&](const auto& entry) { return now - entry.second.last > calm; });
    settle(memory);
    for (auto next = seen_.begin(); next != seen_.end();) {
        auto& looks = looks_[next->first];
        if (looks.next() > now) {
            ++next;
            continue;
        }
        ++looks.times;
        looks.last = now;
        result.push_back({.id = next->first, .sighting = std::move(next->second)});
        next = seen_.erase(next);
    }
    return result;
}

std::optional<SteadyTime> Suspects::next(SteadyTime now) const {
    std::optional<SteadyTime> first;
    for (const auto& [id, sighting] : seen_) {
        const auto looks = looks_.find(id);
        const auto when = looks == looks_.end() ? now : std::max(now, looks->second.next());
        if (!first || when < *first) first = when;
    }
    return first;
}

}  // namespace kled::gitops
