#include "apiserver/custom_schema.h"

#include "apiserver/typed.h"
#include "base/error.h"

#include <re2/re2.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace kled::api {

namespace {

constexpr int deepest_schema = 64;

bool is_true(const json::object& schema, std::string_view key) {
    const auto* value = schema.if_contains(key);
    return value != nullptr && value->is_bool() && value->get_bool();
}

const json::object* sub(const json::object& schema, std::string_view key) {
    const auto* value = schema.if_contains(key);
    return value != nullptr ? value->if_object() : nullptr;
}

const json::object* property(const json::object& schema, std::string_view name) {
    const auto* properties = sub(schema, "properties");
    return properties != nullptr ? sub(*properties, name) : nullptr;
}

bool preserves(const json::object& schema) {
    return is_true(schema, "x-kubernetes-preserve-unknown-fields");
}

std::string below(const std::string& path, std::string_view key) {
    return path.empty() ? std::string{key} : path + "." + std::string{key};
}

std::string below(const std::string& path, std::size_t index) {
    return path + "[" + std::to_string(index) + "]";
}

std::size_t characters(std::string_view utf8) {
    return static_cast<std::size_t>(std::ranges::count_if(
        utf8, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

/// The name kube-openapi gives to a value's type.
std::string_view type_name(const json::value& value) {
    switch (value.kind()) {
        case json::kind::object: return "object";
        case json::kind::array: return "array";
        case json::kind::string: return "string";
        case json::kind::bool_: return "boolean";
        case json::kind::null: return "null";
        case json::kind::double_: {
            const auto real = value.get_double();
            return std::floor(real) == real ? "integer" : "number";
        }
        default: return "integer";
    }
}

bool embedded(const json::object& schema) {
    return is_true(schema, "x-kubernetes-embedded-resource");
}

void fill(json::value& value, const json::object& schema) {
    if (auto* fields = value.if_object()) {
        if (const auto* properties = sub(schema, "properties")) {
            for (const auto& [name, entry] : *properties) {
                const auto* field_schema = entry.if_object();
                if (field_schema == nullptr) continue;
                const auto* fallback = field_schema->if_contains("default");
                auto* field = fields->if_contains(name);
                if (fallback != nullptr && field != nullptr && field->is_null() &&
                    !is_true(*field_schema, "nullable"))
                    *field = *fallback;
                if (fallback != nullptr && field == nullptr) {
                    (*fields)[name] = *fallback;
                    field = fields->if_contains(name);
                }
                if (field != nullptr) fill(*field, *field_schema);
            }
        }
        if (const auto* additional = sub(schema, "additionalProperties")) {
            for (auto& entry : *fields) {
                if (property(schema, entry.key()) == nullptr) fill(entry.value(), *additional);
            }
        }
    } else if (auto* items = value.if_array()) {
        if (const auto* item_schema = sub(schema, "items")) {
            for (auto& item : *items) fill(item, *item_schema);
        }
    }
}

}  // namespace

class CustomSchema::Pruning {
public:
    void value(json::value& value, const json::object& schema, const std::string& path) {
        if (auto* fields = value.if_object()) {
            object(*fields, schema, path, embedded(schema));
        } else if (auto* items = value.if_array()) {
            const auto* item_schema = sub(schema, "items");
            if (item_schema == nullptr) return;
            for (std::size_t i = 0; i < items->size(); ++i)
                this->value((*items)[i], *item_schema, below(path, i));
        }
    }

    void object(json::object& fields, const json::object& schema, const std::string& path,
                bool resource) {
        std::vector<std::string> drop;
        const auto* additional = schema.if_contains("additionalProperties");
        for (auto& [key, value] : fields) {
            if (resource && (key == "apiVersion" || key == "kind" || key == "metadata")) continue;
            if (const auto* known = property(schema, key)) {
                this->value(value, *known, below(path, key));
            } else if (additional != nullptr && additional->is_object()) {
                this->value(value, additional->get_object(), below(path, key));
            } else if (!preserves(schema) && !(additional != nullptr && additional->is_bool() &&
                                               additional->get_bool())) {
                drop.emplace_back(key);
            }
        }
        for (const auto& key : drop) {
            unknown.push_back("unknown field \"" + below(path, key) + '"');
            fields.stable_erase(key);
        }
    }

    std::vector<std::string> unknown;
};

class CustomSchema::Validation {
public:
    explicit Validation(const CustomSchema& schema) : schema_{schema} {}

    std::vector<FieldError> errors;

    void value(const json::value& value, const json::object& schema, const std::string& path) {
        if (value.is_null() && is_true(schema, "nullable")) return;
        if (!type(value, schema, path)) return;
        if (const auto* allowed = schema.if_contains("enum"); allowed && allowed->is_array())
            enumeration(value, allowed->get_array(), path);
        if (value.is_string()) string(value.get_string(), schema, path);
        if (value.is_number()) number(value, schema, path);
        if (const auto* items = value.if_array()) array(*items, schema, path);
        if (const auto* fields = value.if_object()) object(*fields, schema, path);
        combinations(value, schema, path);
    }

private:
    using Type = FieldError::Type;

    void add(Type type, const std::string& path, std::string value, std::string detail) {
        errors.push_back(
            {type, path.empty() ? "<nil>" : path, std::move(value), std::move(detail)});
    }
    void wrong(const json::value& value, const std::string& path, const std::string& why) {
        add(Type::invalid, path, kube::to_json(value), path + " in body " + why);
    }

    bool type(const json::value& value, const json::object& schema, const std::string& path) {
        const auto actual = type_name(value);
        if (is_true(schema, "x-kubernetes-int-or-string")) {
            if (actual == "integer" || actual == "string") return true;
            add(Type::type_invalid, path, "\"" + std::string{actual} + "\"",
                path + " in body must be of type integer,string: \"" + std::string{actual} + "\"");
            return false;
        }
        const auto wanted = kube::find_string(schema, {"type"});
        if (wanted.empty() || wanted == actual || (wanted == "number" && actual == "integer"))
            return true;
        add(Type::type_invalid, path, "\"" + std::string{actual} + "\"",
            path + " in body must be of type " + std::string{wanted} + ": \"" +
                std::string{actual} + "\"");
        return false;
    }

    void enumeration(const json::value& value, const json::array& allowed,
                     const std::string& path) {
        if (std::ranges::find(allowed, value) != allowed.end()) return;
        std::string values;
        for (const auto& one : allowed) {
            if (!values.empty()) values += ", ";
            values += one.is_string() ? kube::to_json(one) : '"' + kube::to_json(one) + '"';
        }
        add(Type::not_supported, path, kube::to_json(value), "supported values: " + values);
    }

    static std::optional<double> limit(const json::object& schema, std::string_view key) {
        const auto* value = schema.if_contains(key);
        if (value == nullptr || !value->is_number()) return std::nullopt;
        return value->to_number<double>();
    }
    static std::string limit_text(const json::object& schema, std::string_view key) {
        return kube::to_json(schema.at(key));
    }

    void string(const json::string& text, const json::object& schema, const std::string& path) {
        const json::value value(text);
        const auto length = static_cast<double>(characters(text));
        if (const auto most = limit(schema, "maxLength"); most && length > *most)
            add(Type::too_long, path, "",
                "may not be more than " + limit_text(schema, "maxLength") + " bytes");
        if (const auto least = limit(schema, "minLength"); least && length < *least)
            wrong(value, path,
                  "should be at least " + limit_text(schema, "minLength") + " chars long");
        if (const auto pattern = kube::find_string(schema, {"pattern"}); !pattern.empty()) {
            const auto found = schema_.patterns_.find(pattern);
            if (found != schema_.patterns_.end() &&
                !re2::RE2::PartialMatch(re2::StringPiece{text.data(), text.size()}, *found->second))
                wrong(value, path, "should match '" + std::string{pattern} + "'");
        }
    }

    void number(const json::value& value, const json::object& schema, const std::string& path) {
        const auto actual = value.to_number<double>();
        if (const auto most = limit(schema, "maximum")) {
            const bool exclusive = is_true(schema, "exclusiveMaximum");
            if (exclusive ? actual >= *most : actual > *most)
                wrong(value, path,
                      std::string{exclusive ? "should be less than "
                                            : "should be less than or equal to "} +
                          limit_text(schema, "maximum"));
        }
        if (const auto least = limit(schema, "minimum")) {
            const bool exclusive = is_true(schema, "exclusiveMinimum");
            if (exclusive ? actual <= *least : actual < *least)
                wrong(value, path,
                      std::string{exclusive ? "should be greater than "
                                            : "should be greater than or equal to "} +
                          limit_text(schema, "minimum"));
        }
        if (const auto step = limit(schema, "multipleOf");
            step && *step > 0 && std::fmod(actual, *step) != 0)
            wrong(value, path, "should be a multiple of " + limit_text(schema, "multipleOf"));
    }

    void array(const json::array& items, const json::object& schema, const std::string& path) {
        const auto count = static_cast<double>(items.size());
        if (const auto most = limit(schema, "maxItems"); most && count > *most)
            wrong(json::value(items.size()), path,
                  "should have at most " + limit_text(schema, "maxItems") + " items");
        if (const auto least = limit(schema, "minItems"); least && count < *least)
            wrong(json::value(items.size()), path,
                  "should have at least " + limit_text(schema, "minItems") + " items");
        if (const auto* item_schema = sub(schema, "items")) {
            for (std::size_t i = 0; i < items.size(); ++i)
                value(items[i], *item_schema, below(path, i));
        }
        unique(items, schema, path);
    }

    /// Of a set its values, of a map its keys.
    void unique(const json::array& items, const json::object& schema, const std::string& path) {
        const auto list_type = kube::find_string(schema, {"x-kubernetes-list-type"});
        if (list_type != "set" && list_type != "map") return;
        const auto* keys = schema.if_contains("x-kubernetes-list-map-keys");
        std::map<std::string, bool> seen;
        for (std::size_t i = 0; i < items.size(); ++i) {
            json::value identity = items[i];
            if (list_type == "map") {
                json::object only_keys;
                if (keys != nullptr && keys->is_array() && items[i].is_object()) {
                    for (const auto& key : keys->get_array()) {
                        if (!key.is_string()) continue;
                        if (const auto* part = items[i].get_object().if_contains(key.get_string()))
                            only_keys[key.get_string()] = *part;
                    }
                }
                identity = std::move(only_keys);
            }
            const auto text = kube::to_canonical_json(identity);
            if (!seen.emplace(text, true).second) add(Type::duplicate, below(path, i), text, "");
        }
    }

    void object(const json::object& fields, const json::object& schema, const std::string& path) {
        if (const auto* required = schema.if_contains("required");
            required && required->is_array()) {
            for (const auto& name : required->get_array()) {
                if (name.is_string() && !fields.contains(name.get_string()))
                    add(Type::required, below(path, name.get_string()), "", "");
            }
        }
        const auto count = static_cast<double>(fields.size());
        if (const auto most = limit(schema, "maxProperties"); most && count > *most)
            wrong(json::value(fields.size()), path,
                  "should have at most " + limit_text(schema, "maxProperties") + " properties");
        if (const auto least = limit(schema, "minProperties"); least && count < *least)
            wrong(json::value(fields.size()), path,
                  "should have at least " + limit_text(schema, "minProperties") + " properties");
        const auto* additional = sub(schema, "additionalProperties");
        for (const auto& [name, field] : fields) {
            const auto* field_schema = property(schema, name);
            if (field_schema == nullptr) field_schema = additional;
            if (field_schema != nullptr) value(field, *field_schema, below(path, name));
        }
    }

    bool accepts(const json::value& candidate, const json::object& schema,
                 const std::string& path) const {
        Validation attempt{schema_};
        attempt.value(candidate, schema, path);
        return attempt.errors.empty();
    }

    void combinations(const json::value& value, const json::object& schema,
                      const std::string& path) {
        const auto matching = [&](std::string_view key, std::size_t& total) {
            std::size_t matched = 0;
            total = 0;
            if (const auto* list = schema.if_contains(key); list && list->is_array()) {
                total = list->get_array().size();
                for (const auto& one : list->get_array())
                    matched += one.is_object() && accepts(value, one.get_object(), path) ? 1 : 0;
            }
            return matched;
        };
        std::size_t total = 0;
        if (const auto matched = matching("allOf", total); matched < total)
            wrong(value, path, "must validate all the schemas (allOf)");
        if (const auto matched = matching("anyOf", total); total > 0 && matched == 0)
            wrong(value, path, "must validate at least one schema (anyOf)");
        if (const auto matched = matching("oneOf", total); total > 0 && matched != 1)
            wrong(value, path, "must validate one and only one schema (oneOf)");
        if (const auto* refused = sub(schema, "not"); refused && accepts(value, *refused, path))
            wrong(value, path, "must not validate the schema (not)");
    }

    const CustomSchema& schema_;
};

CustomSchema::CustomSchema(const kube::GroupVersionKind& gvk, json::object open_api,
                           bool preserve_unknown)
    : gvk_{gvk}, open_api_{std::move(open_api)}, preserve_unknown_{preserve_unknown} {
    compile(open_api_, 0);
}

CustomSchema::~CustomSchema() = default;

void CustomSchema::compile(const json::object& schema, int depth) {
    if (depth > deepest_schema)
        throw Error{ErrorKind::invalid,
                    "the schema is nested deeper than " + std::to_string(deepest_schema)};
    if (const auto pattern = kube::find_string(schema, {"pattern"});
        !pattern.empty() && !patterns_.contains(pattern)) {
        re2::RE2::Options options;
        options.set_log_errors(false);
        auto compiled =
            std::make_unique<re2::RE2>(re2::StringPiece{pattern.data(), pattern.size()}, options);
        if (!compiled->ok())
            throw Error{ErrorKind::invalid,
                        "pattern '" + std::string{pattern} + "': " + compiled->error()};
        patterns_.emplace(pattern, std::move(compiled));
    }
    for (const auto* key : {"properties"}) {
        if (const auto* properties = sub(schema, key)) {
            for (const auto& entry : *properties) {
                if (const auto* field = entry.value().if_object()) compile(*field, depth + 1);
            }
        }
    }
    for (const auto* key : {"additionalProperties", "items", "not"}) {
        if (const auto* one = sub(schema, key)) compile(*one, depth + 1);
    }
    for (const auto* key : {"allOf", "anyOf", "oneOf"}) {
        if (const auto* list = schema.if_contains(key); list && list->is_array()) {
            for (const auto& one : list->get_array()) {
                if (one.is_object()) compile(one.get_object(), depth + 1);
            }
        }
    }
}

std::vector<std::string> CustomSchema::prune(json::object& object) const {
    auto unknown = conform_metadata(object, gvk_);
    if (preserve_unknown_) return unknown;
    Pruning pruning;
    pruning.object(object, open_api_, "", true);
    unknown.insert(unknown.end(), pruning.unknown.begin(), pruning.unknown.end());
    return unknown;
}

void CustomSchema::fill_defaults(json::object& object) const {
    json::value value(std::move(object));
    fill(value, open_api_);
    object = std::move(value.get_object());
}

std::vector<FieldError> CustomSchema::validate(const json::object& object) const {
    Validation validation{*this};
    validation.value(json::value(object), open_api_, "");
    return std::move(validation.errors);
}

kube::StructuralSchema CustomSchema::structural() const {
    return kube::StructuralSchema::of_resource(open_api_);
}

}  // namespace kled::api
