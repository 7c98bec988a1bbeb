#include "base/error.h"
#include "kube/yaml.h"
#include "kube/yaml_restyle.h"
#include "kube/yaml_scalar.h"
#include "kustomize/field_path.h"
#include "kustomize/go_json.h"
#include "kustomize/scalar.h"
#include "kustomize/selector.h"
#include "kustomize/transformers.h"

#include <algorithm>
#include <optional>
#include <set>

namespace kled::kustomize {

namespace {

constexpr std::size_t max_depth = 512;
constexpr std::string_view default_path = "metadata.name";

/// An object lent as a value, so that paths can walk it.
struct Lent {
    explicit Lent(Resource& from) : value(std::move(from.object.fields())), resource{from} {}
    ~Lent() {
        if (value.is_object()) resource.object = kube::Object{std::move(value.get_object())};
    }
    Lent(const Lent&) = delete;
    Lent& operator=(const Lent&) = delete;

    json::value value;
    Resource& resource;
};

struct Size {
    std::size_t bytes = 0;  ///< about what its text takes
    std::size_t height = 0;
};

std::vector<std::string> split(const std::string& text, const std::string& delimiter) {
    std::vector<std::string> parts;
    std::size_t from = 0;
    for (auto at = text.find(delimiter); at != std::string::npos; at = text.find(delimiter, from)) {
        parts.push_back(text.substr(from, at - from));
        from = at + delimiter.size();
    }
    parts.push_back(text.substr(from));
    return parts;
}

std::string join(const std::vector<std::string>& parts, const std::string& delimiter) {
    std::string text;
    for (std::size_t i = 0; i < parts.size(); ++i) text += (i == 0 ? "" : delimiter) + parts[i];
    return text;
}

/// All ids, the present one first. Here no kind is outside namespaces.
std::vector<Id> ids_of(const Resource& resource) {
    std::vector<Id> ids{resource.id};
    for (std::size_t i = 0; i < resource.previous.size(); ++i)
        ids.push_back(resource.previous_id(i));
    return ids;
}

bool is_meant(const Id& wanted, const Id& id) {
    const auto effective = [](const std::string& ns) {
        return ns.empty() ? std::string_view{"default"} : std::string_view{ns};
    };
    return (wanted.name.empty() || wanted.name == id.name) &&
           (wanted.ns.empty() || effective(wanted.ns) == effective(id.ns)) &&
           selects(wanted.gvk, id.gvk);
}

Resource& find_source(const ResourceMap& resources, const Id& wanted) {
    Resource* found = nullptr;
    const auto consider = [&](Resource& resource) {
        const auto ids = ids_of(resource);
        if (std::none_of(ids.begin(), ids.end(),
                         [&](const Id& id) { return is_meant(wanted, id); }))
            return;
        if (found != nullptr) {
            throw Error{ErrorKind::invalid, "source: both " + found->describe() + " and " +
                                                resource.describe() + " match"};
        }
        found = &resource;
    };
    if (!wanted.name.empty()) {
        for (auto* resource : resources.named(wanted.name)) consider(*resource);
    } else {
        for (const auto& item : resources.items()) consider(*item);
    }
    if (found == nullptr)
        throw Error{ErrorKind::not_found, "source: nothing is " + wanted.to_string()};
    return *found;
}

/// Bytes in memory, roughly: small values take more than what they say.
Size size_of(const json::value& value) {
    Size size{.bytes = value.is_structured() ? 96U : 24U, .height = 1};
    const auto add = [&](const json::value& element) {
        const auto below = size_of(element);
        size.bytes += below.bytes;
        size.height = std::max(size.height, below.height + 1);
    };
    if (const auto* map = value.if_object()) {
        for (const auto& field : *map) {
            size.bytes += 32 + field.key().size();
            add(field.value());
        }
    } else if (const auto* list = value.if_array()) {
        for (const auto& element : *list) add(element);
    } else if (const auto* text = value.if_string()) {
        size.bytes += text->size();
    }
    return size;
}

/// The values on the way to a field, from the object down.
using Way = std::vector<const json::value*>;

/// The same way as indices and names, which hold when something is added beside it.
std::vector<json::value> steps_of(const Way& way) {
    std::vector<json::value> steps;
    for (std::size_t i = 1; i < way.size(); ++i) {
        if (const auto* list = way[i - 1]->if_array()) {
            steps.emplace_back(way[i] - list->data());
        } else if (const auto* map = way[i - 1]->if_object()) {
            const auto is_it = [&](const auto& field) { return &field.value() == way[i]; };
            steps.emplace_back(std::find_if(map->begin(), map->end(), is_it)->key());
        }
    }
    return steps;
}

Way along(const json::value& object, const std::vector<json::value>& steps) {
    Way way{&object};
    for (const auto& step : steps) {
        const auto* name = step.if_string();
        way.push_back(name != nullptr ? &way.back()->get_object().at(*name)
                                      : &way.back()->get_array()[step.to_number<std::size_t>()]);
    }
    return way;
}

/// What is copied, with the text that stands there.
struct Value {
    json::value value;
    std::string text = {};
    bool untyped = false;                ///< kustomize gave the text no type
    const Notation* notation = nullptr;  ///< of what is in it
    /// It is the field itself, not a part of its text: what changes there is copied from then on.
    const Resource* from = nullptr;
    FieldPath path = {};
    Way way = {};  ///< to the field, while its object is worked on
    Size size = {};
    std::string at = {};  ///< the replacement, for messages

    /// Looks for the field by its path. Where it is no more, what it was last is copied from then
    /// on, whatever is made there again.
    void find(const json::value& object) {
        try {
            way = way_to(object, path);
        } catch (const Error&) {
            way.clear();  // something else has taken the place of what it was in
        }
        if (way.empty()) from = nullptr;
    }
    /// As it stands there by now.
    void refresh(Budget& budget) {
        if (way.empty()) return;
        const auto* field = way.back();
        size = size_of(*field);
        budget.bytes(size.bytes);
        value = *field;
        const auto name = field_name(path);
        text = is_scalar(*field) ? notation->spelling(name, *field) : std::string{};
        untyped = notation->untyped_text(name, *field) != nullptr;
    }
};

Value source_value(const ResourceMap& resources, const Replacement& replacement, Budget& budget) {
    if (replacement.source_value) {
        return {.value = plain(*replacement.source_value),
                .text = *replacement.source_value,
                .untyped = true};
    }
    const auto& source = *replacement.source;
    auto& resource = find_source(resources, source.id);
    const auto& path = source.field_path.empty() ? std::string{default_path} : source.field_path;
    const Lent object{resource};
    const auto steps = parse_field_path(path);
    const auto* field = look_up(object.value, steps);
    if (field == nullptr || is_null_or_empty(*field)) {
        throw Error{ErrorKind::not_found,
                    "source: there is no " + path + " in " + resource.id.to_string()};
    }
    budget.bytes(size_of(*field).bytes);
    const auto& notation = resource.notation;
    Value value{.value = *field, .notation = &notation};
    const auto name = field_name(steps);
    if (is_scalar(*field)) value.text = notation.spelling(name, *field);
    value.untyped = notation.untyped_text(name, *field) != nullptr;
    if (source.options.delimiter.empty()) {
        value.from = &resource;
        value.path = steps;
        return value;
    }
    if (!is_scalar(*field))
        throw Error{ErrorKind::invalid, "source: a delimiter needs text, " + path + " is a " +
                                            std::string{type_name(*field)}};
    const auto parts = split(value.text, source.options.delimiter);
    if (source.options.index < 0 ||
        static_cast<std::size_t>(source.options.index) >= parts.size()) {
        throw Error{ErrorKind::invalid, "source: there is no part " +
                                            std::to_string(source.options.index) + " in `" +
                                            value.text + "`"};
    }
    value.text = parts[static_cast<std::size_t>(source.options.index)];
    const bool is_text = field->is_string() && !value.untyped;
    value.value = is_text ? json::value(value.text) : plain(value.text);
    return value;
}

/// What a scalar is by what stands there; nullopt: something unreadable. Text that is no string was
/// a date.
std::optional<kube::ScalarKind> kind_of(const Place& place, const Notation& notation) {
    const auto& field = *place.value;
    if (notation.is_unreadable(place.field, field)) return std::nullopt;
    const auto kind_of = [](const std::string& text) {
        return kube::resolve_scalar(text, kube::YamlDialect::manifest).kind;
    };
    if (!field.is_string()) return kind_of(notation.spelling(place.field, field));
    const auto* text = notation.other_spelling(place.field, field);
    return text == nullptr ? kube::ScalarKind::string : kind_of(*text);
}

/// A number stays one, and so does what else is no text: kustomize cannot read what else it writes.
/// nullopt: that happened before.
bool may_become(std::optional<kube::ScalarKind> kind, const std::string& text) {
    using kube::ScalarKind;
    const auto fresh = kube::resolve_scalar(text, kube::YamlDialect::manifest).kind;
    if (!kind) return fresh != ScalarKind::string && fresh != ScalarKind::null;
    return kind == ScalarKind::string || kind == fresh ||
           (kind == ScalarKind::floating && fresh == ScalarKind::integer);
}

/// Sets what is there to the source's text; its own type decides how that is read. What is wrong
/// with the text if it cannot be read as that; it does not stand there then.
std::optional<std::string> set(const Place& place, const Value& value, const FieldOptions& options,
                               Notation& notation) {
    auto& field = *place.value;
    auto text = value.text;
    if (!options.delimiter.empty()) {
        if (field.is_object() || field.is_array()) {
            throw Error{ErrorKind::invalid,
                        "a delimiter needs text, found a " + std::string{type_name(field)}};
        }
        auto parts =
            split(place.made ? "" : notation.spelling(place.field, field), options.delimiter);
        if (options.index < 0) {
            parts.insert(parts.begin(), text);
        } else if (static_cast<std::size_t>(options.index) >= parts.size()) {
            parts.push_back(text);
        } else {
            parts[static_cast<std::size_t>(options.index)] = text;
        }
        text = join(parts, options.delimiter);
    }
    if (field.is_structured()) {
        if (value.untyped) {
            notation.set_untyped(place.field, field, text);
        } else {
            field = value.value;
            if (value.value.is_structured() && value.notation != nullptr &&
                value.notation != &notation)
                notation.add(value.notation->about(value.value));
        }
    } else if (place.made) {
        notation.set_untyped(place.field, field, text);
    } else if (notation.untyped_text(place.field, field) != nullptr) {
        notation.set_untyped(place.field, field, text);
    } else if (const auto kind = kind_of(place, notation); !may_become(kind, text)) {
        const auto why = value.at + "`" + text + "` in place of a " +
                         (kind ? std::string{type_name(field)} : "number or the like");
        notation.set_unreadable(place.field, field, text, why);
        return why;
    } else if (!kind || kind == kube::ScalarKind::timestamp) {
        field = plain(text);
    } else if (!field.is_null()) {
        notation.set_text(place.field, field, text);
    }
    return std::nullopt;
}

Create create_as(const json::value& value, const FieldOptions& options) {
    if (!options.create) return Create::nothing;
    if (value.is_object()) return Create::map;
    return value.is_array() ? Create::list : Create::scalar;
}

bool is_json(const std::string& text) {
    const auto first = text.find_first_not_of(" \t\r\n");
    return first != std::string::npos && (text[first] == '{' || text[first] == '[');
}

/// The document in the notation `original` had, but for what is at `fresh`.
std::string write_document(const json::value& document, const std::string& original,
                           const std::set<const json::value*>& fresh) {
    if (!is_json(original)) {
        auto text = kube::restyle_yaml(document, original, fresh);
        const auto last = text.find_last_not_of(" \t\n\v\f\r");  // a blank may end a comment
        text.resize(last == text.npos ? 0 : last + 1);
        return text;
    }
    if (original.find('\n') == std::string::npos || original.find("  ") == std::string::npos) {
        return go_json(document);
    }
    return go_json_indented(document);
}

/// A path that goes on inside a text, which holds YAML or JSON: "data.config\.json.server.port".
bool set_inside_text(json::value& object, const FieldPath& path, const Value& value,
                     const FieldOptions& options, Notation& notation, Budget& budget) {
    for (std::size_t length = 1; length < path.size(); ++length) {
        const FieldPath outer{path.begin(), path.begin() + static_cast<std::ptrdiff_t>(length)};
        const FieldPath inner{path.begin() + static_cast<std::ptrdiff_t>(length), path.end()};
        json::value* text = nullptr;
        try {
            text = look_up(object, outer);
        } catch (const Error&) {
            continue;
        }
        if (text == nullptr || !is_scalar(*text)) continue;
        const auto original = text_of(*text);
        budget.bytes(original.size());
        json::value document;
        std::vector<Place> places;
        try {
            document = kube::parse_yaml(original);
            if (document.is_null()) return false;
            places = match(document, inner, create_as(value.value, options));
        } catch (const Error&) {
            return false;  // the text is no document, or the path does not fit it
        }
        if (places.empty()) return false;
        Notation none;
        std::set<const json::value*> fresh;
        for (const auto& place : places) {
            if (place.value == nullptr) continue;
            budget.bytes(value.size.bytes);
            if (place.value->is_structured()) fresh.insert(place.value);
            const auto why = set(place, value, options, none);
            if (!why) continue;
            if (is_json(original)) return false;
            throw Error{ErrorKind::invalid, why->substr(value.at.size())};
        }
        notation.set_text(outer.back(), *text, write_document(document, original, fresh));
        return true;
    }
    return false;
}

void check_depth(const FieldPath& path, const Value& value) {
    if (path.size() + value.size.height <= max_depth) return;
    throw Error{ErrorKind::exhausted,
                "the result is nested deeper than " + std::to_string(max_depth)};
}

void set_target(Resource& resource, const Replacement::Target& target, Value& value,
                Budget& budget) {
    Lent object{resource};
    const auto create = create_as(value.value, target.options);
    for (const auto& path : target.field_paths) {
        const auto steps = parse_field_path(path);
        check_depth(steps, value);
        const bool inside_text =
            set_inside_text(object.value, steps, value, target.options, resource.notation, budget);
        if (value.from == &resource) value.find(object.value);
        const bool is_source = value.from == &resource;
        if (inside_text) {
            if (is_source) value.refresh(budget);  // the text may be the source
            continue;
        }
        const auto source = is_source ? steps_of(value.way) : std::vector<json::value>{};
        std::vector<Place> fields;
        try {
            fields = match(object.value, steps, create, resource.notation);
        } catch (const Error& error) {
            throw error.within(path);
        }
        if (fields.empty()) throw Error{ErrorKind::not_found, "there is no " + path};
        auto& root = object.value.get_object();
        if (is_source) {
            value.way = along(object.value, source);
            value.refresh(budget);
        }
        for (const auto& place : fields) {
            auto* field = place.value;
            if (field == nullptr) continue;
            const bool is_above =
                is_source && field->is_structured() &&
                std::find(value.way.begin(), value.way.end(), field) != value.way.end();
            check_depth(steps, value);
            budget.bytes(value.size.bytes + (field->is_string() ? field->get_string().size() : 0));
            if (field->is_structured()) resource.shared.replaced(root, *field);
            set(place, value, target.options, resource.notation);
            if (!field->is_structured()) resource.shared.written(root, *field);
            if (is_above) value.find(object.value);
            if (is_source) value.refresh(budget);
        }
    }
}

void apply_target(ResourceMap& resources, Replacement::Target target, Value& value,
                  Budget& budget) {
    if (!target.select) throw Error{ErrorKind::invalid, "targets: needs a `select`"};
    if (target.field_paths.empty()) target.field_paths = {std::string{default_path}};
    const Matcher select{*target.select};
    std::vector<Matcher> reject;
    for (const auto& selector : target.reject) reject.emplace_back(selector);
    for (const auto& item : resources.items()) {
        const auto ids = ids_of(*item);
        const auto matches_any = [&](const Matcher& matcher) {
            return std::any_of(ids.begin(), ids.end(),
                               [&](const Id& id) { return matcher.matches_id(id); });
        };
        if (!matches_any(select) || !select.matches_labels(*item)) continue;
        const bool rejected =
            std::any_of(reject.begin(), reject.end(), [&](const Matcher& matcher) {
                return (matcher.has_labels() && matcher.matches_labels(*item)) ||
                       (matcher.has_id() && matches_any(matcher));
            });
        if (rejected) continue;
        try {
            set_target(*item, target, value, budget);
        } catch (const Error& error) {
            throw error.within(item->describe());
        }
        resources.changed(*item);
    }
}

void apply_one(ResourceMap& resources, const Replacement& replacement, Budget& budget) {
    if ((!replacement.source && !replacement.source_value) || !replacement.has_targets) {
        throw Error{ErrorKind::invalid, "needs a `source` or `sourceValue`, and `targets`"};
    }
    if (replacement.source && replacement.source_value) {
        throw Error{ErrorKind::invalid, "`source` and `sourceValue` exclude each other"};
    }
    auto value = source_value(resources, replacement, budget);
    value.size = size_of(value.value);
    value.at = replacement.at;
    for (const auto& target : replacement.targets) apply_target(resources, target, value, budget);
}

std::vector<Replacement> read_file(const std::string& path, const Root& root) {
    auto read = read_document(root, path);
    const auto& value = read.value;
    Document document{
        .origin = std::move(read.origin), .problems = root.context().problems, .strict = false};
    std::vector<Replacement> replacements;
    if (const auto* list = value.if_array()) {
        for (std::size_t i = 0; i < list->size(); ++i) {
            Fields fields{(*list)[i], "/" + std::to_string(i), document};
            replacements.push_back(read_replacement(fields));
        }
    } else if (value.is_object()) {
        Fields fields{value, "", document};
        replacements.push_back(read_replacement(fields));
    } else {
        throw Error{ErrorKind::invalid, path + ": expected a replacement or a list of them"};
    }
    return replacements;
}

}  // namespace

void apply_replacement(ResourceMap& resources, const Replacement& replacement, const Root& root) {
    if (replacement.path.empty()) {
        apply_one(resources, replacement, root.context().budget);
        return;
    }
    if (replacement.source || replacement.has_targets) {
        throw Error{ErrorKind::invalid, "`path` excludes `source` and `targets`"};
    }
    for (const auto& each : read_file(replacement.path, root))
        apply_one(resources, each, root.context().budget);
}

}  // namespace kled::kustomize
