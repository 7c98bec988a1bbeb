#include "kustomize/go_json.h"

#include "kube/object.h"

#include <algorithm>
#include <cstddef>
#include <vector>

namespace kled::kustomize {

namespace {

void write_pretty(std::string& out, const json::value& value, const std::string& indent) {
    const auto deeper = indent + "  ";
    const auto* object = value.if_object();
    const auto* array = value.if_array();
    if ((object == nullptr || object->empty()) && (array == nullptr || array->empty())) {
        out += go_json(value);
        return;
    }
    out += object != nullptr ? "{\n" : "[\n";
    bool first = true;
    const auto separate = [&] {
        if (!first) out += ",\n";
        first = false;
        out += deeper;
    };
    if (object != nullptr) {
        std::vector<const json::key_value_pair*> fields;
        for (const auto& field : *object) fields.push_back(&field);
        std::sort(fields.begin(), fields.end(),
                  [](const auto* a, const auto* b) { return a->key() < b->key(); });
        for (const auto* field : fields) {
            separate();
            out += go_json(json::value(field->key())) + ": ";
            write_pretty(out, field->value(), deeper);
        }
    } else {
        for (const auto& element : *array) {
            separate();
            write_pretty(out, element, deeper);
        }
    }
    out += "\n" + indent + (object != nullptr ? "}" : "]");
}

}  // namespace

std::string go_json(const json::value& value) {
    const auto canonical = kube::to_canonical_json(value);
    std::string out;
    out.reserve(canonical.size());
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
    return out;
}

std::string go_json_indented(const json::value& value) {
    std::string out;
    write_pretty(out, value, {});
    return out;
}

}  // namespace kled::kustomize
