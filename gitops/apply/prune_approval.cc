#include "gitops/apply/prune_approval.h"

#include "crypto/hash.h"

#include <algorithm>

namespace kled::gitops {

namespace {

constexpr std::string_view digest_prefix = "sha256:";
constexpr std::size_t digest_size = digest_prefix.size() + 64;
constexpr std::size_t list_limit = 30'000;  // of the 32'768 that a condition's message may have

}  // namespace

PendingPrune::PendingPrune(const std::vector<Change>& changes) {
    for (const auto& change : changes) {
        if (change.action == Change::Action::waiting)
            entries_.push_back({.id = change.id, .uid = change.uid});
    }
    std::ranges::sort(entries_);
}

std::string PendingPrune::digest() const {
    std::string text;
    // No name has a line break in it.
    for (const auto& [id, uid] : entries_) {
        for (const auto* part : {&id.group, &id.kind, &id.ns, &id.name, &uid}) text += *part + "\n";
    }
    return std::string{digest_prefix} + crypto::sha256_hex(text);
}

std::string PendingPrune::message() const {
    auto text = digest() + "\n" + std::to_string(size()) +
                (size() == 1 ? " object waits" : " objects wait") +
                " for an approval to be pruned:";
    std::size_t listed = 0;
    for (const auto& [id, uid] : entries_) {
        const auto line = "\n" + id.to_string();
        if (text.size() + line.size() > list_limit) break;
        text += line;
        ++listed;
    }
    if (listed < size()) text += "\n… and " + std::to_string(size() - listed) + " more";
    return text;
}

std::string pending_digest(const Conditions& conditions) {
    const auto* condition = conditions.find(prune_approval_condition);
    if (condition == nullptr || condition->status != "False" ||
        !condition->message.starts_with(digest_prefix) ||
        condition->message.size() <= digest_size || condition->message[digest_size] != '\n')
        return {};
    return condition->message.substr(0, digest_size);
}

}  // namespace kled::gitops
