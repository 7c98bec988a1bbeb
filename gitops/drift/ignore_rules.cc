#include "gitops/drift/ignore_rules.h"

#include "base/error.h"
#include "crypto/hash.h"
#include "gitops/drift/record.h"
#include "gitops/objects/fields.h"
#include "kube/field_set.h"

#include <re2/re2.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <span>
#include <utility>

namespace kled::gitops {

namespace json = boost::json;

namespace {

constexpr std::size_t longest_path = 1000;
constexpr std::size_t longest_pattern = 1000;

// ---- the rules

/// The steps of a JSON pointer (RFC 6901 §3); nullopt: it is none, or the whole object.
std::optional<IgnoreRules::Steps> steps_of(std::string_view pointer) {
    if (!pointer.starts_with('/') || pointer.size() > longest_path) return std::nullopt;
    IgnoreRules::Steps steps;
    for (std::size_t i = 0; i < pointer.size(); ++i) {
        if (pointer[i] == '/') {
            steps.emplace_back();
        } else if (pointer[i] != '~') {
            steps.back() += pointer[i];
        } else {
            const auto escaped = ++i < pointer.size() ? pointer[i] : ' ';
            if (escaped != '0' && escaped != '1') return std::nullopt;
            steps.back() += escaped == '0' ? '~' : '/';
        }
    }
    return steps;
}

/// By what an object is known: that is no other's to change.
bool is_identity(const IgnoreRules::Steps& steps) {
    if (steps.front() == "apiVersion" || steps.front() == "kind") return true;
    if (steps.front() != "metadata") return false;
    return steps.size() == 1 || steps[1] == "name" || steps[1] == "namespace";
}

/// Whether it is `outer`, or inside of that.
bool is_within(const IgnoreRules::Steps& steps, const IgnoreRules::Steps& outer) {
    return steps.size() >= outer.size() &&
           std::ranges::equal(outer, std::span{steps}.first(outer.size()));
}

std::shared_ptr<const re2::RE2> pattern_of(const Reader& target, std::string_view field) {
    constexpr std::int64_t memory = 1U << 20U;
    auto text = target.text(field);
    if (text.empty()) return nullptr;
    if (text.size() > longest_pattern) throw target.bad(field, "more than 1000 characters");
    re2::RE2::Options options;
    options.set_log_errors(false);
    options.set_max_mem(memory);
    auto pattern = std::make_shared<const re2::RE2>(text, options);
    if (!pattern->ok()) throw target.bad(field, "'" + text + "': " + pattern->error());
    return pattern;
}

kube::LabelSelector selector_of(const Reader& target, std::string_view field) {
    try {
        return kube::LabelSelector::parse(target.text(field));
    } catch (const Error& error) {
        throw target.bad(field, error.what());
    }
}

bool fits(const std::shared_ptr<const re2::RE2>& pattern, std::string_view text) {
    return !pattern || re2::RE2::FullMatch(re2::StringPiece{text.data(), text.size()}, *pattern);
}

/// An object that has the annotations of `object` as labels: they are chosen by the same grammar.
kube::Object annotations_as_labels(const kube::Object& object) {
    kube::Object result;
    if (const auto* all = kube::find(object.fields(), {"metadata", "annotations"}))
        result.metadata()["labels"] = *all;
    return result;
}

}  // namespace

IgnoreRules IgnoreRules::read(const Reader& spec) {
    IgnoreRules result;
    const auto rules = spec.objects("ignore");
    if (rules.empty()) return result;
    if (rules.size() > rules_limit)
        throw spec.bad("ignore", "more than " + std::to_string(rules_limit) + " rules");
    for (const auto& rule : rules) result.rules_.push_back(read_rule(rule));
    result.digest_ = crypto::xxh3(kube::to_canonical_json(*spec.field("ignore")));
    return result;
}

IgnoreRules::Rule IgnoreRules::read_rule(const Reader& fields) {
    Rule rule;
    const auto paths = fields.array("paths");
    if (paths.empty()) throw fields.bad("paths", "is required");
    if (paths.size() > paths_limit)
        throw fields.bad("paths", "more than " + std::to_string(paths_limit));
    for (std::size_t i = 0; i < paths.size(); ++i) {
        const auto place = "paths[" + std::to_string(i) + "]";
        if (!paths[i].is_string()) throw fields.bad(place, "not a text");
        const std::string_view pointer{paths[i].get_string()};
        auto steps = steps_of(pointer);
        if (!steps) throw fields.bad(place, "not a JSON pointer such as /spec/replicas");
        if (is_identity(*steps))
            throw fields.bad(place, std::string{pointer} + " cannot be left to others");
        rule.paths.push_back(std::move(*steps));
    }
    const auto target = fields.object("target");
    rule.group = pattern_of(target, "group");
    rule.version = pattern_of(target, "version");
    rule.kind = pattern_of(target, "kind");
    rule.ns = pattern_of(target, "namespace");
    rule.name = pattern_of(target, "name");
    rule.labels = selector_of(target, "labelSelector");
    rule.annotations = selector_of(target, "annotationSelector");
    return rule;
}

bool IgnoreRules::Rule::matches(const kube::Object& object) const {
    const auto gvk = object.gvk();
    return fits(group, gvk.group) && fits(version, gvk.version) && fits(kind, gvk.kind) &&
           fits(ns, object.ns()) && fits(name, object.name()) && labels.matches(object) &&
           (annotations.empty() || annotations.matches(annotations_as_labels(object)));
}

std::vector<IgnoreRules::Steps> IgnoreRules::of(const kube::Object& object) const {
    std::vector<Steps> result;
    for (const auto& rule : rules_) {
        if (!rule.matches(object)) continue;
        result.insert(result.end(), rule.paths.begin(), rule.paths.end());
    }
    std::ranges::sort(result);
    // What is inside of another one goes with it, and would be looked for in the wrong place after.
    std::vector<Steps> whole;
    for (auto& steps : result) {
        if (whole.empty() || !is_within(steps, whole.back())) whole.push_back(std::move(steps));
    }
    return whole;
}

// ---- what they make of an object

namespace {

using kube::FieldSet;
using Kind = kube::PathElement::Kind;

/// RFC 6901 §4: no second way to write one.
std::optional<std::size_t> index_of(std::string_view step) {
    if (step.size() > 1 && step.front() == '0') return std::nullopt;
    std::size_t index = 0;
    const auto* const end = step.data() + step.size();
    const auto [rest, failure] = std::from_chars(step.data(), end, index);
    if (step.empty() || failure != std::errc{} || rest != end) return std::nullopt;
    return index;
}

/// What one side, `manager` or the others, holds at a place.
struct Held {
    const FieldSet* below = nullptr;      ///< of the place; null: nothing
    const FieldSet::Entry* at = nullptr;  ///< the place itself
    bool whole = false;                   ///< it is inside of something that is held as one

    void go(Kind kind, std::string_view text) {
        at = below == nullptr ? nullptr : below->find(kind, text);
        below = at == nullptr ? nullptr : &at->below;
    }
    /// Before one goes further down.
    void enter() { whole = whole || (at != nullptr && at->member && at->below.empty()); }
};

/// A place in what is wanted, the same in what is there, and who holds it.
struct Place {
    const json::value* wanted = nullptr;
    const json::value* live = nullptr;
    bool made_now = false;  ///< it is in something that is not there yet
    bool unkeyed = false;   ///< it is in a list whose elements have no keys
    Held own;
    Held others;
};

const FieldSet::Entry* entry_for(const FieldSet* set, const json::value& element) {
    if (set == nullptr) return nullptr;
    const auto& entries = set->entries();
    const auto found = std::ranges::find_if(
        entries, [&](const auto& entry) { return is_element(element, entry.element); });
    return found == entries.end() ? nullptr : &*found;
}

bool has_keys(const FieldSet* set) {
    return set != nullptr && std::ranges::any_of(set->entries(), [](const auto& entry) {
               return entry.element.kind == Kind::key || entry.element.kind == Kind::value;
           });
}

/// One step into a list. Who holds its elements knows their keys: no schema is needed.
bool into_list(Place& place, std::string_view step) {
    const auto& list = place.wanted->get_array();
    const auto index = index_of(step);
    if (!index || *index >= list.size()) return false;
    place.wanted = &list[*index];
    const auto* const there = place.live == nullptr ? nullptr : place.live->if_array();
    place.live = nullptr;
    const auto* entry = entry_for(place.own.below, *place.wanted);
    if (entry == nullptr) entry = entry_for(place.others.below, *place.wanted);
    if (entry != nullptr) {
        const auto element = entry->element;
        place.own.go(element.kind, element.text);
        place.others.go(element.kind, element.text);
        if (there == nullptr) return true;
        const auto found = std::ranges::find_if(
            *there, [&](const json::value& one) { return is_element(one, element); });
        if (found != there->end()) place.live = &*found;
        return true;
    }
    place.unkeyed = place.unkeyed || (!has_keys(place.own.below) && !has_keys(place.others.below));
    place.own = {.below = nullptr, .at = nullptr, .whole = place.own.whole};
    place.others = {.below = nullptr, .at = nullptr, .whole = place.others.whole};
    if (place.unkeyed && there != nullptr && *index < there->size()) place.live = &(*there)[*index];
    return true;
}

bool into_map(Place& place, const std::string& step) {
    const auto* const next = place.wanted->get_object().if_contains(step);
    if (next == nullptr) return false;
    const auto* const there = place.live == nullptr ? nullptr : place.live->if_object();
    place.wanted = next;
    place.live = there == nullptr ? nullptr : there->if_contains(step);
    place.own.go(Kind::field, step);
    place.others.go(Kind::field, step);
    return true;
}

/// nullopt: nothing is wanted there.
std::optional<Place> find(Place place, const IgnoreRules::Steps& steps) {
    for (const auto& step : steps) {
        place.made_now = place.made_now || place.live == nullptr;
        place.own.enter();
        place.others.enter();
        const bool there = place.wanted->is_object()  ? into_map(place, step)
                           : place.wanted->is_array() ? into_list(place, step)
                                                      : false;
        if (!there) return std::nullopt;
    }
    return place;
}

/// Whether it would be lost if the manager gave it up.
bool only_own(const Place& place) {
    const auto* own = place.own.at;
    const auto* others = place.others.at;
    if (own == nullptr) return false;
    if (others == nullptr) return !place.others.whole;
    if (own->member && !others->member && others->below.empty()) return true;
    return !own->below.without(others->below).empty() && !(others->member && others->below.empty());
}

/// Those of lists from behind, and what is inside before what it is in: what is taken out moves
/// nothing that is still to be taken out.
bool taken_out_before(const IgnoreRules::Steps& a, const IgnoreRules::Steps& b) {
    for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
        if (a[i] == b[i]) continue;
        const auto first = index_of(a[i]);
        const auto second = index_of(b[i]);
        if (first && second && *first != *second) return *first > *second;
        return a[i] > b[i];
    }
    return a.size() > b.size();
}

json::value* child(json::value& parent, const std::string& step) {
    if (auto* fields = parent.if_object()) return fields->if_contains(step);
    auto* list = parent.if_array();
    const auto index = index_of(step);
    return list != nullptr && index && *index < list->size() ? &(*list)[*index] : nullptr;
}

/// What has the last of `steps` in it; null: it went with something that it was in.
json::value* parent_of(json::value& root, const IgnoreRules::Steps& steps) {
    auto* at = &root;
    for (std::size_t i = 0; i + 1 < steps.size() && at != nullptr; ++i) at = child(*at, steps[i]);
    return at != nullptr && child(*at, steps.back()) != nullptr ? at : nullptr;
}

FieldSet fields_of(const json::object& entry) {
    const auto* fields = entry.if_contains("fieldsV1");
    if (fields == nullptr || !fields->is_object()) return {};
    return FieldSet::from_json(fields->get_object());
}

/// What `manager` holds of `live`, and what all others do. What cannot be read is held by nobody.
std::pair<FieldSet, FieldSet> holders(const kube::Object& live, std::string_view manager) {
    std::pair<FieldSet, FieldSet> result;
    const auto* list = kube::find(live.fields(), {"metadata", "managedFields"});
    if (list == nullptr || !list->is_array()) return result;
    for (const auto& item : list->get_array()) {
        const auto* entry = item.if_object();
        if (entry == nullptr) continue;
        const bool own = kube::find_string(*entry, {"manager"}) == manager &&
                         kube::find_string(*entry, {"operation"}) == "Apply" &&
                         kube::find_string(*entry, {"subresource"}).empty();
        auto& side = own ? result.first : result.second;
        try {
            side = side.united(fields_of(*entry));
        } catch (const Error&) {
            continue;
        }
    }
    return result;
}

}  // namespace

bool leave_to_others(kube::Object& wanted, const kube::Object& live,
                     const std::vector<IgnoreRules::Steps>& paths, std::string_view manager) {
    const auto [own, others] = holders(live, manager);
    json::value root(wanted.fields());
    const json::value there(live.fields());
    Place begin;
    begin.wanted = &root;
    begin.live = &there;
    begin.own.below = &own;
    begin.others.below = &others;
    std::vector<IgnoreRules::Steps> out;
    std::vector<std::pair<IgnoreRules::Steps, json::value>> kept;
    for (const auto& steps : paths) {
        const auto place = find(begin, steps);
        if (!place || place->made_now) continue;
        const bool part_of_one = place->unkeyed || place->own.whole || place->others.whole;
        if (place->live == nullptr) {
            if (!place->unkeyed) out.push_back(steps);
        } else if (part_of_one || only_own(*place)) {
            kept.emplace_back(steps, *place->live);
        } else {
            out.push_back(steps);
        }
    }
    for (auto& [steps, value] : kept) {
        if (auto* parent = parent_of(root, steps)) *child(*parent, steps.back()) = std::move(value);
    }
    std::ranges::sort(out, taken_out_before);
    for (const auto& steps : out) {
        auto* const parent = parent_of(root, steps);
        if (parent == nullptr) continue;
        if (auto* fields = parent->if_object()) {
            fields->stable_erase(fields->find(steps.back()));
        } else {
            auto& list = parent->get_array();
            list.erase(list.begin() + static_cast<std::ptrdiff_t>(*index_of(steps.back())));
        }
    }
    wanted = kube::Object{std::move(root.get_object())};
    return !kept.empty();
}

}  // namespace kled::gitops
