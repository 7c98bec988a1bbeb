#include "kustomize/selector.h"

#include "base/error.h"

#include <re2/re2.h>

namespace kled::kustomize {

Pattern::Pattern(const std::string& expression)
    : expression_{expression},
      literal_{expression.find_first_of("\\.+*?()|[]{}^$") == std::string::npos} {
    if (literal_) return;
    compiled_ = std::make_unique<re2::RE2>(expression, re2::RE2::Quiet);
    if (!compiled_->ok()) {
        throw Error{ErrorKind::invalid,
                    "`" + expression + "` is no regular expression: " + compiled_->error()};
    }
}

Pattern::~Pattern() = default;
Pattern::Pattern(Pattern&&) noexcept = default;

bool Pattern::matches(std::string_view text) const {
    if (expression_.empty()) return true;
    if (literal_) return text == expression_;
    return re2::RE2::FullMatch(re2::StringPiece{text.data(), text.size()}, *compiled_);
}

Matcher::Matcher(const Selector& selector)
    : group_{selector.gvk.group},
      version_{selector.gvk.version},
      kind_{selector.gvk.kind},
      name_{selector.name},
      ns_{selector.ns},
      labels_{kube::LabelSelector::parse(selector.labels)},
      annotations_{kube::LabelSelector::parse(selector.annotations)} {}

bool Matcher::matches_gvk(const Gvk& gvk) const {
    return kind_.matches(gvk.kind) && group_.matches(gvk.group) && version_.matches(gvk.version);
}

bool Matcher::matches_id(const Id& id) const {
    return matches_gvk(id.gvk) && matches_name(id.name) && matches_namespace(id.ns);
}

bool Matcher::has_id() const noexcept {
    return !(group_.any() && version_.any() && kind_.any() && name_.any() && ns_.any());
}

bool Matcher::matches_labels(const Resource& resource) const {
    if (!labels_.empty() && !labels_.matches(resource.object)) return false;
    if (annotations_.empty()) return true;
    // One language for both: annotations in the place of labels.
    const auto* annotations = resource.metadata_map("annotations");
    json::object stand_in;
    if (annotations != nullptr) stand_in["metadata"] = json::object{{"labels", *annotations}};
    return annotations_.matches(kube::Object{std::move(stand_in)});
}

ResourceMap::Hits Matcher::select(const ResourceMap& resources) const {
    ResourceMap::Hits hits;
    const auto consider = [&](Resource& resource) {
        if (resource.removed || !matches_gvk(resource.id.gvk)) return;
        const auto original = resource.original_id();
        const bool ns = ns_.matches(original.effective_namespace()) ||
                        ns_.matches(resource.id.effective_namespace());
        const bool name = name_.matches(original.name) || name_.matches(resource.id.name);
        if (ns && name && matches_labels(resource)) hits.push_back(&resource);
    };
    if (name_.literal() && !name_.any()) {
        for (auto* resource : resources.named(name_.expression())) consider(*resource);
    } else {
        for (const auto& item : resources.items()) consider(*item);
    }
    return hits;
}

}  // namespace kled::kustomize
