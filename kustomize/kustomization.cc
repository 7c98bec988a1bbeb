#include "kustomize/kustomization.h"

#include <array>
#include <string_view>

namespace kled::kustomize {

namespace {

constexpr std::string_view kustomization_version = "kustomize.config.k8s.io/v1beta1";
constexpr std::string_view component_version = "kustomize.config.k8s.io/v1alpha1";

GeneratorOptions read_options(Fields& f) {
    return {.labels = f.pairs("labels"),
            .annotations = f.pairs("annotations"),
            .disable_name_suffix_hash = f.flag("disableNameSuffixHash"),
            .immutable = f.flag("immutable")};
}

HelmChart read_old_chart(Fields& fields);

class Reader {
public:
    Reader(const json::value& value, Document& document, std::vector<std::string>& warnings)
        : document_{document}, warnings_{warnings}, fields_{value, "", document} {}

    Kustomization read() {
        Kustomization k;
        k.file = document_.origin.file;
        read_kind(k);
        (void)fields_.raw("metadata");
        k.ns = fields_.text("namespace");
        k.name_prefix = fields_.text("namePrefix");
        k.name_suffix = fields_.text("nameSuffix");
        k.common_annotations = fields_.pairs("commonAnnotations");
        k.common_labels = fields_.pairs("commonLabels");
        k.open_api = fields_.pairs("openapi");
        k.resources = entries("resources");
        append(k.resources, entries("bases"));
        k.components = entries("components");
        k.crds = entries("crds");
        k.configurations = entries("configurations");
        k.generators = entries("generators");
        k.transformers = entries("transformers");
        k.validators = entries("validators");
        k.strategic_patches = entries("patchesStrategicMerge");
        k.json_patches = all<Patch>("patchesJson6902", read_patch);
        k.patches = all<Patch>("patches", read_patch);
        k.images = all<Image>("images", read_image);
        append(k.images, all<Image>("imageTags", read_image));
        k.replicas = all<Replica>("replicas", read_replica);
        k.replacements = all<Replacement>("replacements", read_replacement);
        read_labels(k);
        read_generators(k);
        read_variables(k);
        k.sort_options = read_sort_options(fields_);
        read_build_metadata(k);
        read_charts(k);
        warn();
        return k;
    }

private:
    template <typename T, typename ReadOne>
    std::vector<T> all(std::string_view name, ReadOne read_one) {
        std::vector<T> items;
        fields_.each(name, [&](Fields& item) { items.push_back(read_one(item)); });
        return items;
    }

    template <typename T>
    static void append(std::vector<T>& to, std::vector<T> from) {
        for (auto& item : from) to.push_back(std::move(item));
    }

    std::vector<Entry> entries(std::string_view name) {
        std::vector<Entry> items;
        for (auto& text : fields_.texts(name)) {
            const auto pointer = "/" + std::string{name} + "/" + std::to_string(items.size());
            items.push_back({std::move(text), document_.at(pointer)});
        }
        return items;
    }

    void problem(std::string_view field, const std::string& what) {
        document_.problems.add(document_.at("/" + std::string{field}) + what);
    }

    void read_kind(Kustomization& k) {
        const auto kind = fields_.text("kind");
        const auto version = fields_.text("apiVersion");
        k.component = kind == "Component";
        if (!kind.empty() && kind != "Kustomization" && !k.component) {
            problem("kind", "expected Kustomization or Component, found " + kind);
        }
        const auto wanted = k.component ? component_version : kustomization_version;
        if (!version.empty() && version != wanted) {
            problem("apiVersion", "expected " + std::string{wanted} + ", found " + version);
        }
    }

    void read_labels(Kustomization& k) {
        fields_.each("labels", [&](Fields& item) {
            Labels labels{.pairs = item.pairs("pairs"),
                          .include_selectors = item.flag("includeSelectors"),
                          .include_templates = item.flag("includeTemplates"),
                          .include_claims = item.flag("includeVolumeClaimTemplates"),
                          .fields = {}};
            item.each("fields", [&](Fields& spec) { labels.fields.append(read_field_spec(spec)); });
            k.labels.push_back(std::move(labels));
        });
    }

    void read_charts(Kustomization& k) {
        k.charts = all<HelmChart>("helmCharts", read_chart);
        append(k.charts, all<HelmChart>("helmChartInflationGenerator", read_old_chart));
        fields_.inside("helmGlobals", [&](Fields& f) {
            HelmChart globals;
            read_chart_globals(f, globals);
            for (auto& chart : k.charts) {
                if (!globals.chart_home.empty()) chart.chart_home = globals.chart_home;
                if (!globals.config_home.empty()) chart.config_home = globals.config_home;
            }
        });
    }

    void read_generators(Kustomization& k) {
        k.config_maps = all<Generator>("configMapGenerator",
                                       [](Fields& f) { return read_generator(f, false); });
        k.secrets =
            all<Generator>("secretGenerator", [](Fields& f) { return read_generator(f, true); });
        GeneratorOptions global;
        fields_.inside("generatorOptions", [&](Fields& f) { global = read_options(f); });
        for (auto& generator : k.config_maps) merge_options(generator.options, global);
        for (auto& generator : k.secrets) merge_options(generator.options, global);
    }

    void read_variables(Kustomization& k) {
        fields_.each("vars", [&](Fields& item) {
            Variable variable{.name = item.text("name"),
                              .object = {},
                              .field_path = "metadata.name",
                              .at = item.at()};
            item.inside("objref", [&](Fields& ref) {
                variable.object.gvk = read_gvk(ref);
                if (const auto version = ref.text("apiVersion"); !version.empty()) {
                    const auto kind = variable.object.gvk.kind;
                    variable.object.gvk = Gvk::parse(version, kind);
                }
                variable.object.name = ref.text("name");
                variable.object.ns = ref.text("namespace");
            });
            item.inside("fieldref", [&](Fields& ref) {
                if (auto path = ref.text("fieldPath"); !path.empty())
                    variable.field_path = std::move(path);
            });
            k.variables.push_back(std::move(variable));
        });
    }

    void read_build_metadata(Kustomization& k) {
        for (const auto& option : entries("buildMetadata")) {
            if (option.text == "originAnnotations") {
                k.origin_annotations = true;
            } else if (option.text == "transformerAnnotations") {
                k.transformer_annotations = true;
            } else if (option.text == "managedByLabel") {
                k.managed_by_label = true;
            }
        }
    }

    void warn() {
        static constexpr std::array<std::pair<std::string_view, std::string_view>, 6> deprecated{{
            {"bases", "resources"},
            {"commonLabels", "labels"},
            {"imageTags", "images"},
            {"patchesJson6902", "patches"},
            {"patchesStrategicMerge", "patches"},
            {"vars", "replacements"},
        }};
        for (const auto& [field, successor] : deprecated) {
            if (!fields_.has(field)) continue;
            warnings_.push_back(document_.at("/" + std::string{field}) + "deprecated, use `" +
                                std::string{successor} + "`");
        }
    }

    Document& document_;
    std::vector<std::string>& warnings_;
    Fields fields_;
};

FieldOptions read_field_options(Fields& fields) {
    FieldOptions options;
    fields.inside("options", [&](Fields& f) {
        options = {.delimiter = f.text("delimiter"),
                   .index = f.integer("index"),
                   .create = f.flag("create")};
        (void)f.text("encoding");
    });
    return options;
}

}  // namespace

Selector read_selector(Fields& fields) {
    return {.gvk = read_gvk(fields),
            .name = fields.text("name"),
            .ns = fields.text("namespace"),
            .labels = fields.text("labelSelector"),
            .annotations = fields.text("annotationSelector")};
}

Patch read_patch(Fields& fields) {
    Patch patch{.path = fields.text("path"),
                .text = fields.text("patch"),
                .target = std::nullopt,
                .at = fields.at()};
    fields.inside("target", [&](Fields& f) { patch.target = read_selector(f); });
    fields.inside("options", [&](Fields& f) {
        patch.allow_name_change = f.flag("allowNameChange");
        patch.allow_kind_change = f.flag("allowKindChange");
    });
    return patch;
}

Image read_image(Fields& fields) {
    return {.name = fields.text("name"),
            .new_name = fields.text("newName"),
            .new_tag = fields.text("newTag"),
            .tag_suffix = fields.text("tagSuffix"),
            .digest = fields.text("digest"),
            .at = fields.at()};
}

Replica read_replica(Fields& fields) {
    return {.name = fields.text("name"), .count = fields.integer("count"), .at = fields.at()};
}

Generator read_generator(Fields& fields, bool secret) {
    Generator generator{.secret = secret,
                        .name = fields.text("name"),
                        .ns = fields.text("namespace"),
                        .behavior = fields.text("behavior"),
                        .type = secret ? fields.text("type") : "",
                        .literals = fields.texts("literals"),
                        .files = fields.texts("files"),
                        .envs = fields.texts("envs"),
                        .options = {},
                        .at = fields.at()};
    if (auto env = fields.text("env"); !env.empty()) generator.envs.push_back(std::move(env));
    fields.inside("options", [&](Fields& f) { generator.options = read_options(f); });
    return generator;
}

HelmChart read_chart(Fields& fields) {
    HelmChart chart;
    chart.name = fields.text("name");
    chart.version = fields.text("version");
    chart.repo = fields.text("repo");
    chart.release_name = fields.text("releaseName");
    chart.ns = fields.text("namespace");
    chart.name_template = fields.text("nameTemplate");
    chart.values_file = fields.text("valuesFile");
    chart.values_merge = fields.text("valuesMerge");
    chart.additional_values_files = fields.texts("additionalValuesFiles");
    chart.api_versions = fields.texts("apiVersions");
    chart.kube_version = fields.text("kubeVersion");
    chart.include_crds = fields.flag("includeCRDs");
    chart.skip_hooks = fields.flag("skipHooks");
    chart.skip_tests = fields.flag("skipTests");
    chart.debug = fields.flag("debug");
    chart.devel = fields.flag("devel");
    chart.at = fields.at();
    if (const auto* values = fields.raw("valuesInline")) {
        if (const auto* map = values->if_object()) {
            chart.values_inline = *map;
        } else {
            fields.problem("valuesInline: expected a map");
        }
    }
    return chart;
}

void read_chart_globals(Fields& fields, HelmChart& chart) {
    chart.chart_home = fields.text("chartHome");
    chart.config_home = fields.text("configHome");
}

namespace {
/// Of `helmChartInflationGenerator`, as it was before `helmCharts`.
HelmChart read_old_chart(Fields& fields) {
    HelmChart chart;
    chart.name = fields.text("chartName");
    chart.version = fields.text("chartVersion");
    chart.repo = fields.text("chartRepoUrl");
    chart.chart_home = fields.text("chartHome");
    chart.config_home = fields.text("helmHome");
    chart.values_file = fields.text("values");
    chart.values_merge = fields.text("valuesMerge");
    chart.release_name = fields.text("releaseName");
    chart.at = fields.at();
    for (const auto* ignored : {"chartRepoName", "helmBin", "releaseNamespace", "extraArgs"})
        (void)fields.raw(ignored);
    if (const auto* values = fields.raw("valuesLocal"); values != nullptr && values->is_object())
        chart.values_inline = values->get_object();
    return chart;
}
}  // namespace

Replacement read_replacement(Fields& fields) {
    Replacement replacement{.path = fields.text("path"),
                            .source = std::nullopt,
                            .source_value = fields.optional_text("sourceValue"),
                            .targets = {},
                            .has_targets = fields.has("targets"),
                            .at = fields.at()};
    fields.inside("source", [&](Fields& f) {
        replacement.source = Replacement::Source{
            .id = {.gvk = read_gvk(f), .name = f.text("name"), .ns = f.text("namespace")},
            .field_path = f.text("fieldPath"),
            .options = read_field_options(f)};
    });
    fields.each("targets", [&](Fields& f) {
        Replacement::Target target;
        f.inside("select", [&](Fields& s) { target.select = read_selector(s); });
        f.each("reject", [&](Fields& s) { target.reject.push_back(read_selector(s)); });
        target.field_paths = f.texts("fieldPaths");
        target.options = read_field_options(f);
        replacement.targets.push_back(std::move(target));
    });
    return replacement;
}

std::optional<SortOptions> read_sort_options(Fields& fields) {
    std::optional<SortOptions> options;
    fields.inside("sortOptions", [&](Fields& f) {
        options.emplace();
        const auto order = f.text("order");
        options->legacy = order == "legacy";
        if (order != "legacy" && order != "fifo")
            f.problem("order: expected legacy or fifo, found `" + order + "`");
        f.inside("legacySortOptions", [&](Fields& legacy) {
            options->order =
                LegacyOrder{.first = legacy.texts("orderFirst"), .last = legacy.texts("orderLast")};
            if (!options->legacy) legacy.problem("only with `order: legacy`");
        });
    });
    return options;
}

void merge_options(GeneratorOptions& options, const GeneratorOptions& global) {
    options.labels.insert(global.labels.begin(), global.labels.end());
    options.annotations.insert(global.annotations.begin(), global.annotations.end());
    options.disable_name_suffix_hash =
        options.disable_name_suffix_hash || global.disable_name_suffix_hash;
    options.immutable = options.immutable || global.immutable;
}

Kustomization read_kustomization(const json::value& value, Document& document,
                                 std::vector<std::string>& warnings) {
    return Reader{value, document, warnings}.read();
}

}  // namespace kled::kustomize
