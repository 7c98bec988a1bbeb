/// What a Kustomization has brought into the cluster: `status.inventory`, in Flux's form.
#pragma once

#include "kube/object.h"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kled::gitops {

/// A value; copies share what they hold until one of them changes. Ids with the version each was
/// applied in. Flux's entry id is `namespace_name_group_kind`, with
/// ':' in RBAC names written as "__" (fluxcd/cli-utils, object.ObjMetadata).
class Inventory {
public:
    /// Entries that are not ids are dropped: nothing is pruned by guess.
    static Inventory from_status(const kube::json::object* status);
    [[nodiscard]] kube::json::object to_json() const;

    void add(const kube::ObjectId& id, const std::string& version);
    void remove(const kube::ObjectId& id);
    [[nodiscard]] bool contains(const kube::ObjectId& id) const { return entries().contains(id); }
    [[nodiscard]] bool contains_all(const Inventory& other) const;
    void merge(const Inventory& other);
    [[nodiscard]] bool empty() const noexcept { return entries().empty(); }
    [[nodiscard]] std::size_t size() const noexcept { return entries().size(); }
    using Entries = std::map<kube::ObjectId, std::string>;
    using EntryList = std::vector<std::pair<kube::ObjectId, std::string>>;
    /// In here and not in `other`, with versions.
    [[nodiscard]] EntryList minus(const Inventory& other) const;
    [[nodiscard]] const Entries& entries() const noexcept;
    bool operator==(const Inventory& other) const {
        return entries_ == other.entries_ || entries() == other.entries();
    }

private:
    Entries& own();  ///< shared with nobody

    std::shared_ptr<Entries> entries_;  ///< nullptr: none; written by own() only
};

/// "web_frontend_apps_Deployment".
[[nodiscard]] std::string inventory_id(const kube::ObjectId& id);
[[nodiscard]] std::optional<kube::ObjectId> parse_inventory_id(std::string_view text);

}  // namespace kled::gitops
