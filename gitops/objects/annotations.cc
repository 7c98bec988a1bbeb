#include "gitops/objects/annotations.h"

#include "base/encoding.h"
#include "gitops/git/revision.h"

#include <algorithm>
#include <cctype>
#include <utility>

namespace kled::gitops {

bool says(const kube::Object& object, std::string_view key, std::string_view value) {
    const auto same = [&](std::string_view text) {
        return std::ranges::equal(text, value, [](unsigned char a, unsigned char b) {
            return std::tolower(a) == std::tolower(b);
        });
    };
    return same(object.label(key)) || same(object.annotation(key));
}

bool says_hands_off(const kube::Object& object) {
    return says(object, reconcile_switch, "disabled") || says(object, ssa_switch, "Ignore");
}

std::map<std::string, std::string> own_annotations_of(const kube::Object& object) {
    std::map<std::string, std::string> result;
    const auto* all = kube::find(object.fields(), {"metadata", "annotations"});
    if (all == nullptr || !all->is_object()) return result;
    for (const auto& item : all->get_object()) {
        const std::string_view key{item.key()};
        if (key.starts_with(own_annotations) && item.value().is_string())
            result.emplace(key, std::string_view{item.value().get_string()});
    }
    return result;
}

kube::json::object annotation_patch(const std::map<std::string, std::string>& annotations) {
    kube::json::object fields;
    for (const auto& [key, value] : annotations) {
        if (value.empty()) {
            fields[key] = nullptr;
        } else {
            fields[key] = value;
        }
    }
    kube::json::object metadata;
    metadata["annotations"] = std::move(fields);
    kube::json::object patch;
    patch["metadata"] = std::move(metadata);
    return patch;
}

std::string commit_in(std::string_view revision) {
    constexpr std::string_view digest = "sha256:";
    if (const auto at = revision.rfind(digest); at != std::string_view::npos) {
        revision.remove_prefix(at + digest.size());
        const auto bytes = from_hex(revision);
        return bytes && bytes->size() == 32 ? to_hex(*bytes) : std::string{};
    }
    constexpr std::string_view algorithm = "sha1:";
    if (const auto at = revision.rfind(algorithm); at != std::string_view::npos)
        revision.remove_prefix(at + algorithm.size());
    const auto commit = git::Oid::parse(revision);
    return commit ? commit->hex() : std::string{};
}

}  // namespace kled::gitops
