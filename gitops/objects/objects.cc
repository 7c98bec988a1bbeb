#include "gitops/objects/objects.h"

#include "base/error.h"
#include "gitops/image/group.h"
#include "gitops/objects/annotations.h"
#include "gitops/objects/source_kinds.h"
#include "gitops/pipeline/pipeline.h"
#include "gitops/store/file_store.h"

#include <algorithm>
#include <array>
#include <tuple>
#include <utility>

namespace kled::gitops {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

struct Kind {
    std::string_view group;
    std::string_view kind;
    std::string_view plural;
    std::array<std::string_view, 3> short_names;
};
constexpr std::array kinds{
    Kind{source_group, "GitRepository", "gitrepositories", {"gitrepo", "git", {}}},
    Kind{source_group, "Bucket", "buckets", {}},
    Kind{source_group, "ExternalArtifact", "externalartifacts", {"ea", {}, {}}},
    Kind{source_group, "OCIRepository", "ocirepositories", {"ocirepo", "oci", {}}},
    Kind{kustomize_group, "Kustomization", "kustomizations", {"ks", {}, {}}},
    Kind{"edge.kled.io", "EdgeDeployment", "edgedeployments", {"edeploy", "ed", {}}},
    Kind{image_group, "ImageRepository", "imagerepositories", {"imgrepo", "imagerepo", {}}},
    Kind{image_group, "ImagePolicy", "imagepolicies", {"imgpol", "imagepol", {}}},
    Kind{image_group,
         "ImageUpdateAutomation",
         "imageupdateautomations",
         {"iua", "imgupd", "imgauto"}},
    Kind{pipeline_group, pipeline_kind, "pipelines", {"pl", {}, {}}},
};

const kube::GroupVersionKind config_map{.group = "", .version = "v1", .kind = "ConfigMap"};

std::size_t rank(const kube::Object& object) {
    return static_cast<std::size_t>(std::ranges::find(kinds, object.kind(), &Kind::kind) -
                                    kinds.begin());
}

bool same_without_case(std::string_view a, std::string_view b) {
    return std::ranges::equal(
        a, b, [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

/// "kustomize.toolkit.fluxcd.io", "v1.kustomize.toolkit.fluxcd.io", or nothing.
bool is_of_group(std::string_view group, std::string_view qualifier) {
    const auto dot = qualifier.find('.');
    const bool version = qualifier.size() > 1 && (qualifier[0] == 'v' || qualifier[0] == 'V') &&
                         qualifier[1] >= '0' && qualifier[1] <= '9';
    if (version && dot != std::string_view::npos) qualifier.remove_prefix(dot + 1);
    return qualifier.empty() || same_without_case(group, qualifier);
}

bool is_named(const Kind& kind, std::string_view word) {
    const auto dot = word.find('.');
    const auto name = word.substr(0, dot);
    const auto qualifier =
        dot == std::string_view::npos ? std::string_view{} : word.substr(dot + 1);
    if (name.empty() || !is_of_group(kind.group, qualifier)) return false;
    const auto is = [&](std::string_view other) { return same_without_case(other, name); };
    return is(kind.kind) || is(kind.plural) || std::ranges::any_of(kind.short_names, is) ||
           (is_source_kind(kind.kind) && (is("source") || is("sources")));
}

asio::awaitable<void> merge(kube::Client& client, const FoundObject& found, json::object patch,
                            json::object state_patch) {
    const bool kept = !found.state.empty();
    const auto gvk = kept ? config_map : found.object.gvk();
    const std::string ns{kept ? found.state_namespace : std::string{found.object.ns()}};
    const std::string name{kept ? found.state : std::string{found.object.name()}};
    const json::value body(kept ? std::move(state_patch) : std::move(patch));
    const std::string whole;
    co_await client.patch(gvk, ns, name, kube::PatchType::merge, body, whole);
}

/// What stands for an image object's progress: its tags, its image, its last commit.
std::string image_revision(const kube::Object& object) {
    const auto& status = *object.status();
    if (object.kind() == "ImagePolicy")
        return std::string{kube::find_string(status, {"latestRef", "tag"})};
    if (object.kind() == "ImageUpdateAutomation") {
        const auto commit = kube::find_string(status, {"lastPushCommit"});
        return commit.empty() ? std::string{} : "sha1:" + std::string{commit};
    }
    const auto* count = kube::find(status, {"lastScanResult", "tagCount"});
    return count != nullptr && count->is_int64() ? std::to_string(count->get_int64()) + " tags"
                                                 : std::string{};
}

std::string_view image_state(std::string_view kind) {
    if (kind == "ImageRepository") return "Scanned";
    return kind == "ImagePolicy" ? "Elected" : "UpToDate";
}

}  // namespace

asio::awaitable<std::vector<FoundObject>> find_objects(kube::Client& client, std::string ns) {
    std::vector<FoundObject> result;
    kube::ListOptions options;
    options.ns = ns;
    for (const auto& kind : kinds) {
        const kube::ObjectId id{
            .group = std::string{kind.group}, .kind = std::string{kind.kind}, .ns = {}, .name = {}};
        const auto mapping = co_await client.map(id);
        if (!mapping) continue;
        const kube::GroupVersionKind gvk{
            .group = id.group, .version = mapping->resource.version, .kind = id.kind};
        auto list = co_await client.list(gvk, options);
        for (auto& item : list.items)
            result.push_back({.object = std::move(item), .state = {}, .state_namespace = {}});
    }
    kube::ListOptions states;
    states.label_selector = std::string{state_label} + "=true";
    auto list = co_await client.list(config_map, states);
    for (const auto& item : list.items) {
        auto object = kept_object(item);
        if (!object || (!ns.empty() && object->ns() != ns)) continue;
        result.push_back({.object = std::move(*object),
                          .state = std::string{item.name()},
                          .state_namespace = std::string{item.ns()}});
    }
    std::ranges::stable_sort(result, [](const FoundObject& a, const FoundObject& b) {
        const auto key = [](const kube::Object& o) {
            return std::tuple{rank(o), o.ns(), o.name()};
        };
        return key(a.object) < key(b.object);
    });
    co_return result;
}

std::vector<std::string_view> kinds_named(std::string_view word) {
    std::vector<std::string_view> result;
    for (const auto& kind : kinds)
        if (is_named(kind, word)) result.push_back(kind.kind);
    return result;
}

std::string known_kinds() {
    std::string result = "sources";
    for (const auto& kind : kinds) {
        result.append(", ").append(kind.plural);
        std::string more;
        for (const auto name : kind.short_names)
            if (!name.empty()) more.append(more.empty() ? "" : ", ").append(name);
        if (!more.empty()) result += " (" + more + ")";
    }
    return result;
}

const FoundObject& select(const std::vector<FoundObject>& objects, std::string_view name) {
    const auto slash = name.find('/');
    const auto type = slash == std::string_view::npos ? std::string_view{} : name.substr(0, slash);
    const auto wanted = slash == std::string_view::npos ? name : name.substr(slash + 1);
    const auto meant = kinds_named(type);
    if (!type.empty() && meant.empty()) {
        throw Error{ErrorKind::not_found,
                    "there is no kind '" + std::string{type} + "'; there are " + known_kinds()};
    }
    const FoundObject* found = nullptr;
    std::string all;
    for (const auto& candidate : objects) {
        const auto& object = candidate.object;
        if (object.name() != wanted) continue;
        if (!type.empty() && std::ranges::find(meant, object.kind()) == meant.end()) continue;
        all += (all.empty() ? "" : ", ") + key_of(object).to_string();
        if (found != nullptr)
            throw Error{ErrorKind::invalid, "which one: " + all + "? (KIND/NAME, -n NAMESPACE)"};
        found = &candidate;
    }
    if (found == nullptr) {
        throw Error{ErrorKind::not_found, "there is no '" + std::string{name} +
                                              "'; `kled gitops get` shows what there is"};
    }
    return *found;
}

asio::awaitable<void> request_reconcile(kube::Client& client, const FoundObject& found,
                                        std::string token) {
    const std::map<std::string, std::string> annotations{
        {std::string{requested_at}, std::move(token)}};
    co_await annotate(client, found, annotations);
}

asio::awaitable<void> annotate(kube::Client& client, const FoundObject& found,
                               const std::map<std::string, std::string>& annotations) {
    auto patch = annotation_patch(annotations);
    auto state_patch = patch;
    co_await merge(client, found, std::move(patch), std::move(state_patch));
}

asio::awaitable<void> set_suspended(kube::Client& client, const FoundObject& found,
                                    bool suspended) {
    json::object spec;
    spec["suspend"] = suspended;
    json::object patch;
    patch["spec"] = std::move(spec);
    auto state_patch =
        annotation_patch({{std::string{suspend_annotation}, suspended ? "true" : "false"}});
    co_await merge(client, found, std::move(patch), std::move(state_patch));
}

asio::awaitable<std::optional<kube::Object>> read_again(kube::Client& client,
                                                        const FoundObject& found) {
    if (found.state.empty()) {
        const std::string ns{found.object.ns()};
        const std::string name{found.object.name()};
        co_return co_await client.get(found.object.gvk(), ns, name);
    }
    const auto state = co_await client.get(config_map, found.state_namespace, found.state);
    if (!state) co_return std::nullopt;
    co_return kept_object(*state);
}

namespace {

/// Whether something else will end it.
bool waits(std::string_view reason) {
    return reason == "DependencyNotReady" || reason == "WaitingForPromotion" ||
           reason == "OutsideDeployWindow";
}

}  // namespace

Summary summarise(const kube::Object& object) {
    const auto conditions = Conditions::from_status(object.status());
    const bool source = is_source_kind(object.kind());
    const bool image = object.kind().starts_with("Image");
    const bool pipeline = object.kind() == pipeline_kind;
    Summary result;
    const auto* ready = conditions.find("Ready");
    if (ready == nullptr) ready = conditions.find("Rendered");
    result.ready = ready == nullptr ? "Unknown" : ready->status;
    result.message = ready == nullptr ? "not looked at yet" : ready->message;
    if (object.status() != nullptr && image) {
        result.revision = image_revision(object);
    } else if (object.status() != nullptr) {
        result.revision = source     ? kube::find_string(*object.status(), {"artifact", "revision"})
                          : pipeline ? kube::find_string(*object.status(), {"revision"})
                                     : kube::find_string(*object.status(), {"lastAppliedRevision"});
    }
    const auto* suspend =
        object.spec() == nullptr ? nullptr : kube::find(*object.spec(), {"suspend"});
    if (suspend != nullptr && suspend->is_bool() && suspend->get_bool()) {
        result.state = "Suspended";
    } else if (conditions.is_true("Stalled")) {
        result.state = "Stalled";
    } else if (result.ready == "False") {
        result.state = ready != nullptr && waits(ready->reason) ? "Waiting" : "Failed";
    } else if (conditions.is_true("Reconciling") || result.ready == "Unknown") {
        result.state = "Reconciling";
    } else {
        result.state = image                           ? image_state(object.kind())
                       : source                        ? "Fetched"
                       : pipeline                      ? "Passed"
                       : conditions.is_true("Healthy") ? "Healthy"
                                                       : "Applied";
    }
    return result;
}

}  // namespace kled::gitops
