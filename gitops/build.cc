#include "gitops/build.h"

#include "base/encoding.h"
#include "base/error.h"
#include "crypto/hash.h"
#include "gitops/transform/decrypted_files.h"
#include "kustomize/build.h"

#include <algorithm>

namespace kled::gitops {

namespace json = boost::json;

namespace {

void append(json::object& kustomization, std::string_view field, const json::array& more) {
    if (more.empty()) return;
    auto& list = kustomization[field];
    if (!list.is_array()) list.emplace_array();
    for (const auto& item : more) list.get_array().push_back(item);
}

/// The Kustomization's own image wins over the file's of the same name.
void merge_images(json::object& kustomization, const json::array& more) {
    if (more.empty()) return;
    auto& list = kustomization["images"];
    if (!list.is_array()) list.emplace_array();
    for (const auto& item : more) {
        const auto* name = kube::find(item, {"name"});
        auto& images = list.get_array();
        const auto same = std::ranges::find_if(images, [&](const json::value& other) {
            const auto* its = kube::find(other, {"name"});
            return name != nullptr && its != nullptr && *its == *name;
        });
        if (same == images.end()) {
            images.push_back(item);
        } else {
            *same = item;
        }
    }
}

json::array components_of(const git::Tree& tree, const Deployment& deployment) {
    if (!deployment.ignore_missing_components) return deployment.components;
    json::array there;
    for (const auto& item : deployment.components) {
        const bool remote = item.is_string() &&
                            std::string_view{item.get_string()}.find("://") != std::string::npos;
        if (!item.is_string() || remote ||
            tree.find(deployment.path + "/" + std::string{item.get_string()})) {
            there.push_back(item);
        }
    }
    return there;
}

void amend(const git::Tree& tree, const Deployment& deployment, json::object& kustomization) {
    const auto set = [&](std::string_view field, const std::string& value) {
        if (!value.empty()) kustomization[field] = value;
    };
    set("namespace", deployment.target_namespace);
    set("namePrefix", deployment.name_prefix);
    set("nameSuffix", deployment.name_suffix);
    append(kustomization, "components", components_of(tree, deployment));
    append(kustomization, "buildMetadata", deployment.build_metadata);
    append(kustomization, "patches", deployment.patches);
    merge_images(kustomization, deployment.images);
}

}  // namespace

Built build(git::Mirror& mirror, const git::Revision& revision, const Deployment& deployment,
            const SopsKeys* keys) {
    const git::Tree tree{mirror, revision};
    kustomize::BuildOptions options;
    options.order = kustomize::BuildOptions::Order::none;  // the order of application is our own
    options.load_anywhere = true;                          // anywhere in the repository
    options.generate_missing = true;
    options.amend = [&](json::object& kustomization) { amend(tree, deployment, kustomization); };
    kustomize::BuildResult result;
    try {
        result = keys == nullptr
                     ? kustomize::build(tree, deployment.path, options)
                     : kustomize::build(DecryptedFiles{tree, *keys}, deployment.path, options);
    } catch (const Error& error) {
        std::string message = error.what();
        for (const auto& remark : tree.remarks()) message += "\n" + remark;
        throw Error{error.kind(), message};
    }
    Built built{.objects = std::move(result.objects),
                .digest = {},
                .warnings = std::move(result.warnings),
                .read_set = tree.read_set()};
    crypto::Sha256Stream digest;
    for (auto& [object, origin] : built.objects) {
        for (const auto& [key, value] : deployment.common_labels) object.set_label(key, value);
        for (const auto& [key, value] : deployment.common_annotations)
            object.set_annotation(key, value);
        digest.update(kube::to_canonical_json(json::value(object.fields())));
        digest.update("\n");
    }
    const auto sum = digest.finish();
    built.digest = "sha256:" + to_hex({reinterpret_cast<const char*>(sum.data()), sum.size()});
    return built;
}

}  // namespace kled::gitops
