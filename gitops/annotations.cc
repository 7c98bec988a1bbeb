#include "gitops/annotations.h"

#include "gitops/git/revision.h"

namespace kled::gitops {

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

std::string commit_in(std::string_view revision) {
    constexpr std::string_view algorithm = "sha1:";
    if (const auto at = revision.rfind(algorithm); at != std::string_view::npos)
        revision.remove_prefix(at + algorithm.size());
    const auto commit = git::Oid::parse(revision);
    return commit ? commit->hex() : std::string{};
}

}  // namespace kled::gitops
