/// The rows of the generated table (table.cc): strings are pooled, rows refer to each other by
/// index. Only kube/schema.cc reads them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace kled::kube::table {

using String = std::uint16_t;  ///< index into string_ends; 0 is empty

/// Strings lists[first] … lists[first + count - 1].
struct List {
    std::uint16_t first, count;
};

struct Type {
    std::uint8_t kind;       ///< TypeSchema::Kind
    std::uint8_t list_type;  ///< ListType
    std::uint8_t flags;      ///< 1: atomic
    std::uint8_t key_count;
    std::uint16_t keys;  ///< into lists
    String name;
    std::uint16_t first_field;
    std::uint16_t field_count;  ///< sorted by name
    std::uint16_t element;
};

struct Field {
    String name;
    std::uint16_t type;
    std::uint16_t number;
    std::uint16_t embedded;  ///< outer message | inner << 8
    std::uint8_t flags;  ///< patch strategy 1: merge, 2: retainKeys, 4: replace; 8: always encoded
    String merge_key;
    String default_value;  ///< JSON
};

struct Root {
    String group, version, kind;
    std::uint16_t type;
};

struct Subresource {
    String name, group, version, kind;
    List verbs;
};

struct Resource {
    String group, version, kind, plural, singular;
    std::uint16_t cluster_scoped;
    List short_names, categories, verbs;
    List subresources;  ///< into subresources
};

extern const char text[];
extern const std::uint32_t string_ends[];
extern const std::uint16_t lists[];
extern const Type types[];
extern const Field fields[];
extern const Root roots[];  ///< sorted by group, version, kind
extern const Subresource subresources[];
extern const Resource resources[];  ///< in discovery order
extern const std::size_t root_count;
extern const std::size_t resource_count;

}  // namespace kled::kube::table
