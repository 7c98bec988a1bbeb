#include "kube/structural_schema.h"

namespace kled::kube {

namespace {

std::string_view text_of(const json::object& object, std::string_view name) noexcept {
    const auto* const value = object.if_contains(name);
    return value != nullptr && value->is_string() ? std::string_view{value->get_string()}
                                                  : std::string_view{};
}

bool is_true(const json::object& object, std::string_view name) noexcept {
    const auto* const value = object.if_contains(name);
    return value != nullptr && value->is_bool() && value->get_bool();
}

const json::object* object_of(const json::object& object, std::string_view name) noexcept {
    const auto* const value = object.if_contains(name);
    return value == nullptr ? nullptr : value->if_object();
}

}  // namespace

StructuralSchema::StructuralSchema(TypeSchema type) : source_{Source::builtin}, builtin_{type} {
    if (type.kind() == TypeSchema::Kind::any)
        source_ = type.is_atomic() ? Source::atomic : Source::deduced;
}

std::optional<StructuralSchema> StructuralSchema::of(const GroupVersionKind& gvk) {
    const auto type = schema_of(gvk);
    return type ? std::optional{StructuralSchema{*type}} : std::nullopt;
}

StructuralSchema StructuralSchema::of_resource(const json::object& openapi) {
    auto schema = of_openapi(&openapi, false);
    schema.source_ = Source::resource;
    return schema;
}

StructuralSchema StructuralSchema::of_openapi(const json::object* schema, bool preserve) {
    if (schema == nullptr) return deduced();
    StructuralSchema made{is_true(*schema, "x-kubernetes-embedded-resource") ? Source::resource
                                                                             : Source::openapi};
    made.openapi_ = schema;
    made.preserve_ = preserve || is_true(*schema, "x-kubernetes-preserve-unknown-fields");
    return made;
}

std::string_view StructuralSchema::openapi_type() const noexcept {
    // A resource is an object even where its schema only says that it is one.
    return source_ == Source::resource ? "object" : text_of(*openapi_, "type");
}

bool StructuralSchema::allows_list() const noexcept {
    if (is_open()) return openapi_type().empty() || openapi_type() == "array";
    return source_ != Source::builtin || builtin_->kind() == TypeSchema::Kind::list;
}

bool StructuralSchema::allows_map() const noexcept {
    if (is_open()) return openapi_type().empty() || openapi_type() == "object";
    return source_ != Source::builtin || builtin_->kind() == TypeSchema::Kind::object ||
           builtin_->kind() == TypeSchema::Kind::map;
}

std::optional<StructuralSchema::Scalar> StructuralSchema::scalar() const noexcept {
    if (is_open()) {
        const auto type = openapi_type();
        if (type == "object" || type == "array") return std::nullopt;
        if (type == "integer" || type == "number") return Scalar::number;
        if (type == "boolean") return Scalar::boolean;
        const auto format = text_of(*openapi_, "format");
        return type == "string" && (format.empty() || format == "byte") ? Scalar::string
                                                                        : Scalar::any;
    }
    if (source_ != Source::builtin) return Scalar::any;
    switch (builtin_->kind()) {
        case TypeSchema::Kind::object:
        case TypeSchema::Kind::list:
        case TypeSchema::Kind::map: return std::nullopt;
        case TypeSchema::Kind::string:
        case TypeSchema::Kind::bytes: return Scalar::string;
        case TypeSchema::Kind::boolean: return Scalar::boolean;
        case TypeSchema::Kind::int32:
        case TypeSchema::Kind::int64:
        case TypeSchema::Kind::number: return Scalar::number;
        default: return Scalar::any;
    }
}

StructuralSchema::Shape StructuralSchema::shape_of(const json::value& value) const noexcept {
    if (value.is_array() && allows_list()) return Shape::list;
    if (value.is_object() && allows_map()) return Shape::map;
    if (value.is_primitive() && !value.is_null() && scalar()) return Shape::scalar;
    return allows_map() ? Shape::map : scalar() ? Shape::scalar : Shape::list;
}

bool StructuralSchema::is_atomic(Shape shape) const noexcept {
    switch (source_) {
        case Source::atomic: return true;
        case Source::deduced: return shape == Shape::list;
        case Source::builtin:
            return builtin_->is_atomic() || builtin_->list_type() == ListType::atomic;
        case Source::openapi:
        case Source::resource: break;
    }
    if (shape == Shape::map) return text_of(*openapi_, "x-kubernetes-map-type") == "atomic";
    const auto type = text_of(*openapi_, "x-kubernetes-list-type");
    return type != "set" && type != "map";
}

std::size_t StructuralSchema::key_count() const noexcept {
    if (source_ == Source::builtin) return builtin_->map_keys().size();
    if (!is_open() || text_of(*openapi_, "x-kubernetes-list-type") != "map") return 0;
    const auto* const keys = openapi_->if_contains("x-kubernetes-list-map-keys");
    return keys == nullptr || !keys->is_array() ? 0 : keys->get_array().size();
}

std::string_view StructuralSchema::key(std::size_t i) const noexcept {
    if (source_ == Source::builtin) return builtin_->map_keys()[i];
    const auto& key = openapi_->if_contains("x-kubernetes-list-map-keys")->get_array()[i];
    return key.is_string() ? std::string_view{key.get_string()} : std::string_view{};
}

StructuralSchema StructuralSchema::element() const noexcept {
    switch (source_) {
        case Source::builtin: return StructuralSchema{builtin_->element()};
        case Source::openapi:
        case Source::resource: break;
        default:
            return StructuralSchema{
                Source::atomic};  // a list of unknown elements is atomic all through
    }
    const auto* const items = object_of(*openapi_, "items");
    return items == nullptr ? StructuralSchema{Source::atomic} : of_openapi(items, preserve_);
}

std::optional<StructuralSchema::Field> StructuralSchema::field(std::string_view name) const {
    const auto undeclared = [](StructuralSchema type) { return Field{.type = type}; };
    if (!is_open()) {
        if (source_ != Source::builtin) return undeclared(*this);
        if (builtin_->kind() == TypeSchema::Kind::map)
            return undeclared(StructuralSchema{builtin_->element()});
        const auto found = builtin_->field(name);
        if (!found) return std::nullopt;
        return Field{.type = StructuralSchema{found->type},
                     .declared = true,
                     .always = found->always_encoded};
    }
    if (source_ == Source::resource) {
        static const auto any = schema_of({"", "v1", "Pod"}).value();  // every kind has these alike
        if (name == "metadata" || name == "apiVersion" || name == "kind")
            return Field{.type = StructuralSchema{any.field(name)->type}, .declared = true};
    }
    const auto* const properties = object_of(*openapi_, "properties");
    if (properties != nullptr) {
        if (const auto* const property = object_of(*properties, name))
            return Field{.type = of_openapi(property, preserve_), .declared = true};
    }
    const auto* const additional = openapi_->if_contains("additionalProperties");
    if (additional == nullptr) {
        const bool free_form =
            (properties == nullptr || properties->empty()) && source_ != Source::resource;
        return preserve_ || free_form ? std::optional{undeclared(deduced())} : std::nullopt;
    }
    if (const auto* const schema = additional->if_object())
        return undeclared(of_openapi(schema, preserve_));
    return additional->is_bool() && additional->get_bool() ? std::optional{undeclared(deduced())}
                                                           : std::nullopt;
}

std::optional<json::value> StructuralSchema::default_of(std::string_view name) const {
    if (source_ == Source::builtin) {
        const auto field = builtin_->field(name);
        if (field && !field->default_json.empty()) return parse_json(field->default_json);
    } else if (is_open()) {
        const auto* const properties = object_of(*openapi_, "properties");
        const auto* const property = properties == nullptr ? nullptr : object_of(*properties, name);
        const auto* const value = property == nullptr ? nullptr : property->if_contains("default");
        if (value != nullptr) return *value;
    }
    return std::nullopt;
}

}  // namespace kled::kube
