#include "kube/schema.h"

#include "kube/schema/table.h"

#include <algorithm>
#include <tuple>

namespace kled::kube {

namespace {

std::string_view string_at(table::String index) noexcept {
    const auto begin = index == 0 ? 0 : table::string_ends[index - 1];
    return {table::text + begin, table::string_ends[index] - begin};
}

Names names(table::List list) noexcept { return {list.first, list.count}; }

GroupVersionKind gvk_at(table::String group, table::String version, table::String kind) {
    return {std::string{string_at(group)}, std::string{string_at(version)},
            std::string{string_at(kind)}};
}

}  // namespace

std::string_view Names::Iterator::operator*() const noexcept { return string_at(*at_); }
Names::Iterator Names::begin() const noexcept { return Iterator{table::lists + first_}; }
Names::Iterator Names::end() const noexcept { return Iterator{table::lists + first_ + count_}; }
std::string_view Names::operator[](std::size_t i) const noexcept {
    return string_at(table::lists[first_ + i]);
}
bool Names::contains(std::string_view name) const noexcept {
    return std::find(begin(), end(), name) != end();
}

TypeSchema::Kind TypeSchema::kind() const noexcept {
    return static_cast<Kind>(table::types[index_].kind);
}
std::string_view TypeSchema::name() const noexcept { return string_at(table::types[index_].name); }
bool TypeSchema::is_atomic() const noexcept { return (table::types[index_].flags & 1U) != 0; }
ListType TypeSchema::list_type() const noexcept {
    return static_cast<ListType>(table::types[index_].list_type);
}
Names TypeSchema::map_keys() const noexcept {
    const auto& type = table::types[index_];
    return {type.keys, type.key_count};
}
TypeSchema TypeSchema::element() const noexcept { return TypeSchema{table::types[index_].element}; }
std::size_t TypeSchema::field_count() const noexcept { return table::types[index_].field_count; }

FieldSchema TypeSchema::field_at(std::size_t i) const noexcept {
    const auto& row = table::fields[table::types[index_].first_field + i];
    return {
        .name = string_at(row.name),
        .type = TypeSchema{row.type},
        .protobuf_number = row.number,
        .protobuf_embedded = {static_cast<std::uint8_t>(row.embedded & 0xFFU),
                              static_cast<std::uint8_t>(row.embedded >> 8U)},
        .patch_merge = (row.flags & 1U) != 0,
        .patch_retain_keys = (row.flags & 2U) != 0,
        .patch_replace = (row.flags & 4U) != 0,
        .always_encoded = (row.flags & 8U) != 0,
        .patch_merge_key = string_at(row.merge_key),
        .default_json = string_at(row.default_value),
    };
}

std::optional<FieldSchema> TypeSchema::field(std::string_view json_name) const noexcept {
    const auto& type = table::types[index_];
    const auto* const begin = table::fields + type.first_field;
    const auto* const end = begin + type.field_count;
    const auto* const found = std::lower_bound(
        begin, end, json_name,
        [](const table::Field& row, std::string_view name) { return string_at(row.name) < name; });
    if (found == end || string_at(found->name) != json_name) return std::nullopt;
    return field_at(static_cast<std::size_t>(found - begin));
}

const BuiltinSubresource* BuiltinKind::subresource(std::string_view name) const noexcept {
    const auto found = std::ranges::find(subresources, name, &BuiltinSubresource::name);
    return found == subresources.end() ? nullptr : &*found;
}

std::optional<TypeSchema> schema_of(const GroupVersionKind& gvk) noexcept {
    using Key = std::tuple<std::string_view, std::string_view, std::string_view>;
    const auto key_of = [](const table::Root& row) {
        return Key{string_at(row.group), string_at(row.version), string_at(row.kind)};
    };
    const Key key{gvk.group, gvk.version, gvk.kind};
    const auto* const end = table::roots + table::root_count;
    const auto* const found = std::lower_bound(
        table::roots, end, key,
        [&](const table::Root& row, const Key& wanted) { return key_of(row) < wanted; });
    if (found == end || key_of(*found) != key) return std::nullopt;
    return TypeSchema{found->type};
}

const std::vector<BuiltinKind>& builtin_kinds() {
    static const std::vector<BuiltinKind> kinds = [] {
        std::vector<BuiltinKind> all;
        all.reserve(table::resource_count);
        for (std::size_t i = 0; i < table::resource_count; ++i) {
            const auto& row = table::resources[i];
            auto& kind = all.emplace_back(BuiltinKind{
                .gvk = gvk_at(row.group, row.version, row.kind),
                .plural = string_at(row.plural),
                .singular = string_at(row.singular),
                .short_names = names(row.short_names),
                .categories = names(row.categories),
                .scope = row.cluster_scoped != 0 ? Scope::cluster : Scope::namespaced,
                .verbs = names(row.verbs),
                .subresources = {},
            });
            for (std::size_t j = 0; j < row.subresources.count; ++j) {
                const auto& sub = table::subresources[row.subresources.first + j];
                kind.subresources.push_back({string_at(sub.name),
                                             gvk_at(sub.group, sub.version, sub.kind),
                                             names(sub.verbs)});
            }
        }
        return all;
    }();
    return kinds;
}

const BuiltinKind* builtin_kind(const GroupVersionKind& gvk) {
    const auto found = std::ranges::find(builtin_kinds(), gvk, &BuiltinKind::gvk);
    return found == builtin_kinds().end() ? nullptr : &*found;
}

std::optional<Scope> builtin_scope(std::string_view group, std::string_view kind) {
    for (const auto& known : builtin_kinds()) {
        if (known.gvk.kind == kind && known.gvk.group == group) return known.scope;
    }
    return std::nullopt;
}

}  // namespace kled::kube
