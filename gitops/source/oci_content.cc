#include "gitops/source/oci_content.h"

#include "base/error.h"

namespace kled::gitops {

namespace {

constexpr std::size_t json_depth = 8;

}  // namespace

std::string Pulled::to_memo() const {
    kube::json::object all;
    std::size_t bytes = 0;
    for (const auto& [key, value] : annotations) {
        all[key] = value;
        bytes += key.size() + value.size();
    }
    if (bytes > annotations_limit) {
        throw Error{ErrorKind::exhausted, "the manifest's annotations have more than " +
                                              std::to_string(annotations_limit) + " bytes"};
    }
    kube::json::object memo;
    memo["annotations"] = std::move(all);
    memo["layerSelector"] = layer.to_json();
    memo["url"] = url;
    if (!verified.empty()) memo["verified"] = verified;
    if (!unusable.empty()) memo["unusable"] = unusable;
    return kube::to_json(kube::json::value(std::move(memo)));
}

std::optional<Pulled> Pulled::from_memo(std::string_view memo) {
    kube::json::value value;
    try {
        value = kube::parse_json(memo, json_depth);
    } catch (const Error&) {
        return std::nullopt;
    }
    if (!value.is_object()) return std::nullopt;
    const auto& fields = value.get_object();
    const auto* annotations = fields.if_contains("annotations");
    const auto* layer = fields.if_contains("layerSelector");
    if (annotations == nullptr || !annotations->is_object() || layer == nullptr ||
        !layer->is_object())
        return std::nullopt;
    Pulled result;
    result.url = kube::find_string(fields, {"url"});
    result.verified = kube::find_string(fields, {"verified"});
    result.unusable = kube::find_string(fields, {"unusable"});
    result.layer = {
        .media_type = std::string{kube::find_string(layer->get_object(), {"mediaType"})},
        .copy = kube::find_string(layer->get_object(), {"operation"}) == "copy"};
    for (const auto& item : annotations->get_object()) {
        if (item.value().is_string())
            result.annotations.emplace(item.key(), item.value().get_string());
    }
    return result;
}

git::Revision Pulled::shape(git::Revision revision, const std::string& ignore) const {
    revision.whole = layer.copy;
    revision.unusable = unusable;
    revision.ignore = layer.copy ? std::string{} : ignore;
    return revision;
}

bool OciMemory::take(git::Imported::Kept kept, const std::string& ignore) {
    auto its = Pulled::from_memo(kept.memo);
    if (!its) return false;
    pulled = std::move(*its);
    revision = pulled.shape(std::move(kept.revision), ignore);
    return true;
}

std::string artifact_revision(const std::string& tag, const std::string& digest) {
    return tag.empty() ? digest : tag + "@" + digest;
}

bool is_revision_of(std::string_view revision, std::string_view digest) {
    return revision.ends_with(digest) && (revision.size() == digest.size() ||
                                          revision[revision.size() - digest.size() - 1] == '@');
}

}  // namespace kled::gitops
