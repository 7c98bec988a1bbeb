/// A kustomization file as a plain struct.
#pragma once

#include "kustomize/charts.h"
#include "kustomize/configuration.h"
#include "kustomize/fields.h"
#include "kustomize/order.h"
#include "kustomize/resource.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace kled::kustomize {

using Pairs = std::map<std::string, std::string>;

/// A text from a list of the file, and "file:line: resources[3]: " for messages about it.
struct Entry {
    std::string text;
    std::string at;
};

/// Which resources; group, version, kind, name and ns are anchored regular expressions (RE2), empty
/// ones match all.
struct Selector {
    Gvk gvk;
    std::string name;
    std::string ns;
    std::string labels;       ///< "app=web,tier in (a,b)"
    std::string annotations;  ///< the same language
};

struct Patch {
    std::string path;  ///< one of path and text
    std::string text;
    std::optional<Selector> target;
    bool allow_name_change = false;
    bool allow_kind_change = false;
    std::string at;
};

struct Labels {
    Pairs pairs;
    bool include_selectors = false;
    bool include_templates = false;
    bool include_claims = false;
    FieldSpecs fields;
};

struct Image {
    std::string name;  ///< a regular expression, as kustomize takes it
    std::string new_name;
    std::string new_tag;
    std::string tag_suffix;
    std::string digest;
    std::string at;
};

struct Replica {
    std::string name;
    std::int64_t count = 0;
    std::string at;
};

struct GeneratorOptions {
    Pairs labels;
    Pairs annotations;
    bool disable_name_suffix_hash = false;
    bool immutable = false;
};

struct Generator {
    bool secret = false;
    std::string name;
    std::string ns;
    std::string behavior;
    std::string type;  ///< of a Secret
    std::vector<std::string> literals;
    std::vector<std::string> files;
    std::vector<std::string> envs;
    GeneratorOptions options;
    std::string at;
};

/// Part of a text: split at `delimiter`, the one at `index`.
struct FieldOptions {
    std::string delimiter;
    std::int64_t index = 0;
    bool create = false;
};

struct Replacement {
    struct Source {
        Id id;
        std::string field_path;
        FieldOptions options;
    };
    struct Target {
        std::optional<Selector> select;
        std::vector<Selector> reject;
        std::vector<std::string> field_paths;
        FieldOptions options;
    };
    std::string path;  ///< of a file that holds replacements; then nothing else
    std::optional<Source> source;
    std::optional<std::string> source_value;
    std::vector<Target> targets;
    bool has_targets = false;
    std::string at;
};

struct Variable {
    std::string name;
    Id object;
    std::string field_path;
    std::string at;
};

struct Kustomization {
    std::string directory;  ///< of the tree
    std::string file;       ///< as the user knows it
    std::string file_name;
    std::string settings;  ///< canonical JSON of all but `resources`
    bool component = false;
    std::string ns;
    std::string name_prefix;
    std::string name_suffix;
    Pairs common_labels;
    Pairs common_annotations;
    std::vector<Labels> labels;
    std::vector<Entry> resources;
    std::vector<Entry> components;
    std::vector<Entry> crds;
    std::vector<Entry> configurations;
    std::vector<Entry> generators;
    std::vector<Entry> transformers;
    std::vector<Entry> validators;
    std::vector<Entry> strategic_patches;  ///< patchesStrategicMerge: a path or the patch itself
    std::vector<Patch> json_patches;       ///< patchesJson6902
    std::vector<Patch> patches;
    std::vector<Image> images;
    std::vector<Replica> replicas;
    std::vector<Replacement> replacements;
    std::vector<Variable> variables;
    std::vector<Generator> config_maps;
    std::vector<Generator> secrets;
    std::vector<HelmChart> charts;
    std::optional<SortOptions> sort_options;
    Pairs open_api;
    bool origin_annotations = false;
    bool transformer_annotations = false;
    bool managed_by_label = false;
    [[nodiscard]] bool build_metadata() const {
        return origin_annotations || transformer_annotations || managed_by_label;
    }
};

/// Problems go to `document`; warnings about deprecated fields to `warnings`.
[[nodiscard]] Kustomization read_kustomization(const json::value& value, Document& document,
                                               std::vector<std::string>& warnings);

/// Parts that builtin transformers and generators take as their configuration too.
[[nodiscard]] Selector read_selector(Fields& fields);
[[nodiscard]] Patch read_patch(Fields& fields);
[[nodiscard]] Image read_image(Fields& fields);
[[nodiscard]] Replica read_replica(Fields& fields);
[[nodiscard]] Generator read_generator(Fields& fields, bool secret);
/// One of `helmCharts`, without what `helmGlobals` says.
[[nodiscard]] HelmChart read_chart(Fields& fields);
void read_chart_globals(Fields& fields, HelmChart& chart);
[[nodiscard]] Replacement read_replacement(Fields& fields);
[[nodiscard]] std::optional<SortOptions> read_sort_options(Fields& fields);

/// What `options` leaves open is taken from `global`.
void merge_options(GeneratorOptions& options, const GeneratorOptions& global);

}  // namespace kled::kustomize
