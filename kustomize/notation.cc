#include "kustomize/notation.h"

#include "base/error.h"
#include "kube/yaml.h"
#include "kube/yaml_scalar.h"
#include "kustomize/scalar.h"

namespace kled::kustomize {

namespace {

kube::ScalarKind kind_of(std::string_view text) {
    return kube::resolve_scalar(text, kube::YamlDialect::manifest).kind;
}

bool is_text(std::string_view text) {
    return text.empty() || kind_of(text) == kube::ScalarKind::string;
}

void insert(Notation::Texts& texts, std::string_view key, const json::value& value,
            const std::string& text) {
    texts.own().insert_or_assign(kube::spelling_mark(key, value), text);
}

const std::string* find(const Notation::Texts& texts, std::size_t mark) {
    if (texts.empty()) return nullptr;
    const auto found = texts.get()->find(mark);
    return found == texts.get()->end() ? nullptr : &found->second;
}

const std::string* find(const Notation::Texts& texts, std::string_view key,
                        const json::value& value) {
    if (texts.empty() || value.is_structured()) return nullptr;
    return find(texts, kube::spelling_mark(key, value));
}

void take(Notation::Marks& marks, const Notation::Marks& others, std::size_t mark) {
    if (others.contains(mark)) marks.own().insert(mark);
}

void take(Notation::Texts& texts, const Notation::Texts& others, std::size_t mark) {
    if (const auto* text = find(others, mark)) texts.own().emplace(mark, *text);
}

}  // namespace

bool Notation::is_quoted(std::string_view key, std::string_view text) const {
    // No file has it otherwise, and transformers write it so too.
    if (!is_text(text) || written == Written::as_json) return true;
    return (written == Written::as_yaml && !is_written_plain(text)) ||
           quoted.contains(kube::quoted_mark(key, text));
}

void Notation::put_in_quotes(std::string_view key, std::string_view text) {
    quoted.own().insert(kube::quoted_mark(key, text));
    if (!untyped.empty()) untyped.own().erase(kube::spelling_mark(key, json::value(text)));
}

bool Notation::is_nothing(std::string_view key) const {
    return quoted.contains(kube::nothing_mark(key));
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
    if (unreadable.empty()) return;
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
    if (!is_quoted(key, text)) quoted.own().insert(mark);
    if (folded.contains(kube::quoted_mark(key, old)) && !folded.contains(mark))
        folded.own().insert(mark);
}

void Notation::add(const Notation& other) {
    quoted.add(other.quoted);
    spelled.add(other.spelled);
    folded.add(other.folded);
    untyped.add(other.untyped);
    unreadable.add(other.unreadable);
}

Notation Notation::about(const json::value& value) const {
    Notation found{.written = written};
    const bool silent = quoted.empty() && spelled.empty() && folded.empty() && untyped.empty() &&
                        unreadable.empty();
    if (!silent) found.take({}, value, *this);
    return found;
}

void Notation::take(std::string_view key, const json::value& value, const Notation& other) {
    if (const auto* map = value.if_object()) {
        for (const auto& field : *map) take(field.key(), field.value(), other);
        return;
    }
    if (const auto* list = value.if_array()) {
        for (const auto& element : *list) take({}, element, other);
        return;
    }
    const auto* text = value.if_string();
    if (value.is_null() || (text != nullptr && text->empty()))
        kustomize::take(quoted, other.quoted, kube::nothing_mark(key));
    if (text != nullptr) {
        const auto mark = kube::quoted_mark(key, *text);
        kustomize::take(quoted, other.quoted, mark);
        kustomize::take(folded, other.folded, mark);
    }
    if (other.spelled.empty() && other.untyped.empty() && other.unreadable.empty()) return;
    const auto mark = kube::spelling_mark(key, value);
    kustomize::take(spelled, other.spelled, mark);
    kustomize::take(untyped, other.untyped, mark);
    kustomize::take(unreadable, other.unreadable, mark);
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
