/// The resources of a build in their order, found by present and previous ids in constant time.
#pragma once

#include "kustomize/resource.h"

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace kled::kustomize {

/// No two resources have the same present id. The index maps the hash of every id a resource has or
/// had to the resource; entries are only ever added and each hit is checked, so a change of name
/// costs one insertion.
class ResourceMap {
public:
    using Item = std::unique_ptr<Resource>;
    using Hits = std::vector<Resource*>;  ///< in the order of the map, without removed ones

    /// Error(conflict): an id is taken, or `other` has one twice.
    Resource& append(Item item);
    void append_all(ResourceMap&& other);

    /// Adds a generated resource by its behavior: a new one is appended; `merge` and `replace` take
    /// the place of the one that has or had its id. Error(conflict|not_found).
    void absorb(Item item);

    /// In order; check `removed` while patches run.
    [[nodiscard]] const std::vector<Item>& items() const noexcept { return items_; }
    [[nodiscard]] std::vector<Item> take() &&;
    /// The same as items(), for those who do not care who owns them.
    [[nodiscard]] std::vector<Resource*> pointers() const;

    [[nodiscard]] Hits with_current_id(const Id& id) const;
    /// Those that have the id, or had it.
    [[nodiscard]] Hits with_any_id(const Id& id) const;
    /// Those that have or had the name.
    [[nodiscard]] Hits named(std::string_view name) const;

    /// To be called after `resource`'s object may have got another id.
    void changed(Resource& resource);
    /// Error(conflict): transformers made two resources the same.
    void check_distinct() const;
    /// Drops the removed.
    void sweep();
    /// Puts the resources into another order; `order` holds each of items() once.
    void reorder(std::vector<Resource*> order);

private:
    using Index = std::unordered_multimap<std::size_t, Resource*>;
    void add_to_index(Resource& resource);
    static void insert(Index& index, std::size_t key, Resource& resource);
    template <typename Match>
    Hits look_up(const Index& index, std::size_t key, Match match) const;

    std::vector<Item> items_;
    Index by_id_;
    Index by_name_;
};

}  // namespace kled::kustomize
