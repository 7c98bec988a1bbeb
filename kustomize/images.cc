#include "base/error.h"
#include "kustomize/scalar.h"
#include "kustomize/transformers.h"

#include <re2/re2.h>

#include <algorithm>
#include <memory>
#include <utility>

namespace kled::kustomize {

namespace {

struct Reference {
    std::string name;
    std::string tag;
    std::string digest;

    /// "registry:5000/app:1.0@sha256:…"; a ':' before the first '/' belongs to the registry.
    static Reference parse(const std::string& text) {
        const auto slash = text.find('/');
        const auto from = slash == std::string::npos || slash == 0 ? 0 : slash;
        const auto at = text.find('@', from);
        const auto colon = text.find(':', from);
        const auto none = std::string::npos;
        if (at == none && colon == none) return {text, "", ""};
        if (colon == none || at < colon) return {text.substr(0, at), "", text.substr(at + 1)};
        if (at == none) return {text.substr(0, colon), text.substr(colon + 1), ""};
        return {text.substr(0, colon), text.substr(colon + 1, at - colon - 1), text.substr(at + 1)};
    }

    [[nodiscard]] std::string to_string() const {
        auto text = name;
        if (!tag.empty()) text += ":" + tag;
        if (!digest.empty()) text += "@" + digest;
        return text;
    }
};

class Change {
public:
    /// A name that is no regular expression matches nothing.
    explicit Change(const Image& image) : image_{image}, pattern_{compile(image.name)} {}

    void apply(Resource& resource, std::string_view key, json::value& field) const {
        if (!is_scalar(field)) return;
        const auto text = text_of(field);
        if (!pattern_->ok() || !re2::RE2::PartialMatch(text, *pattern_)) return;
        auto reference = Reference::parse(text);
        if (!image_.new_name.empty()) reference.name = image_.new_name;
        // A new tag takes the digest away, and the other way round.
        if (!image_.new_tag.empty() || !image_.digest.empty()) {
            reference.tag = image_.new_tag;
            reference.digest = image_.digest;
        } else if (!image_.tag_suffix.empty()) {
            reference.tag += image_.tag_suffix;
            reference.digest.clear();
        }
        resource.notation.rewrite(key, field, reference.to_string());
    }

private:
    static std::unique_ptr<re2::RE2> compile(const std::string& name) {
        constexpr auto characters = "[a-zA-Z0-9_.{}-]*";
        const auto tag_and_digest = "(:" + std::string{characters} +
                                    ")?(@[a-zA-Z0-9]+([.+_-][a-zA-Z0-9]+)*:" + characters + ")?";
        return std::make_unique<re2::RE2>("^" + name + tag_and_digest + "$", re2::RE2::Quiet);
    }

    const Image& image_;
    std::unique_ptr<re2::RE2> pattern_;
};

/// Every `image` of a `containers` or `initContainers` list, wherever it stands.
void collect(json::value& value, std::vector<json::value*>& images) {
    if (auto* list = value.if_array()) {
        for (auto& element : *list) collect(element, images);
        return;
    }
    auto* map = value.if_object();
    if (map == nullptr) return;
    for (auto& field : *map) {
        collect(field.value(), images);
        if (field.key() != "containers" && field.key() != "initContainers") continue;
        auto* containers = field.value().if_array();
        if (containers == nullptr) continue;
        for (auto& container : *containers) {
            if (auto* fields = container.if_object()) {
                if (auto* image = fields->if_contains("image")) images.push_back(image);
            }
        }
    }
}

}  // namespace

void set_images(ResourceMap& resources, const std::vector<Image>& images,
                const FieldSpecs& fields) {
    if (images.empty()) return;
    std::vector<Change> changes;
    changes.reserve(images.size());
    for (const auto& image : images) changes.emplace_back(image);
    for (const auto& item : resources.items()) {
        auto& resource = *item;
        if (resource.id.gvk.kind == "CustomResourceDefinition") continue;
        std::vector<json::value*> containers;
        for (auto& field : resource.object.fields()) {
            collect(field.value(), containers);
        }
        std::vector<std::pair<std::string, json::value*>> others;
        for (const auto& spec : fields) {
            visit(resource, spec, Make::nothing,
                  [&](json::value& field) { others.emplace_back(spec.field(), &field); });
        }
        // Two entries may name one image, and a field may be found both ways: in kustomize's order.
        for (const auto& change : changes) {
            for (auto* field : containers) change.apply(resource, "image", *field);
            for (auto& [key, field] : others) change.apply(resource, key, *field);
        }
    }
}

}  // namespace kled::kustomize
