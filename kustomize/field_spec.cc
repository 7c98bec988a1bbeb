#include "kustomize/field_spec.h"

#include "base/error.h"
#include "kustomize/order.h"
#include "kustomize/scalar.h"

#include <algorithm>
#include <span>

namespace kled::kustomize {

void FieldSpecs::add(const FieldSpec& spec) {
    for (const auto& there : specs_) {
        if (there.path != spec.path || !selects(spec.gvk, there.gvk)) continue;
        if (there.create == spec.create) return;
        throw Error{ErrorKind::invalid, "field " + spec.path + ": `create` is both true and false"};
    }
    specs_.push_back(spec);
}

void FieldSpecs::add_all(const FieldSpecs& specs) {
    for (const auto& spec : specs) add(spec);
}

void FieldSpecs::sort() {
    std::stable_sort(specs_.begin(), specs_.end(), [](const FieldSpec& a, const FieldSpec& b) {
        return legacy_less(a.gvk, b.gvk);
    });
}

std::vector<std::string> split_path(std::string_view path, char separator) {
    std::vector<std::string> parts;
    if (path.size() > 1 && path.front() == separator) path.remove_prefix(1);
    bool continued = false;
    for (;;) {
        const auto end = std::min(path.find(separator), path.size());
        const auto part = path.substr(0, end);
        if (continued) {
            parts.back().back() = separator;  // in place of the backslash
            parts.back() += part;
        } else {
            parts.emplace_back(part);
        }
        if (end == path.size()) return parts;
        continued = parts.back().ends_with('\\');
        path.remove_prefix(end + 1);
    }
}

namespace {

struct Walk {
    const FieldSpec& spec;
    Make make;
    const std::function<void(json::value&)>& change;

    void operator()(json::value& value, std::span<const std::string> path) const {
        if (path.empty()) {
            change(value);
        } else if (auto* list = value.if_array()) {
            for (auto& element : *list) (*this)(element, path);
        } else if (auto* map = value.if_object()) {
            step(*map, path);
        } else if (!value.is_null()) {
            throw Error{ErrorKind::invalid, "field " + spec.path + ": expected a map or a list before " +
                                                path.front() + ", found " +
                                                std::string{type_name(value)}};
        }
    }

    void step(json::object& map, std::span<const std::string> path) const {
        std::string_view name = path.front();
        const bool is_list = name.ends_with("[]");
        if (is_list) name.remove_suffix(2);
        if (name.empty()) {
            throw Error{ErrorKind::invalid, "field " + spec.path + ": a part of the path is empty"};
        }
        const bool creates = spec.create && make != Make::nothing && !is_list;
        auto* field = map.if_contains(name);
        if (field == nullptr) {
            if (!creates) return;
            field = &map[name];
        }
        if (field->is_null()) {
            // Written out as null or just made: it becomes what the path needs.
            if (is_list) {
                field->emplace_array();
            } else if (creates && (path.size() > 1 || make == Make::map)) {
                field->emplace_object();
            } else if (creates) {
                field->emplace_string();
            }
        }
        (*this)(*field, path.subspan(1));
    }
};

}  // namespace

void visit(Resource& resource, const FieldSpec& spec, Make make,
           const std::function<void(json::value&)>& change) {
    if (!selects(spec.gvk, resource.id.gvk)) return;
    const auto parts = split_path(spec.path, '/');
    // The root is a map, so the first step needs no json::value around it.
    try {
        Walk{spec, make, change}.step(resource.object.fields(), parts);
    } catch (const Error& error) {
        throw error.within(resource.describe());
    }
}

}  // namespace kled::kustomize
