// Strategic merge as the API server does it: apimachinery pkg/util/strategicpatch.
#include "base/error.h"
#include "kube/patch.h"
#include "kube/schema.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace kled::kube {

namespace {

constexpr std::string_view patch_directive = "$patch";
constexpr std::string_view retain_keys_directive = "$retainKeys";
constexpr std::string_view set_order_prefix = "$setElementOrder/";
constexpr std::string_view delete_from_prefix = "$deleteFromPrimitiveList/";

/// Where the merge is, for messages; links live on the stack.
struct Path {
    const Path* parent = nullptr;
    std::string_view step;
    [[nodiscard]] std::string to_string() const {
        if (parent == nullptr) return std::string{step};
        const auto above = parent->to_string();
        return above.empty() ? std::string{step} : above + "." + std::string{step};
    }
};

[[noreturn]] void refuse(const Path& path, const std::string& what) {
    const auto where = path.to_string();
    throw Error{ErrorKind::invalid,
                "strategic merge patch: " + (where.empty() ? what : where + ": " + what)};
}

bool is_directive(std::string_view key) {
    return key == retain_keys_directive || key.starts_with(set_order_prefix) ||
           key.starts_with(delete_from_prefix);
}

/// A copy of what a patch brings to a place where nothing was: without nulls and directives.
/// nullopt: the value was a directive as a whole.
std::optional<json::value> clean(const json::value& value) {
    if (const auto* const object = value.if_object()) {
        if (object->contains(patch_directive)) return std::nullopt;
        json::object copy;
        copy.reserve(object->size());
        for (const auto& [key, member] : *object) {
            if (member.is_null() || is_directive(key)) continue;
            if (auto kept = clean(member)) copy.emplace(key, std::move(*kept));
        }
        return json::value(std::move(copy));
    }
    if (const auto* const array = value.if_array()) {
        json::array copy;
        copy.reserve(array->size());
        for (const auto& element : *array) {
            if (auto kept = clean(element)) copy.push_back(std::move(*kept));
        }
        return json::value(std::move(copy));
    }
    return value;
}

/// How one list is merged.
struct ListRule {
    bool merge = false;
    std::string_view key;  ///< empty: a list of scalars
    std::optional<TypeSchema> element;
};

struct FieldRule {
    ListRule list;
    bool replace_map = false;
    std::optional<TypeSchema> map;
};

FieldRule rule_of(const std::optional<TypeSchema>& type, std::string_view name) {
    if (!type) return {};
    if (type->kind() == TypeSchema::Kind::map)
        return {.list = {}, .replace_map = false, .map = type->element()};
    const auto field = type->field(name);
    if (!field) return {};
    FieldRule rule{.list = {}, .replace_map = field->patch_replace, .map = field->type};
    if (field->type.kind() == TypeSchema::Kind::list)
        rule.list = {.merge = field->patch_merge,
                     .key = field->patch_merge_key,
                     .element = field->type.element()};
    return rule;
}

/// The identity of a list element: the value of its merge key, or itself.
const json::value* identity(const json::value& element, std::string_view key) {
    if (key.empty()) return &element;
    const auto* const object = element.if_object();
    return object == nullptr ? nullptr : object->if_contains(key);
}

const json::value& identity_or_refuse(const json::value& element, std::string_view key,
                                      const Path& path) {
    if (const auto* const found = identity(element, key)) return *found;
    refuse(path, "an element lacks the merge key \"" + std::string{key} + "\"");
}

/// Finds elements of a list by identity; indexes the list once it is long. The list may grow.
class Finder {
public:
    static constexpr std::size_t none = std::numeric_limits<std::size_t>::max();

    Finder(const json::array& list, std::string_view key) : list_{list}, key_{key} {}

    /// The first element with this identity.
    [[nodiscard]] std::size_t find(const json::value& wanted) {
        if (list_.size() <= 16) {
            for (std::size_t i = 0; i < list_.size(); ++i) {
                const auto* const found = identity(list_[i], key_);
                if (found != nullptr && *found == wanted) return i;
            }
            return none;
        }
        for (; indexed_ < list_.size(); ++indexed_) {
            if (const auto* const found = identity(list_[indexed_], key_))
                index_.emplace(*found, indexed_);
        }
        const auto found = index_.find(wanted);
        return found == index_.end() ? none : found->second;
    }
    [[nodiscard]] bool contains(const json::value& wanted) { return find(wanted) != none; }

private:
    const json::array& list_;
    std::string_view key_;
    std::unordered_map<json::value, std::size_t> index_;
    std::size_t indexed_ = 0;
};

bool has_patch_directive(const json::value& element) {
    return element.is_object() && element.get_object().contains(patch_directive);
}

/// Merges elements that the patch speaks of (in the order of `patch_order`) with the server's other
/// ones (in the order of `server_order`): both orders are kept, and the server's decides between
/// the two where it knows both.
json::array in_order(json::array merged, const json::array& patch_order,
                     const json::array& server_order, std::string_view key, const Path& path) {
    struct Ranked {
        std::size_t in_patch;
        std::size_t in_server;
        json::value* value;
    };
    std::vector<Ranked> patched;
    std::vector<Ranked> others;
    Finder in_patch{patch_order, key};
    Finder in_server{server_order, key};
    for (auto& element : merged) {
        const auto& wanted = identity_or_refuse(element, key, path);
        const Ranked ranked{in_patch.find(wanted), in_server.find(wanted), &element};
        (ranked.in_patch != Finder::none ? patched : others).push_back(ranked);
    }
    std::ranges::stable_sort(patched, {}, &Ranked::in_patch);
    std::ranges::stable_sort(others, {}, &Ranked::in_server);
    json::array ordered;
    ordered.reserve(merged.size());
    auto left = others.begin();
    auto right = patched.begin();
    while (left != others.end() || right != patched.end()) {
        const bool take_left =
            right == patched.end() || (left != others.end() && right->in_server != Finder::none &&
                                       left->in_server < right->in_server);
        ordered.push_back(std::move(*(take_left ? left++ : right++)->value));
    }
    return ordered;
}

void merge_object(json::object& target, const json::object& patch,
                  const std::optional<TypeSchema>& type, const Path& path);

enum class Shape { none, scalars, objects };

/// What a list holds. All its elements and those of `other` must be of one sort.
Shape shape_of(const json::array& list, const json::array& other, const Path& path) {
    auto shape = Shape::none;
    for (const auto* const each : {&list, &other}) {
        for (const auto& element : *each) {
            if (element.is_array()) refuse(path, "a list of lists cannot be merged");
            const auto mine = element.is_object() ? Shape::objects : Shape::scalars;
            if (shape != Shape::none && shape != mine)
                refuse(path, "the lists mix objects and scalars");
            shape = mine;
        }
    }
    return shape;
}

/// `list` less what has the identity of an element of `unwanted`.
json::array without(json::array list, const json::array& unwanted, std::string_view key) {
    Finder finder{unwanted, key};
    json::array kept;
    kept.reserve(list.size());
    for (auto& element : list) {
        const auto* const found = identity(element, key);
        if (found == nullptr || !finder.contains(*found)) kept.push_back(std::move(element));
    }
    return kept;
}

json::array merge_scalars(json::array target, const json::array& patch, const Path& path) {
    json::array merged;
    Finder finder{merged, {}};
    for (const auto* const list : {static_cast<const json::array*>(&target), &patch}) {
        for (const auto& element : *list) {
            if (!finder.contains(element)) merged.push_back(element);
        }
    }
    return in_order(std::move(merged), patch, target, {}, path);
}

json::array merge_objects(json::array target, const json::array& patch, const ListRule& rule,
                          const Path& path) {
    json::array plain;  // the patch without its directives
    json::array unwanted;
    bool replace = false;
    for (const auto& element : patch) {
        const auto& object = element.get_object();
        const auto* const directive = object.if_contains(patch_directive);
        if (directive == nullptr) {
            plain.push_back(element);
        } else if (*directive == "delete") {
            identity_or_refuse(element, rule.key, path);
            unwanted.push_back(element);
        } else if (*directive == "replace") {
            replace = true;
        } else {
            refuse(path, "unknown $patch directive " + to_json(*directive));
        }
    }
    if (replace) {
        auto replaced = clean(plain);
        return in_order(std::move(replaced->get_array()), {}, plain, rule.key, path);
    }
    if (!unwanted.empty()) target = without(std::move(target), unwanted, rule.key);
    json::array server_order;  // identities only, for the elements themselves are about to change
    server_order.reserve(target.size());
    for (const auto& element : target)
        server_order.push_back(
            json::object{{rule.key, identity_or_refuse(element, rule.key, path)}});
    Finder finder{target, rule.key};
    for (const auto& element : plain) {
        const auto at = finder.find(identity_or_refuse(element, rule.key, path));
        if (at != Finder::none) {
            merge_object(target[at].get_object(), element.get_object(), rule.element, path);
        } else {
            target.push_back(std::move(*clean(element)));
        }
    }
    return in_order(std::move(target), plain, server_order, rule.key, path);
}

json::array merge_list(json::array target, const json::array& patch, const ListRule& rule,
                       const Path& path) {
    if (!rule.merge) return std::move(clean(patch)->get_array());
    switch (shape_of(target, patch, path)) {
        case Shape::none: return target;
        case Shape::scalars: return merge_scalars(std::move(target), patch, path);
        case Shape::objects: break;
    }
    if (rule.key.empty()) refuse(path, "a list of objects cannot be merged without a merge key");
    return merge_objects(std::move(target), patch, rule, path);
}

/// The live order that the API server goes by once elements are deleted: strategicpatch appends new
/// ones to the slice it has shortened, so they stand where that slice used to end.
json::array order_after_deletion(const json::array& live, const json::array& patch,
                                 std::string_view key) {
    json::array deleted;
    for (const auto& element : patch) {
        if (has_patch_directive(element) && element.get_object().at(patch_directive) == "delete")
            deleted.push_back(element);
    }
    if (deleted.empty()) return live;
    auto order = without(live, deleted, key);
    Finder kept{order, key};
    for (const auto& element : patch) {
        if (order.size() == live.size()) break;
        const auto* const wanted = identity(element, key);
        if (wanted != nullptr && !has_patch_directive(element) && !kept.contains(*wanted))
            order.push_back(element);
    }
    return order;
}

/// $setElementOrder/<name>: merges the list `name`, then orders it.
void merge_with_order(json::object& target, const json::object& patch, std::string_view name,
                      const json::value& order_value, const std::optional<TypeSchema>& type,
                      const Path& path) {
    const Path here{&path, name};
    const auto rule = rule_of(type, name).list;
    const auto* const order = order_value.if_array();
    if (order == nullptr) refuse(here, "$setElementOrder is not a list");
    static const json::array nothing;
    const auto list_of = [&](const json::object& object) -> const json::array* {
        const auto* const value = object.if_contains(name);
        if (value == nullptr) return nullptr;
        if (!value->is_array()) refuse(here, "$setElementOrder of something that is not a list");
        return &value->get_array();
    };
    const auto* const live = list_of(target);
    const auto* const patched = list_of(patch);
    if (live == nullptr && patched == nullptr) return;

    // The patch's elements must be a subsequence of the order.
    if (patched != nullptr && !order->empty()) {
        std::size_t next = 0;
        for (const auto& element : *patched) {
            if (has_patch_directive(element)) continue;
            const auto& wanted = identity_or_refuse(element, rule.key, here);
            while (next < order->size() &&
                   identity_or_refuse((*order)[next], rule.key, here) != wanted)
                ++next;
            if (next++ >= order->size())
                refuse(here, "the order in the patch does not match its $setElementOrder");
        }
    }
    const json::array before = live == nullptr ? nothing : *live;
    json::array merged = live == nullptr      ? std::move(clean(*patched)->get_array())
                         : patched == nullptr ? before
                                              : merge_list(before, *patched, rule, here);
    const bool keyed = live != nullptr && patched != nullptr && rule.merge && !rule.key.empty();
    target[name] =
        in_order(std::move(merged), *order,
                 keyed ? order_after_deletion(before, *patched, rule.key) : before, rule.key, here);
}

void retain_keys(json::object& target, const json::object& patch, const json::value& directive,
                 const Path& path) {
    const auto* const keys = directive.if_array();
    if (keys == nullptr) refuse(path, "$retainKeys is not a list");
    const auto listed = [&](std::string_view key) {
        return std::ranges::any_of(*keys, [&](const json::value& each) {
            return each.is_string() && each.get_string() == key;
        });
    };
    for (const auto& [key, value] : patch) {
        if (!value.is_null() && !is_directive(key) && !listed(key))
            refuse(path, "\"" + std::string{key} + "\" is not in $retainKeys");
    }
    std::vector<std::string> unwanted;
    for (const auto& [key, value] : target) {
        if (!listed(key)) unwanted.emplace_back(key);
    }
    for (const auto& key : unwanted) target.stable_erase(target.find(key));
}

void erase(json::object& object, std::string_view key) {
    if (const auto found = object.find(key); found != object.end()) object.stable_erase(found);
}

/// One member of a patch, directives apart.
void merge_member(json::object& target, std::string_view key, const json::value& value,
                  const std::optional<TypeSchema>& type, const Path& path) {
    if (value.is_null()) return erase(target, key);
    auto* const live = target.if_contains(key);
    const Path here{&path, key};
    if (live != nullptr && live->is_object() && value.is_object()) {
        const auto rule = rule_of(type, key);
        if (!rule.replace_map)
            return merge_object(live->get_object(), value.get_object(), rule.map, here);
    } else if (live != nullptr && live->is_array() && value.is_array()) {
        *live = merge_list(std::move(live->get_array()), value.get_array(), rule_of(type, key).list,
                           here);
        return;
    }
    auto kept = clean(value);
    if (!kept) return erase(target, key);
    target[key] = std::move(*kept);
}

void delete_from_list(json::object& target, std::string_view name, const json::value& unwanted,
                      const Path& path) {
    const Path here{&path, name};
    if (!unwanted.is_array()) refuse(here, "$deleteFromPrimitiveList is not a list");
    auto* const live = target.if_contains(name);
    if (live == nullptr || !live->is_array()) return;
    if (shape_of(live->get_array(), unwanted.get_array(), here) == Shape::objects)
        refuse(here, "$deleteFromPrimitiveList of a list of objects");
    *live = without(std::move(live->get_array()), unwanted.get_array(), {});
}

void merge_object(json::object& target, const json::object& patch,
                  const std::optional<TypeSchema>& type, const Path& path) {
    if (const auto* const directive = patch.if_contains(patch_directive)) {
        if (*directive == "delete") {
            target.clear();
        } else if (*directive == "replace") {
            auto rest = patch;
            erase(rest, patch_directive);
            target = std::move(clean(rest)->get_object());
        } else {
            refuse(path, "unknown $patch directive " + to_json(*directive));
        }
        return;
    }
    if (const auto* const keys = patch.if_contains(retain_keys_directive))
        retain_keys(target, patch, *keys, path);
    std::vector<std::string_view> ordered;  // lists that $setElementOrder has dealt with
    for (const auto& [key, value] : patch) {
        const std::string_view name = key;
        if (!name.starts_with(set_order_prefix)) continue;
        ordered.push_back(name.substr(set_order_prefix.size()));
        merge_with_order(target, patch, ordered.back(), value, type, path);
    }
    for (const auto& [key, value] : patch) {
        const std::string_view name = key;
        if (name.starts_with(delete_from_prefix)) {
            delete_from_list(target, name.substr(delete_from_prefix.size()), value, path);
        } else if (!is_directive(name) && std::ranges::find(ordered, name) == ordered.end()) {
            merge_member(target, name, value, type, path);
        }
    }
}

}  // namespace

void apply_strategic_merge_patch(json::value& target, const json::value& patch,
                                 const GroupVersionKind& kind) {
    const Path root;
    if (!patch.is_object()) refuse(root, "not an object");
    if (!target.is_object()) refuse(root, "the patched value is not an object");
    merge_object(target.get_object(), patch.get_object(), schema_of(kind), root);
}

}  // namespace kled::kube
