#include "kustomize/field_path.h"

#include "base/error.h"
#include "kube/yaml.h"
#include "kustomize/field_spec.h"
#include "kustomize/scalar.h"

#include <re2/re2.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <utility>

namespace kled::kustomize {

namespace {

using Path = std::span<const std::string>;

[[noreturn]] void fail(const std::string& what) { throw Error{ErrorKind::invalid, what}; }

std::optional<std::size_t> index_of(std::string_view part) {
    if (part.empty() || part.size() > 9 || part.find_first_not_of("0123456789") != part.npos)
        return std::nullopt;
    return std::stoul(std::string{part});
}

bool is_element(std::string_view part) { return part.starts_with('[') && part.ends_with(']'); }

struct KeyValue {
    std::string key;
    std::string value;
};

/// "[name=web]"; an empty key means the element itself.
KeyValue parse_element(std::string_view part) {
    const auto inside = part.substr(1, part.size() - 2);
    const auto equals = inside.find('=');
    if (equals == inside.npos) fail("`" + std::string{part} + "`: expected [key=value]");
    return {std::string{inside.substr(0, equals)}, std::string{inside.substr(equals + 1)}};
}

json::array* elements_of(json::value& value, std::string_view part) {
    if (value.is_null()) return nullptr;
    if (!value.is_array())
        fail("`" + std::string{part} + "`: expected a list, found a " +
             std::string{type_name(value)});
    return &value.get_array();
}

json::value* find_element(json::value& value, std::string_view part) {
    auto* list = elements_of(value, part);
    if (list == nullptr) return nullptr;
    const auto wanted = parse_element(part);
    for (auto& element : *list) {
        if (wanted.key.empty()) {
            if (text_equals(element, wanted.value)) return &element;
            continue;
        }
        auto* map = element.if_object();
        const auto* field = map == nullptr ? nullptr : map->if_contains(wanted.key);
        if (field != nullptr && text_equals(*field, wanted.value)) return &element;
    }
    return nullptr;
}

json::value* find_field(json::value& value, std::string_view part) {
    if (value.is_null()) return nullptr;
    auto* map = value.if_object();
    if (map == nullptr)
        fail("`" + std::string{part} + "`: expected a map, found a " +
             std::string{type_name(value)});
    return map->if_contains(part);
}

/// One step of look_up; one that is blank goes nowhere.
json::value* step_into(json::value& value, std::string_view step) {
    const auto first = step.find_first_not_of(" \t");
    if (first == step.npos) return &value;
    const auto part = step.substr(first, step.find_last_not_of(" \t") - first + 1);
    if (const auto index = index_of(part)) {
        auto* list = elements_of(value, part);
        return list != nullptr && *index < list->size() ? &(*list)[*index] : nullptr;
    }
    if (part == "-") {
        auto* list = elements_of(value, part);
        return list != nullptr && !list->empty() ? &list->back() : nullptr;
    }
    if (part == "*") fail("`*` is not possible here");
    return is_element(part) ? find_element(value, part) : find_field(value, part);
}

class Matches {
public:
    Matches(Create create, const Notation& notation) : create_{create}, notation_{notation} {}

    void walk(json::value& value, Path path, std::string_view field = {}, bool made = false) {
        if (path.empty()) {
            found.push_back({&value, field, made});
        } else if (const auto index = index_of(path[0])) {
            walk_index(value, *index, path);
        } else if (is_element(path[0])) {
            walk_elements(value, path);
        } else if (path[0] == "*") {
            if (auto* list = elements_of(value, path[0])) {
                for (auto& element : *list) walk(element, path.subspan(1));
            }
        } else {
            walk_field(value, path, field);
        }
    }

    std::vector<Place> found;

private:
    /// What has to stand at the end of `path`, or before its next part.
    [[nodiscard]] json::value made_for(Path path) const {
        if (path.empty()) {
            if (create_ == Create::map) return json::object{};
            if (create_ == Create::list) return json::array{};
            return nullptr;
        }
        if (is_element(path[0]) || index_of(path[0])) return json::array{};
        return json::object{};
    }

    void walk_field(json::value& value, Path path, std::string_view name) {
        const auto rest = path.subspan(1);
        if (value.is_null() && create_ != Create::nothing) {
            if (notation_.is_nothing(name))
                fail("`" + path[0] + "`: expected a map, found nothing");
            found.push_back({});
            return;
        }
        auto* field = find_field(value, path[0]);
        const bool made = field == nullptr;
        if (made) {
            if (create_ == Create::nothing) return;
            field = &(value.get_object()[path[0]] = made_for(rest));
        }
        if (is_scalar(*field) && !rest.empty()) {
            // A document inside text: kustomize changes a copy of it.
            auto document = kube::parse_yaml(text_of(*field));
            if (document.is_null()) fail("`" + rest[0] + "`: expected a map, found no text");
            const auto count = match(document, {rest.begin(), rest.end()}, create_).size();
            found.resize(found.size() + count);
            return;
        }
        walk(*field, rest, path[0], made);
    }

    void walk_index(json::value& value, std::size_t index, Path path) {
        auto* list = elements_of(value, path[0]);
        const auto size = list == nullptr ? 0 : list->size();
        const bool makes = list != nullptr && index == size && create_ != Create::nothing;
        if (makes) list->push_back(made_for(path.subspan(1)));
        if (list == nullptr || index >= list->size()) {
            fail("index " + path[0] + " of a list of " + std::to_string(size));
        }
        walk((*list)[index], path.subspan(1), {}, makes);
    }

    /// "[name=web-.*]", which one path meets in many lists.
    struct Wanted {
        explicit Wanted(KeyValue element)
            : key{std::move(element.key)},
              value{std::move(element.value)},
              pattern{value, re2::RE2::Quiet} {
            if (!pattern.ok()) fail("`" + value + "` is no regular expression: " + pattern.error());
        }
        std::string key;
        std::string value;
        re2::RE2 pattern;
    };

    const Wanted& wanted_by(const std::string& part) {
        auto& wanted = wanted_[&part];
        if (wanted == nullptr) wanted = std::make_unique<Wanted>(parse_element(part));
        return *wanted;
    }

    void walk_elements(json::value& value, Path path) {
        auto* list = elements_of(value, path[0]);
        if (list == nullptr) return;
        const auto& wanted = wanted_by(path[0]);
        const auto& pattern = wanted.pattern;
        const auto before = found.size();
        const auto visit_all = [&] {
            for (auto& element : *list) {
                if (wanted.key.empty()) {
                    if (re2::RE2::PartialMatch(text_of(element), pattern))
                        found.push_back({&element, {}, false});
                    continue;
                }
                auto* map = element.if_object();
                const auto* field = map == nullptr ? nullptr : map->if_contains(wanted.key);
                if (field != nullptr && re2::RE2::PartialMatch(text_of(*field), pattern))
                    walk(element, path.subspan(1));
            }
        };
        visit_all();
        if (create_ == Create::nothing || found.size() > before) return;
        if (wanted.key.empty()) {
            list->push_back(plain(wanted.value));
        } else {
            list->push_back(json::object{{wanted.key, plain(wanted.value)}});
        }
        visit_all();
    }

    Create create_;
    const Notation& notation_;
    std::map<const std::string*, std::unique_ptr<Wanted>> wanted_;  ///< by the part of the path
};

}  // namespace

FieldPath parse_field_path(std::string_view path) {
    FieldPath parts;
    const auto split = split_path(path, '.');
    for (std::size_t i = 0; i < split.size(); ++i) {
        if (!split[i].starts_with('[') || split[i].ends_with(']')) {
            parts.push_back(split[i]);
            continue;
        }
        // A bracket holds its dots.
        auto bracketed = split[i];
        while (i + 1 < split.size()) {
            bracketed += "." + split[++i];
            if (split[i].ends_with(']')) break;
        }
        if (bracketed.find('=') == std::string::npos) {
            const auto first = bracketed.find_first_not_of("[]");
            bracketed = first == std::string::npos
                            ? std::string{}
                            : bracketed.substr(first, bracketed.find_last_not_of("[]") - first + 1);
        }
        parts.push_back(std::move(bracketed));
    }
    constexpr std::size_t longest = 256;
    if (parts.size() > longest)
        throw Error{ErrorKind::exhausted,
                    "a path of more than " + std::to_string(longest) + " parts"};
    return parts;
}

std::string_view field_name(const FieldPath& path) {
    if (path.empty()) return {};
    const std::string_view last = path.back();
    return index_of(last) || is_element(last) || last == "-" ? std::string_view{} : last;
}

json::value* look_up(json::value& root, const FieldPath& path) {
    auto* value = &root;
    for (const auto& step : path) {
        value = step_into(*value, step);
        if (value == nullptr) return nullptr;
    }
    return value;
}

const json::value* look_up(const json::value& root, const FieldPath& path) {
    return look_up(const_cast<json::value&>(root), path);  // the walk itself changes nothing
}

std::vector<const json::value*> way_to(const json::value& root, const FieldPath& path) {
    std::vector<const json::value*> way{&root};
    for (const auto& step : path) {
        const auto* value = step_into(const_cast<json::value&>(*way.back()), step);
        if (value == nullptr) return {};
        way.push_back(value);
    }
    return way;
}

std::vector<Place> match(json::value& root, const FieldPath& path, Create create,
                         const Notation& notation) {
    Matches matches{create, notation};
    matches.walk(root, path);
    return std::move(matches.found);
}

}  // namespace kled::kustomize
