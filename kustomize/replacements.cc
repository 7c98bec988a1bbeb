#include "base/error.h"
#include "kube/yaml.h"
#include "kube/yaml_restyle.h"
#include "kustomize/field_path.h"
#include "kustomize/scalar.h"
#include "kustomize/selector.h"
#include "kustomize/transformers.h"

#include <algorithm>

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

json::value source_value(const ResourceMap& resources, const Replacement& replacement) {
    if (replacement.source_value) return plain(*replacement.source_value);
    const auto& source = *replacement.source;
    auto& resource = find_source(resources, source.id);
    const auto& path = source.field_path.empty() ? std::string{default_path} : source.field_path;
    const Lent object{resource};
    const auto* field = look_up(object.value, parse_field_path(path));
    if (field == nullptr || is_null_or_empty(*field)) {
        throw Error{ErrorKind::not_found,
                    "source: there is no " + path + " in " + resource.id.to_string()};
    }
    if (source.options.delimiter.empty()) return *field;
    if (!is_scalar(*field))
        throw Error{ErrorKind::invalid, "source: a delimiter needs text, " + path + " is a " +
                                            std::string{type_name(*field)}};
    const auto parts = split(text_of(*field), source.options.delimiter);
    if (source.options.index < 0 ||
        static_cast<std::size_t>(source.options.index) >= parts.size()) {
        throw Error{ErrorKind::invalid, "source: there is no part " +
                                            std::to_string(source.options.index) + " in `" +
                                            text_of(*field) + "`"};
    }
    const auto& part = parts[static_cast<std::size_t>(source.options.index)];
    return field->is_string() ? json::value(part) : plain(part);
}

struct Size {
    std::size_t bytes = 0;  ///< about what its text takes
    std::size_t height = 0;
};

Size size_of(const json::value& value) {
    Size size{.bytes = 8, .height = 1};
    const auto add = [&](const json::value& element) {
        const auto below = size_of(element);
        size.bytes += below.bytes;
        size.height = std::max(size.height, below.height + 1);
    };
    if (const auto* map = value.if_object()) {
        for (const auto& field : *map) {
            size.bytes += field.key().size();
            add(field.value());
        }
    } else if (const auto* list = value.if_array()) {
        for (const auto& element : *list) add(element);
    } else if (const auto* text = value.if_string()) {
        size.bytes += text->size();
    }
    return size;
}

/// The text a value has as a source: what was written there.
struct Value {
    json::value value;
    std::string text;
    Size size = {};
};

/// A number stays one, and a boolean too.
void require_same_kind(const json::value& field, const std::string& text) {
    if (!field.is_number() && !field.is_bool()) return;
    const auto fresh = plain(text);
    if (field.is_number() == fresh.is_number() && field.is_bool() == fresh.is_bool()) return;
    throw Error{ErrorKind::invalid,
                "`" + text + "` in place of a " + std::string{type_name(field)}};
}

/// Sets what is there to the source's text; its own type decides how that is read.
void set(json::value& field, const Value& value, const FieldOptions& options) {
    auto text = value.text;
    if (!options.delimiter.empty()) {
        if (field.is_object() || field.is_array()) {
            throw Error{ErrorKind::invalid,
                        "a delimiter needs text, found a " + std::string{type_name(field)}};
        }
        auto parts = split(text_of(field), options.delimiter);
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
        field = value.value;
    } else if (field.is_null()) {
        if (!text.empty()) field = plain(text);
    } else {
        require_same_kind(field, text);
        set_text(field, text);
    }
}

Create create_as(const json::value& value, const FieldOptions& options) {
    if (!options.create) return Create::nothing;
    if (value.is_object()) return Create::map;
    return value.is_array() ? Create::list : Create::scalar;
}

void write_pretty(std::string& out, const json::value& value, const std::string& indent) {
    const auto deeper = indent + "  ";
    const auto* object = value.if_object();
    const auto* array = value.if_array();
    if ((object == nullptr || object->empty()) && (array == nullptr || array->empty())) {
        out += kube::to_canonical_json(value);
        return;
    }
    out += object != nullptr ? "{\n" : "[\n";
    bool first = true;
    const auto separate = [&] {
        if (!first) out += ",\n";
        first = false;
        out += deeper;
    };
    if (object != nullptr) {
        std::vector<const json::key_value_pair*> fields;
        for (const auto& field : *object) fields.push_back(&field);
        std::sort(fields.begin(), fields.end(),
                  [](const auto* a, const auto* b) { return a->key() < b->key(); });
        for (const auto* field : fields) {
            separate();
            out += kube::to_json(json::value(field->key())) + ": ";
            write_pretty(out, field->value(), deeper);
        }
    } else {
        for (const auto& element : *array) {
            separate();
            write_pretty(out, element, deeper);
        }
    }
    out += "\n" + indent + (object != nullptr ? "}" : "]");
}

/// The document in the notation `original` had.
std::string write_document(const json::value& document, const std::string& original) {
    const auto first = original.find_first_not_of(" \t\r\n");
    const bool is_json =
        first != std::string::npos && (original[first] == '{' || original[first] == '[');
    if (!is_json) {
        auto text = kube::restyle_yaml(document, original);
        while (!text.empty() && text.back() == '\n') text.pop_back();
        return text;
    }
    if (original.find('\n') == std::string::npos || original.find("  ") == std::string::npos) {
        return kube::to_canonical_json(document);
    }
    std::string text;
    write_pretty(text, document, "");
    return text;
}

/// A path that goes on inside a text, which holds YAML or JSON: "data.config\.json.server.port".
bool set_inside_text(json::value& object, const FieldPath& path, const Value& value,
                     const FieldOptions& options) {
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
        try {
            const auto original = text_of(*text);
            auto document = kube::parse_yaml(original);
            const auto fields = match(document, inner, create_as(value.value, options));
            if (fields.empty()) return false;
            for (auto* field : fields) set(*field, value, options);
            set_text(*text, write_document(document, original));
            return true;
        } catch (const Error&) {
            return false;  // the text is no document, or the path does not fit it
        }
    }
    return false;
}

void set_target(Resource& resource, const Replacement::Target& target, const Value& value,
                Budget& budget) {
    Lent object{resource};
    const auto create = create_as(value.value, target.options);
    for (const auto& path : target.field_paths) {
        const auto steps = parse_field_path(path);
        if (steps.size() + value.size.height > max_depth) {
            throw Error{ErrorKind::exhausted,
                        "the result is nested deeper than " + std::to_string(max_depth)};
        }
        if (set_inside_text(object.value, steps, value, target.options)) continue;
        std::vector<json::value*> fields;
        try {
            fields = match(object.value, steps, create);
        } catch (const Error& error) {
            throw error.within(path);
        }
        if (fields.empty()) throw Error{ErrorKind::not_found, "there is no " + path};
        auto& root = object.value.get_object();
        for (auto* field : fields) {
            budget.bytes(value.size.bytes + (field->is_string() ? field->get_string().size() : 0));
            if (field->is_structured()) resource.shared.replaced(root, *field);
            set(*field, value, target.options);
            if (!field->is_structured()) resource.shared.written(root, *field);
        }
    }
}

void apply_target(ResourceMap& resources, Replacement::Target target, const Value& value,
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
    Value value{source_value(resources, replacement), {}};
    value.text = replacement.source_value ? *replacement.source_value : text_of(value.value);
    value.size = size_of(value.value);
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
