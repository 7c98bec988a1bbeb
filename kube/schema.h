/// What the program knows about built-in kinds: one table generated from Kubernetes 1.34
/// (kube/schema/).
#pragma once

#include "kube/gvk.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string_view>
#include <vector>

namespace kled::kube {

enum class Scope : std::uint8_t { namespaced, cluster };

/// How server-side apply treats a list: x-kubernetes-list-type.
enum class ListType : std::uint8_t { none, atomic, set, map };

/// A list of names in the table; cheap to copy, valid for ever.
class Names {
public:
    class Iterator {
    public:
        using iterator_category = std::input_iterator_tag;
        using value_type = std::string_view;
        using difference_type = std::ptrdiff_t;
        using pointer = void;
        using reference = std::string_view;
        Iterator() = default;
        explicit Iterator(const std::uint16_t* at) noexcept : at_{at} {}
        std::string_view operator*() const noexcept;
        Iterator& operator++() noexcept { return ++at_, *this; }
        Iterator operator++(int) noexcept { return Iterator{at_++}; }
        bool operator==(const Iterator&) const = default;

    private:
        const std::uint16_t* at_ = nullptr;
    };

    Names() = default;
    Names(std::uint16_t first, std::uint16_t count) noexcept : first_{first}, count_{count} {}
    [[nodiscard]] std::size_t size() const noexcept { return count_; }
    [[nodiscard]] bool empty() const noexcept { return count_ == 0; }
    [[nodiscard]] Iterator begin() const noexcept;
    [[nodiscard]] Iterator end() const noexcept;
    [[nodiscard]] std::string_view operator[](std::size_t i) const noexcept;
    [[nodiscard]] bool contains(std::string_view name) const noexcept;

private:
    std::uint16_t first_ = 0;
    std::uint16_t count_ = 0;
};

struct FieldSchema;

/// The type of a value; a view into the table, cheap to copy.
class TypeSchema {
public:
    enum class Kind : std::uint8_t {
        any,  ///< any JSON; is_atomic() for an embedded object (RawExtension)
        string,
        bytes,  ///< base64 text
        boolean,
        int32,
        int64,
        number,
        time,
        micro_time,
        duration,
        quantity,
        int_or_string,
        object,  ///< has fields
        list,
        map,  ///< of strings to element()
    };

    [[nodiscard]] Kind kind() const noexcept;
    /// "io.k8s.api.core.v1.PodSpec"; empty for lists, maps and plain scalars.
    [[nodiscard]] std::string_view name() const noexcept;
    /// An object or map that server-side apply replaces as a whole.
    [[nodiscard]] bool is_atomic() const noexcept;
    [[nodiscard]] ListType list_type() const noexcept;
    [[nodiscard]] Names map_keys() const noexcept;  ///< x-kubernetes-list-map-keys
    /// Of a list or map.
    [[nodiscard]] TypeSchema element() const noexcept;
    [[nodiscard]] std::size_t field_count() const noexcept;
    /// In the order of their names.
    [[nodiscard]] FieldSchema field_at(std::size_t i) const noexcept;
    [[nodiscard]] std::optional<FieldSchema> field(std::string_view json_name) const noexcept;
    [[nodiscard]] bool is_object() const noexcept { return kind() == Kind::object; }
    bool operator==(const TypeSchema&) const = default;

private:
    friend std::optional<TypeSchema> schema_of(const GroupVersionKind& gvk) noexcept;
    explicit TypeSchema(std::uint16_t index) noexcept : index_{index} {}
    std::uint16_t index_;
};

struct FieldSchema {
    std::string_view name;  ///< in JSON
    TypeSchema type;
    std::uint16_t protobuf_number = 0;  ///< 0: not in protobuf (apiVersion and kind)
    /// Numbers of the messages it lies in, from the outside in, when JSON shows it higher up:
    /// Volume.volumeSource.emptyDir is Volume.emptyDir. 0: none.
    std::array<std::uint8_t, 2> protobuf_embedded{};
    bool patch_merge = false;          ///< patchStrategy has "merge"
    bool patch_retain_keys = false;    ///< … "retainKeys"
    bool patch_replace = false;        ///< … "replace"
    bool always_encoded = false;       ///< Go's encoder writes it even when it was never set
    std::string_view patch_merge_key;  ///< patchMergeKey; empty: a merged list is one of scalars
    std::string_view default_json;     ///< as OpenAPI has it: "\"TCP\"", "0"; mostly empty
};

/// What a request to RESOURCE/name takes and answers when it is not the resource's own kind:
/// "scale" → autoscaling/v1 Scale, "token" → authentication.k8s.io/v1 TokenRequest.
struct BuiltinSubresource {
    std::string_view name;
    GroupVersionKind gvk;
    Names verbs;
};

struct BuiltinKind {
    GroupVersionKind gvk;
    std::string_view plural;
    std::string_view singular;
    Names short_names;
    Names categories;
    Scope scope = Scope::namespaced;
    Names verbs;
    std::vector<BuiltinSubresource> subresources;
    [[nodiscard]] const BuiltinSubresource* subresource(std::string_view name) const noexcept;
};

/// The type of a GA kind of Kubernetes 1.34 (also Scale, DeleteOptions, TokenRequest …, but not
/// lists); nullopt: not one of them.
[[nodiscard]] std::optional<TypeSchema> schema_of(const GroupVersionKind& gvk) noexcept;
/// Everything a stock server 1.34 serves, in discovery order.
[[nodiscard]] const std::vector<BuiltinKind>& builtin_kinds();
[[nodiscard]] const BuiltinKind* builtin_kind(const GroupVersionKind& gvk);
/// By group and kind whatever the version; nullopt for a kind that is not built in.
[[nodiscard]] std::optional<Scope> builtin_scope(std::string_view group, std::string_view kind);

}  // namespace kled::kube
