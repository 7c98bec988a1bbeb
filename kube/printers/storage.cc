#include "kube/printers/row.h"

#include <algorithm>
#include <array>
#include <utility>

namespace kled::kube::printers {

namespace {

std::string access_modes(const json::value* modes) {
    static constexpr std::array<std::pair<std::string_view, std::string_view>, 4> short_names{
        {{"ReadWriteOnce", "RWO"},
         {"ReadOnlyMany", "ROX"},
         {"ReadWriteMany", "RWX"},
         {"ReadWriteOncePod", "RWOP"}}};
    std::vector<std::string_view> shown_modes;
    for (const auto& [mode, name] : short_names) {
        if (std::ranges::any_of(elements(modes), [&](const json::value& each) {
                return each.is_string() && each.get_string() == mode;
            }))
            shown_modes.push_back(name);
    }
    return joined(shown_modes, ",");
}

std::string storage_class(const Row& row) {
    return text_or(row.object.annotation("volume.beta.kubernetes.io/storage-class"),
                   row.text({"spec", "storageClassName"}));
}

std::string phase(const Row& row) {
    return row.object.deleting() ? "Terminating" : std::string{row.text({"status", "phase"})};
}

void volume_cells(Row& row) {
    std::string claim;
    if (row.at({"spec", "claimRef"}) != nullptr)
        claim = std::string{row.text({"spec", "claimRef", "namespace"})} + "/" +
                std::string{row.text({"spec", "claimRef", "name"})};
    row.name()
        .add(quantity(row.at({"spec", "capacity", "storage"})))
        .add(access_modes(row.at({"spec", "accessModes"})))
        .add(row.text({"spec", "persistentVolumeReclaimPolicy"}));
    row.add(phase(row))
        .add(claim)
        .add(storage_class(row))
        .add(text_or(row.text({"spec", "volumeAttributesClassName"}), unset))
        .add(row.text({"status", "reason"}))
        .age();
    row.add(text_or(row.text({"spec", "volumeMode"}), unset));
}

void volume_claim_cells(Row& row) {
    const auto volume = row.text({"spec", "volumeName"});
    row.name().add(phase(row)).add(volume);
    if (volume.empty()) {
        row.add("").add("");
    } else {
        row.add(quantity(row.at({"status", "capacity", "storage"})))
            .add(access_modes(row.at({"status", "accessModes"})));
    }
    row.add(storage_class(row))
        .add(text_or(row.text({"spec", "volumeAttributesClassName"}), unset))
        .age()
        .add(text_or(row.text({"spec", "volumeMode"}), unset));
}

void storage_class_cells(Row& row) {
    const bool is_default =
        row.object.annotation("storageclass.kubernetes.io/is-default-class") == "true" ||
        row.object.annotation("storageclass.beta.kubernetes.io/is-default-class") == "true";
    row.add(std::string{row.object.name()} + (is_default ? " (default)" : ""))
        .add(row.text({"provisioner"}))
        .add(text_or(row.text({"reclaimPolicy"}), "Delete"));
    row.add(text_or(row.text({"volumeBindingMode"}), "Immediate"))
        .flag(truth(row.at({"allowVolumeExpansion"})))
        .age();
}

void csi_driver_cells(Row& row) {
    std::vector<std::string> modes;
    for (const auto& mode : elements(row.at({"spec", "volumeLifecycleModes"})))
        modes.push_back(shown(&mode, ""));
    const auto* const requests = row.at({"spec", "tokenRequests"});
    std::vector<std::string_view> audiences;
    for (const auto& request : elements(requests)) audiences.push_back(text(request, {"audience"}));
    row.name()
        .flag(truth(row.at({"spec", "attachRequired"}), true))
        .flag(truth(row.at({"spec", "podInfoOnMount"})))
        .flag(truth(row.at({"spec", "storageCapacity"})));
    row.add(requests == nullptr ? std::string{unset} : joined(audiences, ","))
        .flag(truth(row.at({"spec", "requiresRepublish"})))
        .add(modes.empty() ? std::string{none} : joined(modes, ","))
        .age();
}

void csi_node_cells(Row& row) {
    row.name().add(static_cast<std::int64_t>(size_of(row.at({"spec", "drivers"})))).age();
}

void attributes_class_cells(Row& row) { row.name().add(row.text({"driverName"})).age(); }

void attachment_cells(Row& row) {
    row.name()
        .add(row.text({"spec", "attacher"}))
        .add(row.text({"spec", "source", "persistentVolumeName"}))
        .add(row.text({"spec", "nodeName"}))
        .flag(truth(row.at({"status", "attached"})))
        .age();
}

constexpr std::string_view storage = "storage.k8s.io";

constexpr Kind kinds[] = {
    {"", "PersistentVolume",
     "Name|Capacity|Access Modes|Reclaim "
     "Policy|Status|Claim|StorageClass|VolumeAttributesClass|Reason|Age|VolumeMode+",
     cells_of<volume_cells>},
    {"", "PersistentVolumeClaim",
     "Name|Status|Volume|Capacity|Access Modes|StorageClass|VolumeAttributesClass|Age|VolumeMode+",
     cells_of<volume_claim_cells>},
    {storage, "StorageClass",
     "Name|Provisioner|ReclaimPolicy|VolumeBindingMode|AllowVolumeExpansion|Age",
     cells_of<storage_class_cells>},
    {storage, "CSIDriver",
     "Name|AttachRequired?|PodInfoOnMount?|StorageCapacity?|TokenRequests|RequiresRepublish?|Modes|"
     "Age",
     cells_of<csi_driver_cells>},
    {storage, "CSINode", "Name|Drivers#|Age", cells_of<csi_node_cells>},
    {storage, "CSIStorageCapacity", "Name|Created At@", cells_of<created_at_cells>},
    {storage, "VolumeAttachment", "Name|Attacher!|PV|Node|Attached?|Age",
     cells_of<attachment_cells>},
    {storage, "VolumeAttributesClass", "Name|DriverName|Age", cells_of<attributes_class_cells>},
};

}  // namespace

std::span<const Kind> storage_kinds() noexcept { return kinds; }

}  // namespace kled::kube::printers
