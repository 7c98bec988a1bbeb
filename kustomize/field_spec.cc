#include "kustomize/field_spec.h"

#include "base/error.h"
#include "kube/pointer.h"
#include "kustomize/order.h"
#include "kustomize/scalar.h"

#include <algorithm>

namespace kled::kustomize {

std::string FieldSpec::field() const {
    auto name = split_path(path, '/').back();
    if (name.ends_with("[]")) name.resize(name.size() - 2);
    return name;
}

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

/// The first part of a path, and what follows it.
struct Step {
    std::string_view part;
    std::string_view rest;
    std::string unescaped = {};  ///< holds `part` when the path had a "\/" in it

    explicit Step(std::string_view path) {
        auto slash = std::min(path.find('/'), path.size());
        while (slash < path.size() && slash > 0 && path[slash - 1] == '\\') {
            slash = std::min(path.find('/', slash + 1), path.size());
        }
        part = path.substr(0, slash);
        rest = path.substr(std::min(slash + 1, path.size()));
        if (part.find("\\/") == part.npos) return;
        for (std::size_t i = 0; i < part.size(); ++i) {
            if (part.substr(i, 2) != "\\/") unescaped += part[i];
        }
        part = unescaped;
    }
    Step(const Step&) = delete;
    Step& operator=(const Step&) = delete;
};

struct Walk {
    const FieldSpec& spec;
    Make make;
    const std::function<void(json::value&, const std::string&)>& change;
    std::string place = {};  ///< the pointer of the value at hand

    void operator()(json::value& value, std::string_view path) {
        if (path.empty()) {
            change(value, place);
        } else if (auto* list = value.if_array()) {
            const auto length = place.size();
            for (std::size_t i = 0; i < list->size(); ++i) {
                place += "/" + std::to_string(i);
                (*this)((*list)[i], path);
                place.resize(length);
            }
        } else if (auto* map = value.if_object()) {
            step(*map, path);
        } else if (!value.is_null()) {
            fail("expected a map or a list before `" + std::string{path} + "`, found a " +
                 std::string{type_name(value)});
        }
    }

    void step(json::object& map, std::string_view path) {
        const Step step{path};
        auto name = step.part;
        const bool is_list = name.ends_with("[]");
        if (is_list) name.remove_suffix(2);
        if (name.empty()) fail("a part of the path is empty");
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
            } else if (creates && (!step.rest.empty() || make == Make::map)) {
                field->emplace_object();
            } else if (creates) {
                field->emplace_string();
            }
        }
        const auto length = place.size();
        kube::append_step(place, name);
        (*this)(*field, step.rest);
        place.resize(length);
    }

    [[noreturn]] void fail(const std::string& what) const {
        throw Error{ErrorKind::invalid, "field " + spec.path + ": " + what};
    }
};

}  // namespace

void visit(Resource& resource, const FieldSpec& spec, Make make,
           const std::function<void(json::value&)>& change) {
    visit_places(resource, spec, make,
                 [&](json::value& value, const std::string&) { change(value); });
}

void visit_places(Resource& resource, const FieldSpec& spec, Make make,
                  const std::function<void(json::value&, const std::string&)>& change) {
    if (!selects(spec.gvk, resource.id.gvk)) return;
    auto path = std::string_view{spec.path};
    if (path.starts_with('/')) path.remove_prefix(1);
    constexpr std::ptrdiff_t longest = 256;
    if (std::count(path.begin(), path.end(), '/') > longest) {
        throw Error{ErrorKind::exhausted,
                    "a field's path of more than " + std::to_string(longest) + " parts"};
    }
    try {
        Walk{spec, make, change}.step(resource.object.fields(), path);
    } catch (const Error& error) {
        throw error.within(resource.describe());
    }
}

}  // namespace kled::kustomize
