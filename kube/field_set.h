/// Sets of fields of an object: what managedFields record (FieldsV1 of meta.k8s.io/v1).
#pragma once

#include "kube/object.h"

#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace kled::kube {

/// One step of a path.
struct PathElement {
    enum class Kind : std::uint8_t {
        field,  ///< text is the name
        key,    ///< an element of a list by its keys: text is {"name":"a"}, compact and sorted
        value,  ///< an element of a set: text is its JSON
        index,  ///< text is a number
    };
    Kind kind = Kind::field;
    std::string text;
    auto operator<=>(const PathElement&) const = default;

    static PathElement field(std::string_view name) { return {Kind::field, std::string{name}}; }
    /// ".name", "[name=\"a\"]", "[=\"x\"]", "[1]": as Kubernetes' messages have it.
    [[nodiscard]] std::string to_string() const;
    /// "f:name", "k:{\"name\":\"a\"}", "v:\"x\"", "i:1".
    [[nodiscard]] std::string to_key() const;
    /// nullopt: of an unknown kind. Error(invalid): broken JSON.
    static std::optional<PathElement> from_key(std::string_view key);
};

using FieldPath = std::vector<PathElement>;
[[nodiscard]] std::string to_string(const FieldPath& path);

/// A tree of path elements; each may be a member itself ("." in FieldsV1) and have members below.
class FieldSet {
public:
    struct Entry;

    FieldSet() noexcept;
    FieldSet(const FieldSet& other);
    FieldSet(FieldSet&& other) noexcept;
    FieldSet& operator=(const FieldSet& other);
    FieldSet& operator=(FieldSet&& other) noexcept;
    ~FieldSet();

    /// FieldsV1. Error(invalid) names what is malformed; elements of unknown kinds are left out.
    static FieldSet from_json(const json::object& fields_v1);
    [[nodiscard]] json::object to_json() const;

    [[nodiscard]] bool empty() const noexcept { return entries_.empty(); }
    [[nodiscard]] std::size_t size() const noexcept;  ///< members at all levels
    void insert(const FieldPath& path);
    [[nodiscard]] bool contains(const FieldPath& path) const noexcept;
    bool operator==(const FieldSet& other) const;

    [[nodiscard]] FieldSet united(const FieldSet& other) const;
    [[nodiscard]] FieldSet intersected(const FieldSet& other) const;
    /// Members that `other` does not have; a member stays when only fields below it are in `other`.
    [[nodiscard]] FieldSet without(const FieldSet& other) const;
    /// Drops also everything below the members of `other`.
    [[nodiscard]] FieldSet without_trees(const FieldSet& other) const;
    /// All members, parents first.
    [[nodiscard]] std::vector<FieldPath> paths() const;

    /// The levels, for walkers: entries are sorted by element, and each is a member or has some
    /// below.
    [[nodiscard]] const std::vector<Entry>& entries() const noexcept { return entries_; }
    [[nodiscard]] const Entry* find(PathElement::Kind kind, std::string_view text) const noexcept;
    /// Adds a level's entries in any order, each element once; `finish` sorts them.
    void add(PathElement element, bool member, FieldSet below);
    void finish();

private:
    void collect(FieldPath& prefix, std::vector<FieldPath>& into) const;

    std::vector<Entry> entries_;
};

struct FieldSet::Entry {
    PathElement element;
    bool member = false;
    FieldSet below;
    bool operator==(const Entry&) const = default;
};

}  // namespace kled::kube
