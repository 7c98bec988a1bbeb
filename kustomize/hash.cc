#include "crypto/hash.h"

#include "kustomize/go_json.h"
#include "kustomize/scalar.h"
#include "kustomize/transformers.h"

namespace kled::kustomize {

namespace {

json::value field_or_empty_text(const json::object& object, std::string_view name) {
    const auto* value = object.if_contains(name);
    if (value == nullptr || value->is_null()) return json::value("");
    if (value->is_object()) return *value;
    return json::value(text_of(*value));
}

}  // namespace

std::string content_hash(const Resource& resource) {
    const auto& object = resource.object.fields();
    const auto kind = resource.id.gvk.kind;
    json::value content;
    if (kind == "ConfigMap" || kind == "Secret") {
        // kustomize looks for the name at a wrong path: it is always empty.
        json::object parts{
            {"data", field_or_empty_text(object, "data")}, {"kind", kind}, {"name", ""}};
        const auto* more = kind == "Secret" ? "stringData" : "binaryData";
        if (kind == "Secret") parts["type"] = field_or_empty_text(object, "type");
        if (const auto* value = object.if_contains(more); value != nullptr && value->is_object())
            parts[more] = *value;
        content = std::move(parts);
    } else {
        content = object;
    }
    if (!resource.notation.folded.empty()) refold(content, {}, resource.notation.folded);
    auto hash = crypto::sha256_hex(go_json(content)).substr(0, 10);
    // Ten characters without vowels and without digits that look like letters.
    for (auto& c : hash) {
        switch (c) {
            case '0': c = 'g'; break;
            case '1': c = 'h'; break;
            case '3': c = 'k'; break;
            case 'a': c = 'm'; break;
            case 'e': c = 't'; break;
            default: break;
        }
    }
    return hash;
}

void add_hashes(ResourceMap& resources) {
    for (const auto& item : resources.items()) {
        if (!item->needs_hash) continue;
        item->store_previous_id();
        item->set_name(item->id.name + "-" + content_hash(*item));
        resources.changed(*item);
    }
}

}  // namespace kled::kustomize
