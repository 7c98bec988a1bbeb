#include "kustomize/merge.h"

#include "base/error.h"
#include "kube/yaml.h"
#include "kube/yaml_scalar.h"
#include "kustomize/scalar.h"

#include <algorithm>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace kled::kustomize {

namespace {

using Texts = std::vector<std::string>;
using Schema = std::optional<MergeSchema>;

enum class Directive { merge, replace, remove };

bool absent(const json::value* value) { return value == nullptr || value->is_null(); }

[[noreturn]] void fail(const std::string& path, const std::string& what) {
    throw Error{ErrorKind::invalid, (path.empty() ? "patch" : path) + ": " + what};
}

Directive directive_of(const json::value& value, const std::string& path) {
    const auto text = text_of(value);
    if (text == "merge") return Directive::merge;
    if (text == "replace") return Directive::replace;
    if (text == "delete") return Directive::remove;
    fail(path, "unknown `$patch: " + text + "`");
}

/// Reads a map's `$patch` and takes it away.
Directive take_directive(json::object& patch, const std::string& path) {
    const auto entry = patch.find("$patch");
    if (entry == patch.end()) return Directive::merge;
    const auto directive = directive_of(entry->value(), path);
    patch.stable_erase(entry);
    return directive;
}

const json::value* field_of(const json::value& element, std::string_view name) {
    const auto* map = element.if_object();
    return map == nullptr ? nullptr : map->if_contains(name);
}

/// The same for a list: an element that is nothing but a `$patch`.
Directive take_directive(json::array& patch, const std::string& path) {
    const auto element = std::find_if(patch.begin(), patch.end(), [](const json::value& e) {
        return field_of(e, "$patch") != nullptr;
    });
    if (element == patch.end() || element->get_object().size() > 1) return Directive::merge;
    const auto directive = directive_of(*field_of(*element, "$patch"), path);
    patch.erase(element);
    return directive;
}

/// The elements of a list on their way to another one.
using Elements = std::vector<json::value*>;

Elements elements_of(json::value* list) {
    Elements elements;
    if (list != nullptr && list->is_array()) {
        for (auto& element : list->get_array()) elements.push_back(&element);
    }
    return elements;
}

/// Whether a list's element has each key with its value; an empty value stands for any, and so does
/// one that is missing at the end.
bool has_keys(const json::value& element, const Texts& keys, const Texts& values) {
    for (std::size_t i = 0; i < keys.size() && i < values.size(); ++i) {
        if (keys[i].empty()) {
            if (!is_scalar(element) || !text_equals(element, values[i])) return false;
            continue;
        }
        const auto* field = field_of(element, keys[i]);
        if (field == nullptr) return false;
        if (!values[i].empty() && !text_equals(*field, values[i])) return false;
    }
    return true;
}

bool is_nothing(const json::value& value) {
    return value.is_null() || (value.is_object() && value.get_object().empty());
}

/// kyaml's ElementSetter: every match is replaced by `element`, or dropped when that is nullptr; an
/// `element` without a match is appended. Empty elements are dropped on the way.
void set_element(Elements& list, const Texts& keys, const Texts& values, json::value* element) {
    const bool by_field =
        !keys.empty() && !keys[0].empty() && !values.empty() && !values[0].empty();
    Elements kept;
    bool matched = false;
    for (auto* there : list) {
        if (is_nothing(*there)) continue;
        if (by_field && !there->is_object()) {
            kept.push_back(there);
        } else if (values.empty() || !has_keys(*there, keys, values)) {
            if (!values.empty()) kept.push_back(there);
        } else {
            matched = true;
            if (element != nullptr) kept.push_back(element);
        }
    }
    if (element != nullptr && !matched) kept.push_back(element);
    list = std::move(kept);
}

json::value* find_element(const Elements& list, const Texts& keys, const Texts& values) {
    const auto found = std::find_if(list.begin(), list.end(), [&](const json::value* element) {
        if (keys[0].empty()) return text_equals(*element, values[0]);
        if (!element->is_object()) return false;
        for (std::size_t i = 0; i < keys.size(); ++i) {
            const auto* field = field_of(*element, keys[i]);
            if (field == nullptr || !text_equals(*field, values[i])) return false;
        }
        return true;
    });
    return found == list.end() ? nullptr : *found;
}

/// Keys none of the lists' elements has are left out; with no key at all, they stay.
void drop_unused_keys(const std::vector<Texts>& all, Texts& keys, Texts& values) {
    std::set<std::string> used;
    for (const auto& some : all) {
        for (std::size_t i = 0; i < some.size(); ++i) {
            if (!some[i].empty()) used.insert(keys[i]);
        }
    }
    if (used.empty()) return;
    Texts used_keys;
    Texts used_values;
    for (std::size_t i = 0; i < keys.size(); ++i) {
        if (!used.contains(keys[i])) continue;
        used_keys.push_back(keys[i]);
        used_values.push_back(values[i]);
    }
    keys = std::move(used_keys);
    values = std::move(used_values);
}

/// Key values that agree where both are given are the same element: 8080 and 8080/TCP.
void unify(std::vector<Texts>& all) {
    for (auto& now : all) {
        const auto a = now;  // it meets all others as it was
        for (auto& b : all) {
            if (a.size() != b.size()) continue;
            bool common = false;
            bool conflict = false;
            Texts both;
            for (std::size_t i = 0; i < a.size() && !conflict; ++i) {
                common = common || a[i] == b[i];
                conflict = a[i] != b[i] && !a[i].empty() && !b[i].empty();
                both.push_back(a[i].empty() ? b[i] : a[i]);
            }
            if (common && !conflict) now = b = both;
        }
    }
}

class Merger {
public:
    explicit Merger(const Notations& notations) : notations_{notations} {}

    /// What a value becomes: one of the two, changed in place; nullptr: nothing is left.
    /// `keep_null`: a null that was there before and stays.
    struct Result {
        json::value* value = nullptr;
        bool keep_null = false;
    };

    Result walk(json::value* dest, json::value* patch, const Schema& schema) {
        const auto* shape = absent(dest) ? (absent(patch) ? nullptr : patch) : dest;
        if (shape == nullptr || shape->is_object()) {
            require(dest, patch, shape);
            return walk_map(dest, patch, schema);
        }
        if (shape->is_array()) {
            require(dest, patch, shape);
            if (schema && schema->merges()) return {walk_list(dest, patch, *schema)};
            return {patch != nullptr ? patch : dest};
        }
        require(dest, patch, shape);
        // They are the same within a map that is new.
        if (dest != nullptr && patch != nullptr && dest != patch) keep_style(*dest, *patch);
        return {patch != nullptr ? patch : dest};
    }

private:
    /// The new value takes the old one's style: what replaces a quoted string is one.
    void keep_style(const json::value& dest, json::value& patch) const {
        const auto* old = dest.if_string();
        const bool is_date =
            old != nullptr && notations_.target.other_spelling(field_, dest) != nullptr;
        const bool quoted = old != nullptr && !is_date && notations_.target.is_quoted(field_, *old);
        if (quoted && patch.is_string())  // a date is one, too
            patch = notations_.patch.spelling(field_, patch);
        if (const auto* text = patch.if_string()) {
            if (notations_.restyled == nullptr) return;
            auto& restyled = *notations_.restyled;
            const auto mark = kube::quoted_mark(field_, *text);
            const bool folded = old != nullptr &&
                                notations_.target.folded.contains(kube::quoted_mark(field_, *old));
            (folded ? restyled.folded : restyled.unfolded).push_back(mark);
            if (quoted) {
                restyled.quoted.emplace_back(field_, *text);
            } else {
                restyled.unquoted.push_back(mark);
            }
        } else if (quoted && is_scalar(patch)) {
            patch = notations_.patch.spelling(field_, patch);
        }
    }

    /// kyaml's FieldSetter, for a value `notation` is of: what has no type is text from now on, and
    /// gets quotes if it needs them.
    void put_in_quotes(json::value& value, const Notation& notation) const {
        if (value.is_structured()) return;
        if (const auto* plain_text = value.if_string()) {
            const std::string_view text{*plain_text};
            if (notations_.restyled != nullptr && !notation.is_quoted(field_, text) &&
                reads_as_no_text(text))
                notations_.restyled->quoted.emplace_back(field_, text);
            return;
        }
        const auto* text = notation.untyped_text(field_, value);
        if (text != nullptr && reads_as_no_text(*text)) value = json::value(*text);
    }

    void require(const json::value* dest, const json::value* patch,
                 const json::value* shape) const {
        if (shape == nullptr) return;
        for (const auto* value : {dest, patch}) {
            if (absent(value)) continue;
            const bool same_shape =
                value->is_object() == shape->is_object() && value->is_array() == shape->is_array();
            if (!same_shape) {
                fail(path_, "the patch has a " + std::string{type_name(*patch)} +
                                " where there is a " + std::string{type_name(*dest)});
            }
        }
    }

    Result walk_map(json::value* dest, json::value* patch, const Schema& schema) {
        json::value* result = dest;
        if (absent(dest)) {
            if (patch != nullptr && patch->is_object() &&
                take_directive(patch->get_object(), path_) == Directive::remove) {
                return {};
            }
            if (patch == nullptr)
                return {dest, dest != nullptr && !notations_.target.is_nothing(field_)};
            result = patch;
        } else if (patch != nullptr && patch->is_null()) {
            return {};
        } else if (patch != nullptr) {
            const auto directive = take_directive(patch->get_object(), path_);
            if (directive == Directive::remove) return {};
            if (directive == Directive::replace) result = patch;
        }
        if (result->is_object()) walk_fields(result->get_object(), patch, schema);
        return {result};
    }

    /// Also where the patch says nothing: merged lists lose the second of two equal elements.
    void walk_fields(json::object& dest, json::value* patch_value, const Schema& schema) {
        auto* patch = patch_value == nullptr ? nullptr : patch_value->if_object();
        std::set<std::string> names;
        for (const auto& field : dest) names.emplace(field.key());
        if (patch != nullptr) {
            for (const auto& field : *patch) names.emplace(field.key());
        }
        const auto outer = field_;
        for (const auto& name : names) {
            const auto length = path_.size();
            path_ += (path_.empty() ? "" : ".") + name;
            auto* from = patch == nullptr ? nullptr : patch->if_contains(name);
            auto* to = &dest == patch ? from : dest.if_contains(name);
            const auto below = schema ? schema->field(name) : std::nullopt;
            field_ = name;
            const auto result = walk(to, from, below);
            field_ = name;
            const bool clear =
                result.value == nullptr || (result.value->is_null() && !result.keep_null);
            if (clear) {
                const auto entry = dest.find(name);
                if (entry != dest.end()) dest.stable_erase(entry);
            } else if (to == nullptr) {
                auto& made = dest[name] = std::move(*result.value);
                put_in_quotes(made, notations_.patch);
            } else if (result.value != to) {
                *to = std::move(*result.value);
            } else {
                put_in_quotes(*to, &dest == patch ? notations_.patch : notations_.target);
            }
            path_.resize(length);
        }
        field_ = outer;  // `names` ends here
    }

    /// What is left in a list merged without keys.
    void require_texts(const Elements& list) const {
        for (const auto* element : list) {
            if (element->is_structured())
                fail(path_, "a " + std::string{type_name(*element)} + " in a list of texts");
        }
    }

    json::value* walk_list(json::value* dest, json::value* patch, const MergeSchema& schema) {
        if (absent(dest)) {
            dest = patch;
        } else if (patch != nullptr && patch->is_null()) {
            return nullptr;
        } else if (patch != nullptr) {
            const auto directive = take_directive(patch->get_array(), path_);
            if (directive == Directive::remove) return nullptr;
            if (directive == Directive::replace) dest = patch;
        }
        auto keys = schema.keys();
        const bool by_text = keys.empty();
        if (by_text) keys = {""};
        const auto from = elements_of(patch);
        auto to = elements_of(dest);
        const auto all = key_values(keys, from, to);
        if (!all.empty()) {
            if (auto tuples = complete(all, keys)) {
                to = merge_complete(*tuples, from, to, schema.elements());
                if (keys.size() > 1) put_patched_last(to, elements_of(dest));
            } else {
                to = merge_incomplete(distinct(all), keys, from, std::move(to), schema.elements());
            }
        }
        if (by_text) require_texts(to);
        json::array merged;
        merged.reserve(to.size());
        std::map<const json::value*, std::size_t> uses;
        for (const auto* element : to) ++uses[element];
        for (auto* element : to) {
            if (--uses[element] == 0) {
                merged.push_back(std::move(*element));
            } else {
                merged.push_back(*element);
            }
        }
        *dest = std::move(merged);
        return dest;
    }

    /// The key values of every element, the patch's first; "" for a key an element does not have.
    static std::vector<Texts> key_values(const Texts& keys, const Elements& from,
                                         const Elements& to) {
        std::vector<Texts> all;
        all.reserve(from.size() + to.size());
        for (const auto* list : {&from, &to}) {
            for (const auto* element : *list) {
                Texts values;
                for (const auto& key : keys) {
                    const auto* value = key.empty() ? element : field_of(*element, key);
                    values.push_back(value == nullptr ? "" : text_of(*value));
                }
                all.push_back(std::move(values));
            }
        }
        return all;
    }

    static std::vector<Texts> distinct(const std::vector<Texts>& all) {
        std::vector<Texts> once;
        std::set<Texts> seen;
        for (const auto& values : all) {
            if (seen.insert(values).second) once.push_back(values);
        }
        return once;
    }

    /// `all` without the keys no element has, which also leave `keys`; nullopt when an element
    /// lacks a key others have.
    static std::optional<std::vector<Texts>> complete(const std::vector<Texts>& all, Texts& keys) {
        const auto used = [&](std::size_t key) {
            return std::any_of(all.begin(), all.end(),
                               [&](const Texts& values) { return !values[key].empty(); });
        };
        std::vector<std::size_t> columns;
        for (std::size_t i = 0; i < keys.size(); ++i) {
            if (used(i)) columns.push_back(i);
        }
        if (columns.empty()) return std::nullopt;
        std::vector<Texts> tuples;
        tuples.reserve(all.size());
        for (const auto& values : all) {
            Texts tuple;
            for (const auto column : columns) {
                if (values[column].empty()) return std::nullopt;
                tuple.push_back(values[column]);
            }
            tuples.push_back(std::move(tuple));
        }
        Texts used_keys;
        for (const auto column : columns) used_keys.push_back(keys[column]);
        keys = std::move(used_keys);
        return tuples;
    }

    /// Every element has all keys: the patch's elements, merged with the target's where that has
    /// them, then the rest of the target. Of equal elements in the target, the last is left.
    Elements merge_complete(const std::vector<Texts>& tuples, const Elements& from,
                            const Elements& to, const Schema& schema) {
        struct Pair {
            json::value* patch = nullptr;
            json::value* first = nullptr;
            json::value* last = nullptr;
        };
        std::map<Texts, std::size_t> places;
        std::vector<Pair> pairs;
        for (std::size_t i = 0; i < tuples.size(); ++i) {
            const auto [place, added] = places.emplace(tuples[i], pairs.size());
            if (added) pairs.emplace_back();
            auto& pair = pairs[place->second];
            if (i < from.size()) {
                if (pair.patch == nullptr) pair.patch = from[i];
            } else {
                if (pair.first == nullptr) pair.first = to[i - from.size()];
                pair.last = to[i - from.size()];
            }
        }
        Elements merged;
        merged.reserve(pairs.size());
        for (const auto& pair : pairs) {
            auto* result = walk(pair.first, pair.patch, schema).value;
            if (result == nullptr || is_nothing(*result)) continue;
            merged.push_back(pair.last != nullptr ? pair.last : result);
        }
        return merged;
    }

    /// With several keys, what the target had follows what is new, also where it was patched.
    static void put_patched_last(Elements& merged, const Elements& target) {
        const std::set<const json::value*> had{target.begin(), target.end()};
        Elements ordered;
        for (auto* element : merged) {
            if (!had.contains(element)) ordered.push_back(element);
        }
        const std::set<const json::value*> kept{merged.begin(), merged.end()};
        for (auto* element : target) {
            if (kept.contains(element)) ordered.push_back(element);
        }
        merged = std::move(ordered);
    }

    /// Some elements lack a key: kyaml's rules for them, step by step.
    Elements merge_incomplete(std::vector<Texts> all, const Texts& keys, const Elements& from,
                              Elements to, const Schema& schema) {
        constexpr std::size_t limit = 2000;
        if (all.size() > limit)
            fail(path_, "a merged list this long needs " + keys[0] + " in each element");
        if (keys.size() > 1) unify(all);
        Elements merged;
        Texts used_keys = keys;
        for (const auto& values : all) {
            used_keys = keys;
            auto used_values = values;
            drop_unused_keys(all, used_keys, used_values);
            auto own_keys = used_keys;
            auto own_values = used_values;
            drop_unused_keys({used_values}, own_keys, own_values);
            auto* there = find_element(to, own_keys, own_values);
            // It may be found again, for other values: merging must leave it as it is.
            auto* patch = find_element(from, own_keys, own_values);
            if (patch != nullptr && patch != there) patch = &copies_.emplace_back(*patch);
            auto* result = walk(there, patch, schema).value;
            if (result == nullptr || is_nothing(*result)) {
                set_element(to, used_keys, used_values, nullptr);
                continue;
            }
            if (auto* map = result->if_object()) {
                for (std::size_t i = 0; i < used_keys.size(); ++i) {
                    if (used_values[i].empty() || map->contains(used_keys[i])) continue;
                    auto& key = (*map)[used_keys[i]] = plain(used_values[i]);
                    if (reads_as_no_text(used_values[i])) key = used_values[i];
                }
            }
            set_element(merged, used_keys, used_values, result);
        }
        append(merged, to, used_keys);
        return merged;
    }

    /// What is in `list` takes the place of its match in `merged`, or goes to the end.
    static void append(Elements& merged, const Elements& list, const Texts& keys) {
        for (auto* element : list) {
            if (keys[0].empty()) {
                set_element(merged, keys, {text_of(*element)}, element);
                continue;
            }
            Texts values;
            for (const auto& key : keys) {
                const auto* field = field_of(*element, key);
                if (absent(field)) {
                    merged.push_back(element);
                } else {
                    values.push_back(text_of(*field));
                }
            }
            if (keys.size() > 1) set_element(merged, keys, values, nullptr);
            set_element(merged, keys, values, element);
        }
    }

    const Notations& notations_;
    std::string path_;
    std::string_view field_;          ///< the last name in it, which walk_fields holds
    std::deque<json::value> copies_;  ///< of patch elements that stand in several places
};

}  // namespace

bool merge(json::object& target, json::object patch, const std::optional<MergeSchema>& schema,
           const Notations& notations) {
    json::value dest = std::move(target);
    json::value source = std::move(patch);
    const auto result = Merger{notations}.walk(&dest, &source, schema);
    if (result.value == nullptr || !result.value->is_object()) return false;
    // As in kustomize, an object as a whole is not replaced.
    target = std::move(dest.get_object());
    return true;
}

void add_notation(Notation& target, const Notation& patch, const Restyled& restyled) {
    auto from_patch = patch;
    if (!from_patch.quoted.empty()) {
        auto& quoted = from_patch.quoted.own();
        for (const auto mark : restyled.unquoted) quoted.erase(mark);
    }
    target.add(from_patch);
    for (const auto& [field, text] : restyled.quoted) target.put_in_quotes(field, text);
    if (target.folded.empty()) return;
    auto& folded = target.folded.own();
    for (const auto mark : restyled.unfolded) folded.erase(mark);
    folded.insert(restyled.folded.begin(), restyled.folded.end());
}

}  // namespace kled::kustomize
