#include "kube/structured_merge.h"

#include "base/error.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace kled::kube {

namespace {

using Shape = StructuralSchema::Shape;

const json::array* array_of(const json::value* value) noexcept {
    return value == nullptr ? nullptr : value->if_array();
}
const json::object* object_of(const json::value* value) noexcept {
    return value == nullptr ? nullptr : value->if_object();
}

const json::array& elements_of(const json::array* array) noexcept {
    static const json::array nothing;
    return array == nullptr ? nothing : *array;
}

template <class Container>
bool is_empty(const Container* container) noexcept {
    return container == nullptr || container->empty();
}

/// A member that mostly stands at the same place as in another version of its object.
const json::value* member_near(const json::object& object, std::size_t place,
                               std::string_view key) noexcept {
    if (place < object.size()) {
        const auto& there = *(object.begin() + static_cast<std::ptrdiff_t>(place));
        if (there.key() == key) return &there.value();
    }
    return object.if_contains(key);
}

bool same(const json::value& a, const json::value& b) noexcept {
    if (const auto* const left = a.if_object()) {
        const auto* const right = b.if_object();
        return right != nullptr && same_fields(*left, *right);
    }
    if (const auto* const left = a.if_array()) {
        const auto* const right = b.if_array();
        return right != nullptr && std::ranges::equal(*left, *right, same);
    }
    return a == b;
}

/// The type of a member: what a live object has beyond its schema is merged by its form.
StructuralSchema::Field field_or_deduced(const StructuralSchema& type, std::string_view name) {
    auto field = type.field(name);
    return field ? *field : StructuralSchema::Field{.type = StructuralSchema::deduced()};
}

/// What tells an element of a merged list apart. On failure `why` says what is wrong with it.
std::optional<PathElement> identify(const StructuralSchema& list, const json::value& element,
                                    std::string& why) {
    if (list.key_count() == 0) {
        if (element.is_object() || element.is_array()) why = "a set may only have scalars";
        if (element.is_null()) why = "a set may not have a null";
        if (!why.empty()) return std::nullopt;
        return PathElement{PathElement::Kind::value, to_json(element)};
    }
    const auto* const object = element.if_object();
    if (object == nullptr) {
        why = "an element of a list with keys is not an object";
        return std::nullopt;
    }
    std::vector<std::pair<std::string_view, std::string>> keys;
    keys.reserve(list.key_count());
    for (std::size_t i = 0; i < list.key_count(); ++i) {
        const auto name = list.key(i);
        if (const auto* const value = object->if_contains(name)) {
            keys.emplace_back(name, to_json(*value));
        } else if (const auto implied = list.element().default_of(name)) {
            keys.emplace_back(name, to_json(*implied));
        }
    }
    if (keys.empty()) {
        why = "an element of a list with keys has none of them (\"" + std::string{list.key(0)} +
              "\")";
        return std::nullopt;
    }
    std::ranges::sort(keys);
    std::string text = "{";
    for (const auto& [name, value] : keys) {
        if (text.size() > 1) text += ',';
        text.append("\"").append(name).append("\":").append(value);
    }
    return PathElement{PathElement::Kind::key, text += '}'};
}

/// Elements of a list by their identity, in their first order; hashed once there are many.
template <class Item>
class ItemIndex {
public:
    static constexpr std::size_t none = std::numeric_limits<std::size_t>::max();

    [[nodiscard]] std::size_t find(const std::string& text) const {
        if (items_.size() > linear) {
            const auto found = index_.find(text);
            return found == index_.end() ? none : found->second;
        }
        const auto found = std::ranges::find_if(
            items_, [&](const Item& item) { return item.element.text == text; });
        return found == items_.end() ? none : static_cast<std::size_t>(found - items_.begin());
    }
    /// The item of this identity, made when there is none.
    Item& at(PathElement element) {
        if (const auto found = find(element.text); found != none) return items_[found];
        Item item{};
        item.element = std::move(element);
        items_.push_back(std::move(item));
        if (items_.size() == linear + 1) {
            for (std::size_t i = 0; i < items_.size(); ++i)
                index_.emplace(items_[i].element.text, i);
        } else if (items_.size() > linear) {
            index_.emplace(items_.back().element.text, items_.size() - 1);
        }
        return items_.back();
    }
    [[nodiscard]] std::vector<Item>& items() noexcept { return items_; }
    [[nodiscard]] const std::vector<Item>& items() const noexcept { return items_; }

private:
    static constexpr std::size_t linear = 12;
    std::vector<Item> items_;
    std::unordered_map<std::string, std::size_t> index_;
};

// ---- validation

class Validator {
public:
    explicit Validator(bool allow_duplicates) : allow_duplicates_{allow_duplicates} {}

    void visit(const json::value& value, const StructuralSchema& type) {
        switch (type.shape_of(value)) {
            case Shape::scalar: return scalar(value, type);
            case Shape::list: return list(value, type);
            case Shape::map:
                if (const auto* const object = value.if_object()) return members(*object, type);
                if (!value.is_null()) refuse("expected map, got " + to_json(value));
        }
    }

    void members(const json::object& object, const StructuralSchema& type) {
        for (const auto& [key, member] : object) {
            const auto field = type.field(key);
            path_.push_back(PathElement::field(key));
            if (!field) refuse("field not declared in schema");
            visit(member, field->type);
            path_.pop_back();
        }
    }

private:
    [[noreturn]] void refuse(const std::string& what) const {
        throw Error{ErrorKind::invalid, path_.empty() ? what : to_string(path_) + ": " + what};
    }

    void scalar(const json::value& value, const StructuralSchema& type) const {
        if (value.is_null()) return;
        using Scalar = StructuralSchema::Scalar;
        switch (type.scalar().value_or(Scalar::any)) {
            case Scalar::string:
                if (!value.is_string()) refuse("expected string, got " + to_json(value));
                return;
            case Scalar::boolean:
                if (!value.is_bool()) refuse("expected boolean, got " + to_json(value));
                return;
            case Scalar::number:
                if (!value.is_number())
                    refuse("expected numeric (int or float), got " + to_json(value));
                return;
            case Scalar::any:
                if (!value.is_primitive()) refuse("expected any scalar, got " + to_json(value));
                return;
        }
    }

    void list(const json::value& value, const StructuralSchema& type) {
        if (value.is_null()) return;
        const auto* const elements = value.if_array();
        if (elements == nullptr) refuse("expected list, got " + to_json(value));
        struct Seen {
            PathElement element;
            bool twice = false;
        };
        ItemIndex<Seen> seen;
        const bool atomic = type.is_atomic(Shape::list);
        for (std::size_t i = 0; i < elements->size(); ++i) {
            PathElement element{PathElement::Kind::index, {}};
            if (atomic) {
                element.text = std::to_string(i);
            } else {
                std::string why;
                auto identity = identify(type, (*elements)[i], why);
                if (!identity) refuse("element " + std::to_string(i) + ": " + why);
                element = std::move(*identity);
                if (!allow_duplicates_ && seen.find(element.text) != ItemIndex<Seen>::none)
                    refuse("duplicate entries for key " + element.to_string());
                seen.at(element);
            }
            path_.push_back(std::move(element));
            visit((*elements)[i], type.element());
            path_.pop_back();
        }
    }

    bool allow_duplicates_;
    FieldPath path_;
};

// ---- the fields of a value

struct Owned {
    bool self = false;
    FieldSet below;
};

FieldSet owned_members(const json::object& object, const StructuralSchema& type);

Owned owned(const json::value& value, const StructuralSchema& type) {
    const auto shape = type.shape_of(value);
    if (shape == Shape::scalar || type.is_atomic(shape)) return {.self = true, .below = {}};
    Owned out;
    if (const auto* const members = value.if_object(); shape == Shape::map && members != nullptr) {
        out.below = owned_members(*members, type);
    } else if (const auto* const elements = value.if_array();
               shape == Shape::list && elements != nullptr) {
        struct Seen {
            PathElement element;
            const json::value* value = nullptr;
            bool twice = false;
        };
        ItemIndex<Seen> seen;
        for (const auto& element : *elements) {
            std::string why;
            auto identity = identify(type, element, why);
            if (!identity) continue;
            auto& item = seen.at(std::move(*identity));
            item.twice = item.value != nullptr;
            item.value = &element;
        }
        for (auto& item : seen.items()) {
            auto inner = item.twice ? Owned{} : owned(*item.value, type.element());
            out.below.add(std::move(item.element), true, std::move(inner.below));
        }
        out.below.finish();
    }
    return out;
}

FieldSet owned_members(const json::object& object, const StructuralSchema& type) {
    FieldSet fields;
    for (const auto& [key, member] : object) {
        const auto field = field_or_deduced(type, key);
        auto inner = owned(member, field.type);
        const bool hollow = member.is_null() || (member.is_object() && member.get_object().empty());
        fields.add(PathElement::field(key), inner.self || hollow || !field.declared,
                   std::move(inner.below));
    }
    fields.finish();
    return fields;
}

// ---- comparison

struct Difference {
    bool added = false;
    bool modified = false;
    bool removed = false;
    FieldChanges below;

    void take(const PathElement& element, Difference inner) {
        below.added.add(element, inner.added, std::move(inner.below.added));
        below.modified.add(element, inner.modified, std::move(inner.below.modified));
        below.removed.add(element, inner.removed, std::move(inner.below.removed));
    }
    void finish() {
        below.added.finish();
        below.modified.finish();
        below.removed.finish();
    }
};

/// `always`: where one side lacks the value, Go would have written an empty one.
Difference difference(const json::value* from, const json::value* to, const StructuralSchema& type,
                      bool always);

/// `typed`: both sides are objects of this type, or Go would have written them.
void compare_members(const json::object* left, const json::object* right,
                     const StructuralSchema& type, bool typed, Difference& out) {
    std::size_t place = 0;
    if (left != nullptr) {
        for (const auto& [key, value] : *left) {
            const auto* const other =
                right == nullptr ? nullptr : member_near(*right, place++, key);
            if (other != nullptr && same(value, *other)) continue;
            const auto field = field_or_deduced(type, key);
            out.take(PathElement::field(key),
                     difference(&value, other, field.type, typed && field.always));
        }
    }
    if (right != nullptr) {
        place = 0;
        for (const auto& [key, value] : *right) {
            if (left != nullptr && member_near(*left, place++, key) != nullptr) continue;
            const auto field = field_or_deduced(type, key);
            out.take(PathElement::field(key),
                     difference(nullptr, &value, field.type, typed && field.always));
        }
    }
    out.finish();
}

/// Compares as one shape; true: the value is a leaf.
bool compare_as(Shape shape, const json::value* from, const json::value* to,
                const StructuralSchema& type, bool always, Difference& out) {
    const auto leaf = [&] {
        if (from == nullptr) {
            out.added = true;
        } else if (to == nullptr) {
            out.removed = true;
        } else if (!same(*from, *to)) {
            out.modified = true;
        }
        return true;
    };
    if (shape == Shape::scalar || type.is_atomic(shape)) return leaf();
    if (shape == Shape::map) {
        const auto* const left = object_of(from);
        const auto* const right = object_of(to);
        if (is_empty(left) && is_empty(right))
            return leaf();  // keeps {} and null apart from nothing
        compare_members(left, right, type, always || (from != nullptr && to != nullptr), out);
    } else {
        const auto* const left = array_of(from);
        const auto* const right = array_of(to);
        if (is_empty(left) && is_empty(right)) return leaf();
        struct Pair {
            PathElement element;
            std::vector<const json::value*> left;
            std::vector<const json::value*> right;
        };
        ItemIndex<Pair> pairs;
        std::string why;  // an element that cannot be told apart is nobody's
        for (const auto& element : elements_of(left)) {
            if (auto identity = identify(type, element, why))
                pairs.at(std::move(*identity)).left.push_back(&element);
        }
        for (const auto& element : elements_of(right)) {
            if (auto identity = identify(type, element, why))
                pairs.at(std::move(*identity)).right.push_back(&element);
        }
        const auto element_type = type.element();
        for (const auto& [element, l, r] : pairs.items()) {
            Difference inner;
            if (l.size() <= 1 && r.size() <= 1) {
                if (!l.empty() && !r.empty() && same(*l[0], *r[0])) continue;
                inner = difference(l.empty() ? nullptr : l[0], r.empty() ? nullptr : r[0],
                                   element_type, false);
            } else if (l.size() > 1 && r.size() > 1) {
                inner.modified = !std::ranges::equal(
                    l, r, [](const json::value* a, const json::value* b) { return same(*a, *b); });
            } else if (l.size() > 1) {
                if (!r.empty()) inner = difference(nullptr, r[0], element_type, false);
                inner.removed = true;
            } else {
                if (!l.empty()) inner = difference(l[0], nullptr, element_type, false);
                inner.added = true;
            }
            out.take(element, std::move(inner));
        }
        out.finish();
    }
    return false;
}

Difference difference(const json::value* from, const json::value* to, const StructuralSchema& type,
                      bool always) {
    Difference out;
    const auto shape = type.shape_of(to == nullptr ? *from : *to);
    if (from != nullptr && to != nullptr && type.shape_of(*from) != shape)
        compare_as(type.shape_of(*from), from, to, type, always, out);
    if (!compare_as(shape, from, to, type, always, out) && !always) {
        if (from == nullptr) out.added = true;
        if (to == nullptr) out.removed = true;
    }
    return out;
}

// ---- merge

[[noreturn]] void refuse_element(const json::value& element, const std::string& why) {
    throw Error{ErrorKind::invalid, why + ": " + to_json(element)};
}

std::optional<json::value> merged(const json::value* live, const json::value* config,
                                  const StructuralSchema& type);
json::object merged_members(const json::object* live, const json::object* config,
                            const StructuralSchema& type);

json::array merged_list(const json::array& live, const json::array& config,
                        const StructuralSchema& type) {
    struct Item {
        PathElement element;
        const json::value* value = nullptr;
        bool twice = false;
        std::size_t times = 0;
    };
    constexpr auto none = ItemIndex<Item>::none;
    const auto index = [&](const json::array& list, ItemIndex<Item>& items,
                           std::vector<std::string>& identities, bool duplicates) {
        for (const auto& element : list) {
            std::string why;
            auto identity = identify(type, element, why);
            if (!identity) refuse_element(element, why);
            identities.push_back(identity->text);
            auto& item = items.at(std::move(*identity));
            item.twice = item.value != nullptr;
            if (item.twice && !duplicates)
                refuse_element(element, "duplicate entries for key " + item.element.to_string());
            item.value = &element;
        }
    };
    ItemIndex<Item> left;
    ItemIndex<Item> right;
    std::vector<std::string> left_order;
    std::vector<std::string> right_order;
    index(config, right, right_order, false);
    index(live, left, left_order, true);

    const auto element_type = type.element();
    static const json::value nothing;
    json::array out;
    out.reserve(std::max(live.size(), config.size()));
    const auto emit = [&](const json::value* l, const json::value* r) {
        if (auto value = merged(l, r, element_type)) out.push_back(std::move(*value));
    };
    const auto live_of = [&](const std::string& text) -> const json::value* {
        const auto at = left.find(text);
        if (at == none) return nullptr;
        return left.items()[at].twice ? &nothing : left.items()[at].value;
    };
    std::vector<const std::string*> shared;  // in config's order
    for (const auto& text : right_order) {
        if (left.find(text) != none) shared.push_back(&text);
    }
    std::size_t next_shared = 0;
    std::vector<bool> done(right_order.size());  // by place in `right`, which has no duplicates
    for (std::size_t l = 0, r = 0; l < live.size() || r < config.size();) {
        const auto in_config = l < live.size() ? right.find(left_order[l]) : none;
        if (l < live.size() && r < config.size()) {
            if (left_order[l] == right_order[r]) {
                done[r] = true;
                emit(live_of(left_order[l]), &config[r]);
                ++l;
                ++r;
                ++next_shared;
                continue;
            }
            if (in_config != none && next_shared < shared.size() &&
                *shared[next_shared] != left_order[l]) {
                ++l;  // shared, but its turn in config's order comes later
                continue;
            }
        }
        if (l < live.size()) {
            if (in_config == none) {
                emit(&live[l++], nullptr);
                continue;
            }
            if (done[in_config]) ++l;
        }
        if (r < config.size()) {
            done[r] = true;
            emit(live_of(right_order[r]), &config[r]);
            if (next_shared < shared.size() && *shared[next_shared] == right_order[r])
                ++next_shared;
            ++r;
        }
    }
    return out;
}

std::optional<json::value> merged(const json::value* live, const json::value* config,
                                  const StructuralSchema& type) {
    if (config == nullptr) return live == nullptr ? std::nullopt : std::optional{*live};
    const auto shape = type.shape_of(*config);
    if (shape == Shape::scalar || type.is_atomic(shape)) return *config;
    if (shape == Shape::list) {
        const auto* const left = array_of(live);
        const auto* const right = array_of(config);
        if (is_empty(left) && is_empty(right)) return *config;
        auto list = merged_list(elements_of(left), elements_of(right), type);
        return list.empty() ? std::nullopt : std::optional{json::value(std::move(list))};
    }
    const auto* const left = object_of(live);
    const auto* const right = object_of(config);
    if (is_empty(left) && is_empty(right)) return *config;
    auto members = merged_members(left, right, type);
    return members.empty() ? std::nullopt : std::optional{json::value(std::move(members))};
}

json::object merged_members(const json::object* live, const json::object* config,
                            const StructuralSchema& type) {
    json::object out;
    out.reserve((live == nullptr ? 0 : live->size()) + (config == nullptr ? 0 : config->size()));
    if (live != nullptr) {
        for (const auto& [key, value] : *live) {
            const auto* const other = config == nullptr ? nullptr : config->if_contains(key);
            if (other == nullptr) {
                out.emplace(key, value);
            } else if (auto member = merged(&value, other, field_or_deduced(type, key).type)) {
                out.emplace(key, std::move(*member));
            }
        }
    }
    if (config != nullptr) {
        for (const auto& [key, value] : *config) {
            if (live != nullptr && live->contains(key)) continue;
            if (auto member = merged(nullptr, &value, field_or_deduced(type, key).type))
                out.emplace(key, std::move(*member));
        }
    }
    return out;
}

// ---- removal

json::object pruned_members(const json::object& object, const FieldSet& fields,
                            const StructuralSchema& type);

std::optional<json::value> pruned(const json::value& value, const FieldSet& fields,
                                  const StructuralSchema& type) {
    const auto shape = type.shape_of(value);
    if (shape == Shape::scalar) return value;
    if (type.is_atomic(shape)) return std::nullopt;
    if (const auto* const elements = value.if_array();
        shape == Shape::list && !is_empty(elements)) {
        json::array kept;
        kept.reserve(elements->size());
        for (const auto& element : *elements) {
            std::string why;
            const auto identity = identify(type, element, why);
            const auto* const entry =
                identity ? fields.find(identity->kind, identity->text) : nullptr;
            if (entry == nullptr) {
                kept.push_back(element);
            } else if (!entry->member) {
                if (auto rest = pruned(element, entry->below, type.element()))
                    kept.push_back(std::move(*rest));
            }
        }
        return kept.empty() ? std::nullopt : std::optional{json::value(std::move(kept))};
    }
    if (const auto* const members = value.if_object(); shape == Shape::map && !is_empty(members)) {
        auto kept = pruned_members(*members, fields, type);
        return kept.empty() ? std::nullopt : std::optional{json::value(std::move(kept))};
    }
    return std::nullopt;
}

json::object pruned_members(const json::object& object, const FieldSet& fields,
                            const StructuralSchema& type) {
    json::object kept;
    kept.reserve(object.size());
    for (const auto& [key, member] : object) {
        const auto* const entry = fields.find(PathElement::Kind::field, key);
        if (entry == nullptr) {
            kept.emplace(key, member);
        } else if (!entry->member) {
            // Null, not nothing: the member has lost what was in it, and is there still.
            kept.emplace(
                key,
                pruned(member, entry->below, field_or_deduced(type, key).type).value_or(nullptr));
        }
    }
    return kept;
}

FieldSet named(const FieldSet& fields, const std::optional<StructuralSchema>& type) {
    FieldSet out;
    for (const auto& entry : fields.entries()) {
        std::optional<StructuralSchema> inner;
        bool declared = false;
        if (type && entry.element.kind == PathElement::Kind::field && type->allows_map()) {
            if (const auto field = type->field(entry.element.text)) {
                inner = field->type;
                declared = field->declared;
            }
        } else if (type && entry.element.kind == PathElement::Kind::key && type->allows_list()) {
            inner = type->element();
        }
        out.add(entry.element, entry.member || (declared && !entry.below.empty()),
                entry.below.empty() ? FieldSet{} : named(entry.below, inner));
    }
    return out;
}

}  // namespace

bool same_fields(const json::object& a, const json::object& b) noexcept {
    if (a.size() != b.size()) return false;
    std::size_t place = 0;
    for (const auto& [key, value] : a) {
        const auto* const other = member_near(b, place++, key);
        if (other == nullptr || !same(value, *other)) return false;
    }
    return true;
}

void validate_structure(const json::object& object, const StructuralSchema& schema,
                        bool allow_duplicates) {
    Validator{allow_duplicates}.members(object, schema);
}

FieldSet fields_of(const json::object& object, const StructuralSchema& schema) {
    return owned_members(object, schema);
}

FieldChanges compare_fields(const json::object& from, const json::object& to,
                            const StructuralSchema& schema) {
    Difference out;
    compare_members(&from, &to, schema, true, out);
    return std::move(out.below);
}

json::object merge_structure(const json::object& live, const json::object& config,
                             const StructuralSchema& schema) {
    return merged_members(&live, &config, schema);
}

json::object without_fields(const json::object& object, const FieldSet& fields,
                            const StructuralSchema& schema) {
    return pruned_members(object, fields, schema);
}

FieldSet with_named_fields(const FieldSet& fields, const StructuralSchema& schema) {
    return named(fields, schema);
}

}  // namespace kled::kube
