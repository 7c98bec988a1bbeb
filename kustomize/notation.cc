#include "kustomize/notation.h"

#include "base/error.h"
#include "kube/yaml.h"
#include "kube/yaml_scalar.h"
#include "kustomize/scalar.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace kled::kustomize {

namespace {

bool is_in(const Notation::Marks& marks, std::size_t mark) {
    return marks != nullptr && std::binary_search(marks->begin(), marks->end(), mark);
}

kube::ScalarKind kind_of(std::string_view text) {
    return kube::resolve_scalar(text, kube::YamlDialect::manifest).kind;
}

bool is_text(std::string_view text) {
    return text.empty() || kind_of(text) == kube::ScalarKind::string;
}

Notation::Texts united(const Notation::Texts& a, const Notation::Texts& b) {
    if (a == nullptr || b == nullptr) return a == nullptr ? b : a;
    auto both = *a;
    both.insert(b->begin(), b->end());
    return std::make_shared<const std::map<std::size_t, std::string>>(std::move(both));
}

void insert(Notation::Texts& texts, std::string_view key, const json::value& value,
            const std::string& text) {
    auto more = texts == nullptr ? std::map<std::size_t, std::string>{} : *texts;
    more.insert_or_assign(kube::spelling_mark(key, value), text);
    texts = std::make_shared<const std::map<std::size_t, std::string>>(std::move(more));
}

void insert(Notation::Marks& marks, std::size_t mark) {
    auto more = marks == nullptr ? std::vector<std::size_t>{} : *marks;
    more.insert(std::upper_bound(more.begin(), more.end(), mark), mark);
    marks = std::make_shared<const std::vector<std::size_t>>(std::move(more));
}

const std::string* find(const Notation::Texts& texts, std::string_view key,
                        const json::value& value) {
    if (texts == nullptr || value.is_structured()) return nullptr;
    const auto found = texts->find(kube::spelling_mark(key, value));
    return found == texts->end() ? nullptr : &found->second;
}

}  // namespace

Notation::Marks united(const Notation::Marks& a, const Notation::Marks& b) {
    if (a == nullptr || b == nullptr) return a == nullptr ? b : a;
    std::vector<std::size_t> both;
    std::set_union(a->begin(), a->end(), b->begin(), b->end(), std::back_inserter(both));
    return std::make_shared<const std::vector<std::size_t>>(std::move(both));
}

bool Notation::is_quoted(std::string_view key, std::string_view text) const {
    // No file has it otherwise, and transformers write it so too.
    if (!is_text(text) || written == Written::as_json) return true;
    return (text.empty() && written == Written::as_yaml) ||
           is_in(quoted, kube::quoted_mark(key, text));
}

bool Notation::is_nothing(std::string_view key) const {
    return is_in(quoted, kube::nothing_mark(key));
}

std::string Notation::spelling(std::string_view key, const json::value& value) const {
    if (const auto* text = untyped_text(key, value)) return *text;
    if (const auto* text = other_spelling(key, value)) return *text;
    return value.is_null() ? "null" : text_of(value);
}

const std::string* Notation::other_spelling(std::string_view key, const json::value& value) const {
    return find(spelled, key, value);
}

const std::string* Notation::untyped_text(std::string_view key, const json::value& value) const {
    return find(untyped, key, value);
}

void Notation::set_untyped(std::string_view key, json::value& value, std::string_view text) {
    value = kind_of(text) == kube::ScalarKind::null ? json::value{} : plain(text);
    insert(untyped, key, value, std::string{text});
}

void Notation::set_unreadable(std::string_view key, json::value& value, std::string_view text,
                              const std::string& why) {
    value = json::value(text);
    insert(unreadable, key, value, why);
}

bool Notation::is_unreadable(std::string_view key, const json::value& value) const {
    return find(unreadable, key, value) != nullptr;
}

void Notation::require_readable(const json::object& object) const {
    if (unreadable == nullptr) return;
    for (const auto& field : object) require_readable(field.key(), field.value());
}

void Notation::require_readable(std::string_view key, const json::value& value) const {
    if (const auto* map = value.if_object()) {
        require_readable(*map);
    } else if (const auto* list = value.if_array()) {
        for (const auto& element : *list) require_readable({}, element);
    } else if (const auto* why = find(unreadable, key, value)) {
        throw Error{ErrorKind::invalid, *why};
    }
}

void Notation::rewrite(std::string_view key, json::value& value, std::string_view text) {
    const auto* old = value.if_string();
    if (old == nullptr || old->empty() || !is_quoted(key, *old)) {
        set_untyped(key, value, text);
    } else {
        keep_style(key, *old, text);
        value = json::value(text);
    }
}

void Notation::set_text(std::string_view key, json::value& value, std::string_view text) {
    const auto* old = value.if_string();
    if (untyped_text(key, value) != nullptr) {
        set_untyped(key, value, text);
    } else if (old != nullptr && is_quoted(key, *old)) {
        keep_style(key, *old, text);
        value = json::value(text);
    } else {
        kustomize::set_text(value, text);
    }
}

void Notation::keep_style(std::string_view key, std::string_view old, std::string_view text) {
    const auto mark = kube::quoted_mark(key, text);
    if (!is_quoted(key, text)) insert(quoted, mark);
    if (is_in(folded, kube::quoted_mark(key, old)) && !is_in(folded, mark)) insert(folded, mark);
}

void Notation::add(const Notation& other) {
    quoted = united(quoted, other.quoted);
    spelled = united(spelled, other.spelled);
    folded = united(folded, other.folded);
    untyped = united(untyped, other.untyped);
    unreadable = united(unreadable, other.unreadable);
}

json::object texts_in(const json::value* value, const Notation& notation, NullsAre nulls) {
    json::object texts;
    const auto* map = value == nullptr ? nullptr : value->if_object();
    if (map == nullptr) return texts;
    for (const auto& [key, entry] : *map) {
        const bool nothing = entry.is_null() && notation.untyped_text(key, entry) == nullptr &&
                             (nulls == NullsAre::empty || notation.is_nothing(key));
        texts[key] = entry.is_structured() || nothing ? "" : notation.spelling(key, entry);
    }
    return texts;
}

}  // namespace kled::kustomize
