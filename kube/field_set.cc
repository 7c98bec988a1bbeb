#include "kube/field_set.h"

#include "base/error.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace kled::kube {

namespace {

constexpr std::string_view kind_letters = "fkvi";

/// Text that is compact JSON already is taken as it is.
std::string canonical(std::string_view text) {
    if (text.find_first_of(" \t\r\n\\") == std::string_view::npos && text.size() > 1 &&
        text.front() == '"')
        return std::string{text};
    return to_canonical_json(parse_json(text));
}

std::string shown(const json::value& value) { return to_json(value); }

}  // namespace

std::string PathElement::to_string() const {
    switch (kind) {
        case Kind::field: return "." + text;
        case Kind::value: return "[=" + text + "]";
        case Kind::index: return "[" + text + "]";
        case Kind::key: break;
    }
    std::string shown_keys = "[";
    const auto keys = parse_json(text);
    for (const auto& [name, value] : keys.as_object()) {
        if (shown_keys.size() > 1) shown_keys += ',';
        shown_keys.append(name).append("=").append(shown(value));
    }
    return shown_keys + "]";
}

std::string PathElement::to_key() const {
    std::string key;
    key.reserve(text.size() + 2);
    key += kind_letters[static_cast<std::size_t>(kind)];
    key += ':';
    return key += text;
}

std::optional<PathElement> PathElement::from_key(std::string_view key) {
    if (key.size() < 2 || key[1] != ':')
        throw Error{ErrorKind::invalid,
                    "fieldsV1: \"" + std::string{key} + "\" is no path element"};
    const auto letter = kind_letters.find(key[0]);
    if (letter == std::string_view::npos) return std::nullopt;
    const auto kind = static_cast<Kind>(letter);
    const auto text = key.substr(2);
    switch (kind) {
        case Kind::field: return PathElement{kind, std::string{text}};
        case Kind::value: return PathElement{kind, canonical(text)};
        case Kind::index:
            if (text.empty() || text.find_first_not_of("0123456789") != std::string_view::npos)
                throw Error{ErrorKind::invalid,
                            "fieldsV1: \"" + std::string{key} + "\" is no index"};
            return PathElement{kind, std::string{text}};
        case Kind::key: break;
    }
    auto keys = parse_json(text);
    if (!keys.is_object())
        throw Error{ErrorKind::invalid,
                    "fieldsV1: \"" + std::string{key} + "\" is no object of keys"};
    return PathElement{kind, to_canonical_json(keys)};
}

std::string to_string(const FieldPath& path) {
    std::string text;
    for (const auto& element : path) text += element.to_string();
    return text;
}

FieldSet::FieldSet() noexcept = default;
FieldSet::FieldSet(const FieldSet& other) = default;
FieldSet::FieldSet(FieldSet&& other) noexcept = default;
FieldSet& FieldSet::operator=(const FieldSet& other) = default;
FieldSet& FieldSet::operator=(FieldSet&& other) noexcept = default;
FieldSet::~FieldSet() = default;
bool FieldSet::operator==(const FieldSet& other) const = default;

FieldSet FieldSet::from_json(const json::object& fields_v1) {
    FieldSet set;
    set.entries_.reserve(fields_v1.size());
    for (const auto& [key, value] : fields_v1) {
        if (key == ".") continue;  // the caller's level knows
        auto element = PathElement::from_key(key);
        if (!element) continue;
        const auto* const below = value.if_object();
        if (below == nullptr)
            throw Error{ErrorKind::invalid, "fieldsV1: \"" + std::string{key} + "\" is no object"};
        auto members = from_json(*below);
        // {} is a member; so is what has "." among others.
        const bool member = members.empty() || below->contains(".");
        set.entries_.push_back({std::move(*element), member, std::move(members)});
    }
    set.finish();
    return set;
}

json::object FieldSet::to_json() const {
    json::object object;
    object.reserve(entries_.size());
    for (const auto& entry : entries_) {
        auto below = entry.below.to_json();
        if (entry.member && !below.empty()) {
            json::object with_self;
            with_self.reserve(below.size() + 1);
            with_self.emplace(".", json::object{});
            for (auto& [key, value] : below) with_self.emplace(key, std::move(value));
            below = std::move(with_self);
        }
        object.emplace(entry.element.to_key(), std::move(below));
    }
    return object;
}

std::size_t FieldSet::size() const noexcept {
    std::size_t count = 0;
    for (const auto& entry : entries_) count += (entry.member ? 1U : 0U) + entry.below.size();
    return count;
}

const FieldSet::Entry* FieldSet::find(PathElement::Kind kind,
                                      std::string_view text) const noexcept {
    using Key = std::pair<PathElement::Kind, std::string_view>;
    const auto key_of = [](const Entry& entry) {
        return Key{entry.element.kind, entry.element.text};
    };
    const Key wanted{kind, text};
    const auto found = std::ranges::lower_bound(entries_, wanted, {}, key_of);
    return found == entries_.end() || key_of(*found) != wanted ? nullptr : &*found;
}

void FieldSet::insert(const FieldPath& path) {
    auto* level = this;
    for (std::size_t i = 0; i < path.size(); ++i) {
        auto found = std::ranges::lower_bound(level->entries_, path[i], {}, &Entry::element);
        if (found == level->entries_.end() || found->element != path[i])
            found = level->entries_.insert(found, {path[i], false, {}});
        if (i + 1 == path.size()) found->member = true;
        level = &found->below;
    }
}

bool FieldSet::contains(const FieldPath& path) const noexcept {
    const auto* level = this;
    const Entry* entry = nullptr;
    for (const auto& element : path) {
        entry = level->find(element.kind, element.text);
        if (entry == nullptr) return false;
        level = &entry->below;
    }
    return entry != nullptr && entry->member;
}

void FieldSet::add(PathElement element, bool member, FieldSet below) {
    if (member || !below.empty())
        entries_.push_back({std::move(element), member, std::move(below)});
}

void FieldSet::finish() {
    if (std::ranges::is_sorted(entries_, {}, &Entry::element)) return;
    std::ranges::stable_sort(entries_, {}, &Entry::element);
    // Two spellings of one element (only in what others wrote) become one.
    std::vector<Entry> merged;
    merged.reserve(entries_.size());
    for (auto& entry : entries_) {
        if (!merged.empty() && merged.back().element == entry.element) {
            merged.back().member = merged.back().member || entry.member;
            merged.back().below = merged.back().below.united(entry.below);
        } else {
            merged.push_back(std::move(entry));
        }
    }
    entries_ = std::move(merged);
}

FieldSet FieldSet::united(const FieldSet& other) const {
    FieldSet out;
    out.entries_.reserve(std::max(entries_.size(), other.entries_.size()));
    auto a = entries_.begin();
    auto b = other.entries_.begin();
    while (a != entries_.end() || b != other.entries_.end()) {
        const auto order = a == entries_.end()         ? std::strong_ordering::greater
                           : b == other.entries_.end() ? std::strong_ordering::less
                                                       : a->element <=> b->element;
        if (order < 0) {
            out.entries_.push_back(*a++);
        } else if (order > 0) {
            out.entries_.push_back(*b++);
        } else {
            out.entries_.push_back({a->element, a->member || b->member, a->below.united(b->below)});
            ++a;
            ++b;
        }
    }
    return out;
}

FieldSet FieldSet::intersected(const FieldSet& other) const {
    FieldSet out;
    for (auto a = entries_.begin(), b = other.entries_.begin();
         a != entries_.end() && b != other.entries_.end();) {
        const auto order = a->element <=> b->element;
        if (order == 0) out.add(a->element, a->member && b->member, a->below.intersected(b->below));
        if (order <= 0) ++a;
        if (order >= 0) ++b;
    }
    return out;
}

FieldSet FieldSet::without(const FieldSet& other) const {
    if (other.empty()) return *this;
    FieldSet out;
    auto b = other.entries_.begin();
    for (const auto& a : entries_) {
        while (b != other.entries_.end() && b->element < a.element) ++b;
        if (b == other.entries_.end() || b->element != a.element) {
            out.entries_.push_back(a);
        } else {
            out.add(a.element, a.member && !b->member, a.below.without(b->below));
        }
    }
    return out;
}

FieldSet FieldSet::without_trees(const FieldSet& other) const {
    if (other.empty()) return *this;
    FieldSet out;
    auto b = other.entries_.begin();
    for (const auto& a : entries_) {
        while (b != other.entries_.end() && b->element < a.element) ++b;
        if (b == other.entries_.end() || b->element != a.element) {
            out.entries_.push_back(a);
        } else if (!b->member) {
            out.add(a.element, a.member, a.below.without_trees(b->below));
        }
    }
    return out;
}

std::vector<FieldPath> FieldSet::paths() const {
    std::vector<FieldPath> all;
    FieldPath prefix;
    collect(prefix, all);
    return all;
}

void FieldSet::collect(FieldPath& prefix, std::vector<FieldPath>& into) const {
    for (const auto& entry : entries_) {
        if (!entry.member) continue;
        into.push_back(prefix);
        into.back().push_back(entry.element);
    }
    for (const auto& entry : entries_) {
        if (entry.below.empty()) continue;
        prefix.push_back(entry.element);
        entry.below.collect(prefix, into);
        prefix.pop_back();
    }
}

}  // namespace kled::kube
