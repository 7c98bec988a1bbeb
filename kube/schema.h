/// What the program knows about built-in kinds: one table generated from k8s.io/api (kube/schema/).
#pragma once

#include "kube/gvk.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace kled::kube {

enum class Scope : std::uint8_t { namespaced, cluster };

/// How server-side apply and strategic merge treat a list or map field.
enum class ListType : std::uint8_t { none, atomic, set, map };

class TypeSchema;

struct FieldSchema {
    std::string_view name;
    std::uint16_t protobuf_number = 0;
    ListType list_type = ListType::none;
    std::vector<std::string_view> map_keys;      ///< x-kubernetes-list-map-keys
    std::string_view patch_merge_key;            ///< patchMergeKey; empty: lists are replaced
    bool patch_merge = false;                    ///< patchStrategy has "merge"
    bool patch_retain_keys = false;
    bool atomic_map = false;                     ///< structType/mapType=atomic
    enum class Kind : std::uint8_t { scalar, object, list, map } kind = Kind::scalar;
    std::optional<std::uint16_t> type;           ///< of the object, list element or map value
};

/// A view into the table; cheap to copy.
class TypeSchema {
public:
    [[nodiscard]] std::string_view name() const noexcept;  ///< "io.k8s.api.core.v1.PodSpec"
    [[nodiscard]] std::optional<FieldSchema> field(std::string_view json_name) const;
    /// The type of a field's object, element or value.
    [[nodiscard]] std::optional<TypeSchema> below(const FieldSchema& field) const;

private:
    friend class Schema;
    friend std::optional<TypeSchema> schema_of(const GroupVersionKind& gvk);
    explicit TypeSchema(std::uint16_t index) noexcept : index_{index} {}
    std::uint16_t index_;
};

struct BuiltinKind {
    GroupVersionKind gvk;
    std::string_view plural;
    std::string_view singular;
    std::vector<std::string_view> short_names;
    std::vector<std::string_view> categories;
    Scope scope = Scope::namespaced;
    std::vector<std::string_view> verbs;
    std::vector<std::string_view> subresources;  ///< "status", "scale"
};

/// nullopt: not a built-in kind of Kubernetes 1.34.
[[nodiscard]] std::optional<TypeSchema> schema_of(const GroupVersionKind& gvk);
/// All kinds of the GA groups, in discovery order.
[[nodiscard]] const std::vector<BuiltinKind>& builtin_kinds();
[[nodiscard]] const BuiltinKind* builtin_kind(const GroupVersionKind& gvk);
/// By group and kind whatever the version; nullopt for a kind that is not built in.
[[nodiscard]] std::optional<Scope> builtin_scope(std::string_view group, std::string_view kind);

}  // namespace kled::kube
