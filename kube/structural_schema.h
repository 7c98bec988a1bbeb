/// What structured merge needs to know of a value's type, wherever it is written: a built-in kind,
/// the OpenAPI v3 schema of a CRD, or nothing at all.
#pragma once

#include "kube/gvk.h"
#include "kube/object.h"
#include "kube/schema.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace kled::kube {

/// A view, cheap to copy; one made of OpenAPI lives as long as that JSON does. The rules are those
/// of kube-openapi's schemaconv: a list is atomic unless its list type says otherwise, an object is
/// not.
class StructuralSchema {
public:
    /// A built-in kind; nullopt: not one.
    static std::optional<StructuralSchema> of(const GroupVersionKind& gvk);
    /// `spec.versions[].schema.openAPIV3Schema` of a CRD; apiVersion, kind and metadata are added
    /// to it.
    static StructuralSchema of_resource(const json::object& openapi);
    /// Nothing is known: objects merge, lists are atomic.
    static StructuralSchema deduced() { return StructuralSchema{Source::deduced}; }

    enum class Shape : std::uint8_t { scalar, list, map };
    /// How to treat a value of this type: by its own form where the type allows that, else as the
    /// type says.
    [[nodiscard]] Shape shape_of(const json::value& value) const noexcept;

    /// A list or map (of the given shape) that is owned and replaced as a whole.
    [[nodiscard]] bool is_atomic(Shape shape) const noexcept;
    /// Of a list that is not atomic; none: a set of scalars.
    [[nodiscard]] std::size_t key_count() const noexcept;
    [[nodiscard]] std::string_view key(std::size_t i) const noexcept;
    [[nodiscard]] StructuralSchema element() const noexcept;

    struct Field;
    /// A key of a map or object; nullopt: the object has no such field.
    [[nodiscard]] std::optional<Field> field(std::string_view name) const;
    /// What a list key that is not given stands for.
    [[nodiscard]] std::optional<json::value> default_of(std::string_view name) const;
    /// Null is the absence of a value, as in every built-in kind.
    [[nodiscard]] bool drops_null() const noexcept { return source_ == Source::builtin; }

    enum class Scalar : std::uint8_t { any, string, boolean, number };
    /// nullopt: no scalar may stand here.
    [[nodiscard]] std::optional<Scalar> scalar() const noexcept;
    [[nodiscard]] bool allows_list() const noexcept;
    [[nodiscard]] bool allows_map() const noexcept;

private:
    enum class Source : std::uint8_t { deduced, atomic, builtin, openapi, resource };
    explicit StructuralSchema(Source source) : source_{source} {}
    explicit StructuralSchema(TypeSchema type);
    static StructuralSchema of_openapi(const json::object* schema, bool preserve);
    [[nodiscard]] std::string_view openapi_type() const noexcept;
    [[nodiscard]] bool is_open() const noexcept {
        return source_ == Source::openapi || source_ == Source::resource;
    }

    Source source_;
    bool preserve_ = false;  ///< x-kubernetes-preserve-unknown-fields here or above
    std::optional<TypeSchema> builtin_;
    const json::object* openapi_ = nullptr;
};

struct StructuralSchema::Field {
    StructuralSchema type;
    bool declared = false;  ///< a field of an object, not a key of a map
    bool always = false;    ///< Go's encoder writes it even when nothing was set
};

}  // namespace kled::kube
