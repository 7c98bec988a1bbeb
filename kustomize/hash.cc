#include "crypto/hash.h"

#include "kustomize/scalar.h"
#include "kustomize/transformers.h"

namespace kled::kustomize {

namespace {

/// As Go's encoding/json writes it: keys sorted, and <, >, & and the line separators escaped.
void write_go_json(std::string& out, const json::value& value) {
    const auto canonical = kube::to_canonical_json(value);
    for (std::size_t i = 0; i < canonical.size(); ++i) {
        const auto c = canonical[i];
        if (c == '<') {
            out += "\\u003c";
        } else if (c == '>') {
            out += "\\u003e";
        } else if (c == '&') {
            out += "\\u0026";
        } else if (canonical.compare(i, 3, "\xE2\x80\xA8") == 0 ||
                   canonical.compare(i, 3, "\xE2\x80\xA9") == 0) {
            out += canonical[i + 2] == '\xA8' ? "\\u2028" : "\\u2029";
            i += 2;
        } else {
            out += c;
        }
    }
}

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
    std::string text;
    write_go_json(text, content);
    auto hash = crypto::sha256_hex(text).substr(0, 10);
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
