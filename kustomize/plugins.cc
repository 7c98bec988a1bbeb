#include "kustomize/plugins.h"

#include "base/error.h"
#include "kustomize/field_spec.h"
#include "kustomize/helm.h"
#include "kustomize/scalar.h"
#include "kustomize/selector.h"
#include "kustomize/transformers.h"

#include <array>
#include <string_view>

namespace kled::kustomize {

namespace {

/// A plugin's configuration on its way to a plain struct.
struct Configured {
    json::value value;
    kube::Origin origin;
    const Root& root;

    /// Error(invalid) with all that is wrong in it.
    template <typename Read>
    void read(Read read_fields) const {
        Problems problems;
        Document document{.origin = origin, .problems = problems, .strict = false};
        {
            Fields fields{value, "", document};
            read_fields(fields);
        }
        if (!problems.empty()) throw Error{ErrorKind::invalid, problems.text()};
    }
};

FieldSpecs field_specs(Fields& fields) {
    FieldSpecs specs;
    fields.each("fieldSpecs", [&](Fields& spec) { specs.append(read_field_spec(spec)); });
    return specs;
}

void annotations(ResourceMap& resources, const Configured& c) {
    c.read([&](Fields& f) { add_pairs(resources, f.pairs("annotations"), field_specs(f)); });
}

void labels(ResourceMap& resources, const Configured& c) {
    c.read([&](Fields& f) { add_pairs(resources, f.pairs("labels"), field_specs(f)); });
}

void hash(ResourceMap& resources, const Configured&) { add_hashes(resources); }

void image_tag(ResourceMap& resources, const Configured& c) {
    std::vector<Image> images;
    FieldSpecs specs;
    c.read([&](Fields& f) {
        specs = field_specs(f);
        f.inside("imageTag", [&](Fields& image) { images.push_back(read_image(image)); });
    });
    set_images(resources, images, specs);
}

Subjects subjects_of(const std::string& mode) {
    if (mode.empty() || mode == "defaultOnly") return Subjects::named_default;
    if (mode == "allServiceAccounts") return Subjects::all_service_accounts;
    if (mode == "none") return Subjects::none;
    throw Error{
        ErrorKind::invalid,
        "setRoleBindingSubjects: expected defaultOnly, allServiceAccounts or none, found " + mode};
}

void name_space(ResourceMap& resources, const Configured& c) {
    NamespaceChange change;
    FieldSpecs specs;
    c.read([&](Fields& f) {
        f.inside("metadata", [&](Fields& metadata) { change.ns = metadata.text("namespace"); });
        change.unset_only = f.flag("unsetOnly");
        change.subjects = subjects_of(f.text("setRoleBindingSubjects"));
        specs = field_specs(f);
    });
    set_namespace(resources, change, specs);
}

void json_patch(ResourceMap& resources, const Configured& c) {
    Patch patch;
    c.read([&](Fields& f) {
        patch.path = f.text("path");
        patch.text = f.text("jsonOp");
        f.inside("target", [&](Fields& target) { patch.target = read_selector(target); });
    });
    apply_json_patch(resources, patch, c.root);
}

void strategic_patches(ResourceMap& resources, const Configured& c) {
    std::vector<std::string> paths;
    std::string text;
    c.read([&](Fields& f) {
        paths = f.texts("paths");
        text = f.text("patches");
    });
    if (paths.empty() && text.empty())
        throw Error{ErrorKind::invalid, "needs `paths` or `patches`"};
    std::size_t applied = 0;
    for (const auto& path : paths) applied += apply_strategic_patches(resources, path, c.root);
    if (!text.empty()) applied += apply_strategic_text(resources, text, "patches", c.root);
    if (applied == 0) throw Error{ErrorKind::invalid, "there is no patch in it"};
}

void patch(ResourceMap& resources, const Configured& c) {
    Patch patch;
    c.read([&](Fields& f) { patch = read_patch(f); });
    apply_patch(resources, patch, c.root);
}

void affix(ResourceMap& resources, const Configured& c, Affix affix, std::string_view name) {
    c.read([&](Fields& f) {
        const auto text = f.text(name);
        if (!f.has("fieldSpecs")) throw Error{ErrorKind::invalid, "needs `fieldSpecs`"};
        add_affix(resources, affix, text, field_specs(f));
    });
}

void prefix(ResourceMap& resources, const Configured& c) {
    affix(resources, c, Affix::prefix, "prefix");
}

void suffix(ResourceMap& resources, const Configured& c) {
    affix(resources, c, Affix::suffix, "suffix");
}

void prefix_and_suffix(ResourceMap& resources, const Configured& c) {
    prefix(resources, c);
    suffix(resources, c);
}

void replacement(ResourceMap& resources, const Configured& c) {
    std::vector<Replacement> replacements;
    c.read([&](Fields& f) {
        f.each("replacements",
               [&](Fields& each) { replacements.push_back(read_replacement(each)); });
    });
    for (const auto& each : replacements) apply_replacement(resources, each, c.root);
}

void replica_count(ResourceMap& resources, const Configured& c) {
    Replica replica;
    FieldSpecs specs;
    c.read([&](Fields& f) {
        f.inside("replica", [&](Fields& each) { replica = read_replica(each); });
        specs = field_specs(f);
    });
    set_replicas(resources, replica, specs);
}

/// Puts `part` into a path: at `position`, counted without a leading '/'; behind the last when
/// there are not as many.
std::string insert_part(const std::string& path, std::size_t position, const std::string& part) {
    if (path.empty()) return part;
    const bool absolute = path.starts_with('/');
    std::vector<std::string> parts;
    for (const auto& each :
         split_path(absolute ? std::string_view{path}.substr(1) : std::string_view{path}, '/')) {
        if (!each.empty()) parts.push_back(each);
    }
    parts.insert(parts.begin() + static_cast<std::ptrdiff_t>(std::min(position, parts.size())),
                 part);
    std::string joined;
    for (std::size_t i = 0; i < parts.size(); ++i)
        joined += (i > 0 || absolute ? "/" : "") + parts[i];
    return joined;
}

struct Addition {
    std::optional<Selector> selector;
    std::string field_path;
    std::int64_t position = 0;
};

void read_additions(Fields& fields, std::vector<Addition>& additions) {
    fields.each("targets", [&](Fields& f) {
        Addition addition{.selector = std::nullopt,
                          .field_path = f.text("fieldPath"),
                          .position = f.integer("filePathPosition")};
        f.inside("selector", [&](Fields& s) { addition.selector = read_selector(s); });
        if (addition.field_path.empty()) f.problem("fieldPath: is empty");
        if (addition.position < 0) f.problem("filePathPosition: is negative");
        additions.push_back(std::move(addition));
    });
}

void add_value(Resource& resource, const Addition& addition, const std::string& text) {
    const FieldSpec spec{.gvk = {}, .path = addition.field_path, .create = true};
    visit(resource, spec, Make::text, [&](json::value& field) {
        if (field.is_object() || field.is_array()) {
            throw Error{ErrorKind::invalid, addition.field_path + " is a " +
                                                std::string{type_name(field)} + ", not text"};
        }
        set_text(field, addition.position > 0
                            ? insert_part(text_of(field),
                                          static_cast<std::size_t>(addition.position - 1), text)
                            : text);
    });
}

void value_add(ResourceMap& resources, const Configured& c) {
    std::string value;
    std::string targets_file;
    std::vector<Addition> additions;
    c.read([&](Fields& f) {
        value = f.text("value");
        targets_file = f.text("targetFilePath");
        read_additions(f, additions);
    });
    if (value.empty()) value = c.root.directory().substr(c.root.directory().rfind('/') + 1);
    if (!targets_file.empty()) {
        auto file = read_document(c.root, targets_file);
        const Configured more{std::move(file.value), std::move(file.origin), c.root};
        more.read([&](Fields& f) { read_additions(f, additions); });
    }
    if (additions.empty()) throw Error{ErrorKind::invalid, "needs `targets`"};
    for (const auto& addition : additions) {
        ResourceMap::Hits hits;
        if (addition.selector) {
            hits = Matcher{*addition.selector}.select(resources);
        } else {
            for (const auto& item : resources.items()) hits.push_back(item.get());
        }
        for (auto* resource : hits) {
            if (addition.field_path == "metadata/namespace") {
                set_namespace(*resource, {.ns = value}, {});
            } else {
                add_value(*resource, addition, value);
            }
            resources.changed(*resource);
        }
    }
}

struct Transformer {
    std::string_view kind;
    void (*run)(ResourceMap&, const Configured&);
};
constexpr std::array<Transformer, 14> transformers{{
    {"AnnotationsTransformer", annotations},
    {"HashTransformer", hash},
    {"ImageTagTransformer", image_tag},
    {"LabelTransformer", labels},
    {"NamespaceTransformer", name_space},
    {"PatchJson6902Transformer", json_patch},
    {"PatchStrategicMergeTransformer", strategic_patches},
    {"PatchTransformer", patch},
    {"PrefixSuffixTransformer", prefix_and_suffix},
    {"PrefixTransformer", prefix},
    {"ReplacementTransformer", replacement},
    {"ReplicaCountTransformer", replica_count},
    {"SuffixTransformer", suffix},
    {"ValueAddTransformer", value_add},
}};

ResourceMap::Item generate_data(const Configured& c, bool secret) {
    Generator generator;
    c.read([&](Fields& f) {
        generator = read_generator(f, secret);
        f.inside("metadata", [&](Fields& metadata) {
            if (generator.name.empty()) generator.name = metadata.text("name");
            if (generator.ns.empty()) generator.ns = metadata.text("namespace");
        });
    });
    generator.at.clear();  // the caller says where
    return generate(generator, c.root);
}

/// A service account bound to one of Google's.
ResourceMap::Item generate_gke_account(const Configured& c) {
    std::string cloud, name, ns, account, project;
    c.read([&](Fields& f) {
        cloud = f.text("cloud");
        f.inside("kubernetesService", [&](Fields& service) {
            name = service.text("name");
            ns = service.text("namespace");
        });
        f.inside("serviceAccount", [&](Fields& service) {
            account = service.text("name");
            project = service.text("projectId");
        });
    });
    if (cloud != "gke") throw Error{ErrorKind::invalid, "cloud: expected gke, found " + cloud};
    auto resource = std::make_unique<Resource>();
    auto& fields = resource->object.fields();
    fields["apiVersion"] = "v1";
    fields["kind"] = "ServiceAccount";
    auto& metadata = fields["metadata"].emplace_object();
    metadata["name"] = name;
    if (!ns.empty()) metadata["namespace"] = ns;
    metadata["annotations"] = json::object{
        {"iam.gke.io/gcp-service-account", account + "@" + project + ".iam.gserviceaccount.com"}};
    resource->refresh();
    return resource;
}

void require_builtin(const Resource& configuration, std::string_view what) {
    if (configuration.id.gvk.group.empty() && configuration.id.gvk.version == "builtin") return;
    throw Error{ErrorKind::denied,
                configuration.describe() + ": only `apiVersion: builtin` " + std::string{what} +
                    " are run; exec, container and Go plugins are not supported"};
}

}  // namespace

void run_transformer(ResourceMap& resources, const Resource& configuration, const Root& root) {
    require_builtin(configuration, "transformers");
    for (const auto& transformer : transformers) {
        if (transformer.kind != configuration.id.gvk.kind) continue;
        const Configured configured{configuration.object.fields(), configuration.origin, root};
        transformer.run(resources, configured);
        return;
    }
    throw Error{ErrorKind::invalid, "there is no builtin transformer " + configuration.id.gvk.kind};
}

std::vector<ResourceMap::Item> run_generator(const Resource& configuration, const Root& root) {
    require_builtin(configuration, "generators");
    const Configured configured{configuration.object.fields(), configuration.origin, root};
    std::vector<ResourceMap::Item> items;
    const auto& kind = configuration.id.gvk.kind;
    if (kind == "ConfigMapGenerator" || kind == "SecretGenerator") {
        items.push_back(generate_data(configured, kind == "SecretGenerator"));
    } else if (kind == "IAMPolicyGenerator") {
        items.push_back(generate_gke_account(configured));
    } else if (kind == "HelmChartInflationGenerator") {
        HelmChart chart;
        configured.read([&](Fields& f) {
            chart = read_chart(f);
            read_chart_globals(f, chart);
        });
        items = inflate(std::move(chart), root);
    } else {
        throw Error{ErrorKind::invalid, "there is no builtin generator " + kind};
    }
    return items;
}

}  // namespace kled::kustomize
