#include "kustomize/build.h"

#include "base/error.h"
#include "kube/yaml.h"
#include "kustomize/accumulate.h"
#include "kustomize/finish.h"
#include "kustomize/order.h"
#include "kustomize/scalar.h"
#include "kustomize/transformers.h"

#include <algorithm>
#include <array>

namespace kled::kustomize {

namespace {

using Clock = std::chrono::steady_clock;

/// Annotations kustomize and its functions keep for themselves: not part of the result.
constexpr std::array<std::string_view, 19> internal_annotations{
    "internal.config.kubernetes.io/previousKinds",
    "internal.config.kubernetes.io/previousNames",
    "internal.config.kubernetes.io/prefixes",
    "internal.config.kubernetes.io/suffixes",
    "internal.config.kubernetes.io/previousNamespaces",
    "internal.config.kubernetes.io/allowNameChange",
    "internal.config.kubernetes.io/allowKindChange",
    "internal.config.kubernetes.io/refBy",
    "internal.config.kubernetes.io/generatorBehavior",
    "internal.config.kubernetes.io/needsHashSuffix",
    "internal.config.kubernetes.io/path",
    "internal.config.kubernetes.io/index",
    "internal.config.kubernetes.io/seqindent",
    "internal.config.kubernetes.io/id",
    "internal.config.kubernetes.io/annotations-migration-resource-id",
    "config.kubernetes.io/path",
    "config.kubernetes.io/index",
    "config.k8s.io/id",
    "internal.config.kubernetes.io/helm-generated"};

constexpr auto origin_annotation = "config.kubernetes.io/origin";
constexpr auto transformations_annotation = "alpha.config.kubernetes.io/transformations";

/// The YAML kustomize writes there, in its order of keys. `indent` is for all but the first line.
std::string to_text(const Provenance& provenance, const std::string& indent) {
    std::string text;
    const auto line = [&](const char* key, const std::string& value) {
        if (value.empty()) return;
        if (!text.empty()) text += indent;
        text += key + std::string{": "} + kube::to_yaml(json::value(value));
    };
    if (!provenance.configured) line("path", provenance.path);
    line("repo", provenance.repo);
    line("ref", provenance.ref);
    if (!provenance.configured) return text;
    line("configuredIn", provenance.path);
    text += indent + "configuredBy:\n";
    line("  apiVersion", provenance.api_version);
    line("  kind", provenance.kind);
    line("  name", provenance.name);
    line("  namespace", provenance.ns);
    return text;
}

/// The annotations as they go out: text, without the internal ones, with what `buildMetadata` asks.
void finish_annotations(Resource& resource, const Kustomization& top) {
    auto& metadata = resource.object.metadata();
    json::object annotations;
    if (const auto* given = resource.metadata_map("annotations")) {
        for (const auto& annotation : *given) {
            const bool internal =
                std::find(internal_annotations.begin(), internal_annotations.end(),
                          std::string_view{annotation.key()}) != internal_annotations.end();
            if (internal || annotation.key() == origin_annotation ||
                annotation.key() == transformations_annotation) {
                continue;
            }
            annotations[annotation.key()] =
                resource.notation.spelling(annotation.key(), annotation.value());
        }
    }
    if (top.origin_annotations && resource.provenance) {
        annotations[origin_annotation] = to_text(*resource.provenance, "");
    }
    if (top.transformer_annotations && !resource.transformations.empty()) {
        std::string list;
        for (const auto& by : resource.transformations) list += "- " + to_text(by, "  ");
        annotations[transformations_annotation] = list;
    }
    const auto old = metadata.find("annotations");
    if (!annotations.empty()) {
        metadata["annotations"] = std::move(annotations);
    } else if (old != metadata.end()) {
        metadata.stable_erase(old);
    }
}

void put_in_order(ResourceMap& resources, const Kustomization& top, const BuildOptions& options) {
    if (top.sort_options) {
        if (!top.sort_options->legacy) return;
        sort_legacy(resources, top.sort_options->order.value_or(LegacyOrder::standard()));
    } else if (options.order == BuildOptions::Order::legacy) {
        sort_legacy(resources);
    }
}

class Stopwatch {
public:
    explicit Stopwatch(BuildResult& result) : result_{result} {}
    void phase(std::string name) {
        const auto now = Clock::now();
        result_.phases.push_back({std::move(name), now - since_});
        since_ = now;
    }

private:
    BuildResult& result_;
    Clock::time_point since_ = Clock::now();
};

void stop_on(const Problems& problems) {
    if (!problems.empty()) throw Error{ErrorKind::invalid, problems.text()};
}

}  // namespace

kube::LoadedObject finish(Resource& resource, const Kustomization& top) {
    const auto& id = resource.id;
    if (id.gvk.kind.empty() || (id.name.empty() && !id.gvk.kind.ends_with("List"))) {
        throw Error{ErrorKind::invalid, resource.describe() + ": no `" +
                                            (id.gvk.kind.empty() ? "kind" : "metadata.name") +
                                            "` is left in it"};
    }
    try {
        resource.notation.require_readable(resource.object.fields());
    } catch (const Error& error) {
        throw error.within(resource.describe());
    }
    resource.refold(false);
    finish_annotations(resource, top);
    return {.object = std::move(resource.object), .origin = std::move(resource.origin)};
}

bool is_local(const Resource& resource) {
    const auto* annotations = resource.metadata_map("annotations");
    const auto* local = annotations == nullptr
                            ? nullptr
                            : annotations->if_contains("config.kubernetes.io/local-config");
    return local != nullptr && !text_equals(*local, "false");
}

BuildResult build(const Files& files, const std::string& directory, const BuildOptions& options) {
    BuildResult result;
    Stopwatch time{result};
    Context context{.files = files, .options = options};
    const auto entry = files.find(directory);
    if (!entry) throw Error{ErrorKind::not_found, files.display(directory) + ": no such directory"};
    if (entry->kind != Files::Kind::directory) {
        const auto above = files.display(std::string{parent_of(directory)});
        throw Error{ErrorKind::not_found,
                    files.display(directory) +
                        ": a file; name the directory it is in: " + (above.empty() ? "." : above)};
    }
    const auto target = load_target(Root{context, entry->path}, true);
    const auto& top = target.kustomization;
    auto all = accumulate(target);
    stop_on(context.problems);
    time.phase("read and transform");

    add_hashes(all.resources);
    fix_name_references(all.resources, all.configuration->name_references);
    expand_variables(all.resources, all.variables.all(), all.configuration->variables, context);
    time.phase("names and references");

    for (const auto& item : all.resources.items()) item->removed = is_local(*item);
    all.resources.sweep();
    all.resources.check_distinct();
    put_in_order(all.resources, top, options);
    if (top.managed_by_label) {
        add_pairs(all.resources, {{"app.kubernetes.io/managed-by", "kustomize-v5.8.2"}},
                  {{.gvk = {}, .path = "metadata/labels", .create = true}});
    }
    for (auto& item : std::move(all.resources).take()) {
        result.objects.push_back(finish(*item, top));
    }
    result.warnings = std::move(context.warnings);
    time.phase("order");
    return result;
}

std::string BuildResult::to_yaml() const {
    std::vector<const json::object*> documents;
    documents.reserve(objects.size());
    for (const auto& loaded : objects) documents.push_back(&loaded.object.fields());
    return kube::to_yaml_stream(documents);
}

}  // namespace kled::kustomize
