#include "kustomize/accumulate.h"

#include "base/error.h"
#include "kube/yaml.h"
#include "kustomize/crds.h"
#include "kustomize/helm.h"
#include "kustomize/plugins.h"
#include "kustomize/scalar.h"
#include "kustomize/transformers.h"

#include <algorithm>
#include <array>
#include <functional>

namespace kled::kustomize {

namespace {

constexpr std::array<std::string_view, 3> file_names{"kustomization.yaml", "kustomization.yml",
                                                     "Kustomization"};

bool has_kustomization(const Files& files, const std::string& directory) {
    return std::any_of(file_names.begin(), file_names.end(), [&](std::string_view name) {
        const auto entry = files.find(*resolve(directory, name));
        return entry && entry->kind == Files::Kind::file;
    });
}

/// "a/../b" → "b"; leading ".." stay. For what is shown, not for what is opened.
std::string join_lexically(const std::string& base, const std::string& relative) {
    std::vector<std::string> parts;
    for (const auto& text : {base, relative}) {
        for (const auto& part : split_path(text, '/')) {
            if (part.empty() || part == ".") continue;
            if (part == ".." && !parts.empty() && parts.back() != "..") {
                parts.pop_back();
            } else {
                parts.push_back(part);
            }
        }
    }
    std::string joined;
    for (const auto& part : parts) joined += (joined.empty() ? "" : "/") + part;
    return joined;
}

/// The manifests below a directory, as Flux finds them: in order of their names, a subdirectory
/// with a kustomization of its own as one entry.
void find_manifests(const Files& files, const std::string& directory, const std::string& relative,
                    json::array& found) {
    for (const auto& name : files.list(directory)) {
        if (name.starts_with(".git") && relative.empty()) continue;
        const auto entry = files.find(*resolve(directory, name));
        if (!entry) continue;
        const auto path = relative.empty() ? name : relative + "/" + name;
        if (entry->kind == Files::Kind::file) {
            if (name.ends_with(".yaml") || name.ends_with(".yml")) found.emplace_back(path);
        } else if (has_kustomization(files, entry->path)) {
            found.emplace_back(path);
        } else {
            find_manifests(files, entry->path, path, found);
        }
    }
}

/// A field that says nothing: kustomize refuses a file of these.
bool is_default(const json::value& value) {
    if (const auto* text = value.if_string()) return text->empty();
    return value.is_null();
}

class Accumulator {
public:
    explicit Accumulator(const Target& target)
        : target_{target},
          k_{target.kustomization},
          root_{target.root},
          context_{root_.context()} {}

    /// Onto `all`: empty for a kustomization, the parent's for a component.
    void run(Accumulated& all) {
        context_.budget.kustomization();
        for (const auto& entry : k_.resources) attempt(entry.at, [&] { add(all, entry.text); });
        configure(all);
        generate_all(all.resources);
        for (const auto& entry : k_.components)
            attempt(entry.at, [&] { add_component(all, entry.text); });
        if (!sound()) {
            look_at_the_rest();
            return;
        }
        transform(all);
        if (!sound()) return;
        validate(all.resources);
        attempt(k_.file + ": ", [&] { find_variables(all.resources, k_.variables); });
        for (const auto& variable : k_.variables) add_variable(all, variable);
    }

    void add(Accumulated& all, const std::string& path) {
        const auto remote = RepositoryUrl::parse(path);
        if (is_http_url(path) && (!remote || !remote->explicit_split)) {
            add_url(all, path, remote);
            return;
        }
        const auto place = remote ? std::nullopt : resolve(root_.directory(), path);
        const auto entry = place ? root_.files().find(*place) : std::nullopt;
        if (!entry || entry->kind == Files::Kind::directory) {
            add_directory(all, path, false);
            return;
        }
        add_resources(all, root_.load(path), path);
    }

private:
    /// A file, as kustomize tries first, or else a repository.
    void add_url(Accumulated& all, const std::string& url,
                 const std::optional<RepositoryUrl>& repository) {
        try {
            add_resources(all, root_.load(url), url);
        } catch (const Error& error) {
            const bool is_no_manifest =
                error.kind() == ErrorKind::not_found || error.kind() == ErrorKind::invalid;
            if (!repository || !is_no_manifest) throw;
            add_directory(all, url, false);
        }
    }

    void add_resources(Accumulated& all, const Source& source, const std::string& path) {
        for (auto& item : load_resources(source.text, source.file, context_)) {
            context_.budget.object();
            if (target_.tracks_origin) item->provenance = provenance_of(path);
            all.resources.append(std::move(item));
        }
    }

    /// Of a file in this directory, or behind a URL.
    [[nodiscard]] Provenance provenance_of(const std::string& path) const {
        if (is_http_url(path)) return {.path = path};
        return {
            .path = join_lexically(target_.path, path), .repo = target_.repo, .ref = target_.ref};
    }

    [[nodiscard]] bool sound() const noexcept { return context_.problems.empty(); }

    /// What goes wrong is a problem of the place `at` ("file:line: field: ").
    void attempt(const std::string& at, const std::function<void()>& step) {
        try {
            step();
        } catch (const Error& error) {
            const std::string_view what = error.what();
            // A file that was read from here names its own lines.
            const bool says_where = what.starts_with(at);
            auto problem = says_where ? std::string{what} : at + std::string{what};
            if (context_.budget.exhausted()) {
                // No more of it: the innermost place says where, and nothing else is tried.
                if (context_.budget.reported()) throw;
                context_.budget.report();
                throw Error{ErrorKind::exhausted, problem};
            }
            context_.problems.add(std::move(problem));
        }
    }

    /// There is no result any more: what else is wrong, as far as it does not hang on what is
    /// missing, is found in the same run.
    void look_at_the_rest() {
        const auto look = [this](const std::string& at, const std::string& path) {
            if (!path.empty() && !is_inline(path))
                attempt(at, [&] { static_cast<void>(read_document(root_, path)); });
        };
        for (const auto* patches : {&k_.patches, &k_.json_patches})
            for (const auto& patch : *patches) look(patch.at, patch.path);
        for (const auto& entry : k_.strategic_patches) look(entry.at, entry.text);
        for (const auto& replacement : k_.replacements) look(replacement.at, replacement.path);
        for (const auto* entries : {&k_.generators, &k_.transformers, &k_.validators})
            for (const auto& entry : *entries)
                attempt(entry.at, [&] { static_cast<void>(load_entries({entry}, target_)); });
    }

    void add_directory(Accumulated& all, const std::string& path, bool component) {
        add_below(all, load_below(path, component), component);
    }

public:
    Target load_below(const std::string& path, bool component) {
        const auto remote = RepositoryUrl::parse(path);
        const auto problems_before = context_.problems.size();
        auto below = load_target(remote ? root_.enter(*remote) : root_.enter(path), false);
        const bool readable = context_.problems.size() == problems_before;
        if (readable && below.kustomization.component != component) {
            throw Error{ErrorKind::invalid, component
                                                ? "not a component (kind: Component): " + path
                                                : "a component; name it in `components`: " + path};
        }
        below.path = remote ? remote->directory : join_lexically(target_.path, path);
        below.repo = remote ? remote->url : target_.repo;
        below.ref = remote ? remote->ref : target_.ref;
        below.tracks_origin = target_.tracks_origin;
        choose_open_api(below);
        return below;
    }

    void add_below(Accumulated& all, const Target& below, bool component) {
        if (component) {
            Accumulator{below}.run(all);
            if (sound()) all.resources.check_distinct();
            return;
        }
        auto theirs = accumulate(below);
        if (!sound()) return;
        all.resources.append_all(std::move(theirs.resources));
        all.configuration = merged(all.configuration, theirs.configuration);
        for (const auto& variable : theirs.variables.all()) add_variable(all, variable);
    }

    /// Only the last part of run().
    void run_transformers(Accumulated& all) {
        configure(all);
        if (sound()) transform(all);
    }

private:
    void add_component(Accumulated& all, const std::string& path) {
        add_directory(all, path, true);
    }

    void add_variable(Accumulated& all, const Variable& variable) {
        if (const auto* there = all.variables.add(variable)) {
            context_.problems.add(variable.at + "there is a variable " + variable.name +
                                  " already (" + there->at + "name)");
        }
    }

    void configure(Accumulated& all) {
        auto own = Configuration::standard();
        if (!k_.configurations.empty()) {
            Configuration files;
            for (const auto& entry : k_.configurations) {
                attempt(entry.at, [&] { files.merge(read_configuration(entry.text)); });
            }
            own = merged(own, std::make_shared<const Configuration>(std::move(files)));
        }
        all.configuration = merged(all.configuration, own);
        for (const auto& entry : k_.crds) {
            attempt(entry.at, [&] {
                auto crds = configuration_of_crds(read_document(root_, entry.text).value);
                all.configuration = merged(all.configuration,
                                           std::make_shared<const Configuration>(std::move(crds)));
            });
        }
    }

    Configuration read_configuration(const std::string& path) {
        auto read = read_document(root_, path);
        Document document{.origin = std::move(read.origin), .problems = context_.problems};
        return Configuration::read(read.value, document);
    }

    Provenance configured_by(std::string kind) const {
        return {.path = join_lexically(target_.path, k_.file_name),
                .repo = target_.repo,
                .ref = target_.ref,
                .configured = true,
                .api_version = "builtin",
                .kind = std::move(kind)};
    }

    void generate_all(ResourceMap& resources) {
        for (const auto* generators : {&k_.config_maps, &k_.secrets}) {
            for (const auto& generator : *generators) {
                // What it goes into may be among what is missing.
                if (!sound() && !generator.behavior.empty() && generator.behavior != "create")
                    continue;
                attempt(generator.at, [&] {
                    context_.budget.object();
                    auto item = generate(generator, root_);
                    item->origin = {.file = generator.at.substr(0, generator.at.find(": ")),
                                    .line = 0,
                                    .lines = nullptr};
                    if (target_.tracks_origin) {
                        item->provenance = configured_by(generator.secret ? "SecretGenerator"
                                                                          : "ConfigMapGenerator");
                    }
                    resources.absorb(std::move(item));
                });
            }
        }
        if (!sound()) return;
        for (const auto& chart : k_.charts) {
            attempt(chart.at, [&] {
                for (auto& item : inflate(chart, root_)) {
                    if (target_.tracks_origin)
                        item->provenance = configured_by("HelmChartInflationGenerator");
                    resources.absorb(std::move(item));
                }
            });
        }
        for (const auto& entry : k_.generators) {
            attempt(entry.at, [&] {
                const auto configurations = load_entries({entry}, target_);
                for (const auto& configuration : configurations.items()) {
                    for (auto& item : run_generator(*configuration, root_)) {
                        context_.budget.object();
                        if (target_.tracks_origin) item->provenance = configured_by(*configuration);
                        resources.absorb(std::move(item));
                    }
                }
            });
        }
    }

    static Provenance configured_by(const Resource& configuration) {
        const auto from = configuration.provenance.value_or(Provenance{});
        return {.path = from.path,
                .repo = from.repo,
                .ref = from.ref,
                .configured = true,
                .api_version = configuration.id.gvk.api_version(),
                .kind = configuration.id.gvk.kind,
                .name = configuration.id.name,
                .ns = configuration.id.ns};
    }

    /// One transformer, if it has something to do.
    void step(ResourceMap& resources, const char* kind, const std::string& at,
              const std::function<void()>& change) {
        if (!sound()) return;
        attempt(at, change);
        note(resources, who(kind));
    }

    [[nodiscard]] std::optional<Provenance> who(const char* kind) const {
        return target_.tracks_origin ? std::optional{configured_by(kind)} : std::nullopt;
    }

    /// What a transformer leaves behind: its name on each resource, and no removed ones.
    static void note(ResourceMap& resources, const std::optional<Provenance>& by) {
        if (!by) return;
        for (const auto& item : resources.items()) {
            if (!item->provenance) {
                item->provenance = by;
            } else {
                item->transformations.push_back(*by);
            }
            item->shared.forget_below("/metadata/annotations");
        }
    }

    static std::size_t size_of(const Pairs& pairs) {
        std::size_t size = 0;
        for (const auto& [key, value] : pairs) size += key.size() + value.size();
        return size;
    }

    void transform(Accumulated& all) {
        auto& resources = all.resources;
        attempt(k_.file + ": ", [&] {
            auto size = k_.ns.size() + k_.name_prefix.size() + k_.name_suffix.size() +
                        size_of(k_.common_labels) + size_of(k_.common_annotations);
            for (const auto& labels : k_.labels) size += size_of(labels.pairs);
            for (const auto& image : k_.images)
                size += image.new_name.size() + image.new_tag.size() + image.digest.size();
            context_.budget.bytes(size, resources.items().size());
        });
        const auto& fields = *all.configuration;
        const auto at = k_.file + ": ";
        if (!k_.strategic_patches.empty()) {
            step(resources, "PatchStrategicMergeTransformer", at + "patchesStrategicMerge: ", [&] {
                std::size_t applied = 0;
                for (const auto& entry : k_.strategic_patches) {
                    attempt(entry.at, [&] {
                        applied += apply_strategic_patches(resources, entry.text, root_);
                    });
                }
                if (applied == 0 && sound())
                    throw Error{ErrorKind::invalid, "there is no patch in it"};
            });
        }
        if (sound()) {
            // One that is wrong says little about the others: all of them are tried.
            const auto by = who("PatchTransformer");
            for (const auto& patch : k_.patches) {
                attempt(patch.at, [&] { apply_patch(resources, patch, root_); });
                note(resources, by);
            }
        }
        resources.sweep();
        if (!k_.ns.empty()) {
            step(resources, "NamespaceTransformer",
                 at + "namespace: ", [&] { set_namespace(resources, {.ns = k_.ns}, fields.ns); });
        }
        if (!k_.name_prefix.empty()) {
            step(resources, "PrefixTransformer", at + "namePrefix: ", [&] {
                add_affix(resources, Affix::prefix, k_.name_prefix, fields.name_prefix);
            });
        }
        if (!k_.name_suffix.empty()) {
            step(resources, "SuffixTransformer", at + "nameSuffix: ", [&] {
                add_affix(resources, Affix::suffix, k_.name_suffix, fields.name_suffix);
            });
        }
        add_labels(resources, fields);
        if (!k_.common_annotations.empty()) {
            step(resources, "AnnotationsTransformer", at + "commonAnnotations: ", [&] {
                add_pairs(resources, k_.common_annotations, fields.common_annotations);
            });
        }
        for (const auto& patch : k_.json_patches) {
            step(resources, "PatchJson6902Transformer", patch.at,
                 [&] { apply_json_patch(resources, patch, root_); });
        }
        for (const auto& replica : k_.replicas) {
            step(resources, "ReplicaCountTransformer", replica.at,
                 [&] { set_replicas(resources, replica, fields.replicas); });
        }
        if (!k_.images.empty() && sound()) {
            attempt(at + "images: ", [&] { set_images(resources, k_.images, fields.images); });
            for (std::size_t i = 0; i < k_.images.size() && target_.tracks_origin; ++i) {
                note(resources, configured_by("ImageTagTransformer"));
            }
        }
        if (!k_.replacements.empty()) {
            step(resources, "ReplacementTransformer", at, [&] {
                for (const auto& replacement : k_.replacements) {
                    attempt(replacement.at,
                            [&] { apply_replacement(resources, replacement, root_); });
                }
            });
        }
        for (const auto& entry : k_.transformers) run_entry(resources, entry);
        resources.sweep();
    }

    void add_labels(ResourceMap& resources, const Configuration& fields) {
        if (k_.labels.empty() && k_.common_labels.empty()) return;
        for (std::size_t i = 0; i < k_.labels.size(); ++i) {
            const auto& labels = k_.labels[i];
            step(resources, "LabelTransformer",
                 k_.file + ": labels[" + std::to_string(i) + "]: ", [&] {
                     auto specs = labels.fields;
                     specs.add_all(fields.labels);
                     if (labels.include_selectors) {
                         specs.add_all(fields.common_labels);
                     } else {
                         if (labels.include_templates) specs.add_all(fields.template_labels);
                         if (labels.include_claims) specs.add_all(fields.claim_labels);
                         specs.add({.gvk = {}, .path = "metadata/labels", .create = true});
                     }
                     add_pairs(resources, labels.pairs, specs);
                 });
        }
        step(resources, "LabelTransformer", k_.file + ": commonLabels: ", [&] {
            add_pairs(resources, k_.common_labels, fields.common_labels);
        });
    }

    void run_entry(ResourceMap& resources, const Entry& entry) {
        if (!sound()) return;
        attempt(entry.at, [&] {
            const auto configurations = load_entries({entry}, target_);
            for (const auto& configuration : configurations.items()) {
                context_.budget.bytes(kube::to_json(configuration->object.fields()).size(),
                                      resources.items().size());
                try {
                    run_transformer(resources, *configuration, root_);
                } catch (const Error& error) {
                    throw error.within(configuration->describe());
                }
                if (target_.tracks_origin) note(resources, configured_by(*configuration));
                resources.sweep();
            }
        });
    }

    /// Validators see the resources and may not change them.
    void validate(ResourceMap& resources) {
        for (const auto& entry : k_.validators) {
            attempt(entry.at, [&] {
                const auto configurations = load_entries({entry}, target_);
                for (const auto& configuration : configurations.items()) {
                    ResourceMap copy;
                    for (const auto& item : resources.items())
                        copy.append(std::make_unique<Resource>(*item));
                    run_transformer(copy, *configuration, root_);
                    const bool same = std::equal(
                        copy.items().begin(), copy.items().end(), resources.items().begin(),
                        resources.items().end(), [](const auto& a, const auto& b) {
                            return !a->removed && a->object == b->object &&
                                   a->previous.size() == b->previous.size();
                        });
                    if (!same)
                        throw Error{ErrorKind::invalid, "a validator must not change resources"};
                }
            });
        }
    }

public:
    /// The first OpenAPI document named, from the top down, is the build's. Named at the top it
    /// takes the place of Kubernetes' own; named further down it comes beside that.
    static void choose_open_api(const Target& target) {
        auto& context = target.root.context();
        const auto& chosen = target.kustomization.open_api;
        if (context.open_api_chosen || chosen.empty()) return;
        const auto at = target.kustomization.file + ": openapi: ";
        const auto path = chosen.find("path");
        const auto version = chosen.find("version");
        if (path != chosen.end() && version != chosen.end()) {
            throw Error{ErrorKind::invalid, at + "`path` and `version` exclude each other"};
        }
        if (version != chosen.end() && version->second != "v1.21.2" && !version->second.empty()) {
            throw Error{ErrorKind::invalid,
                        at + "version: " + version->second + " is not built in (v1.21.2 is)"};
        }
        context.open_api_chosen = true;
        if (path == chosen.end()) return;
        try {
            context.open_api = std::make_unique<OpenApi>(
                read_document(target.root, path->second).value, context.uses_builtin_api);
        } catch (const Error& error) {
            throw Error{error.kind(), at + "path: " + path->second + ": " + error.what()};
        }
    }

private:
    const Target& target_;
    const Kustomization& k_;
    const Root& root_;
    Context& context_;
};

}  // namespace

const Variable* Variables::add(const Variable& variable) {
    const auto [place, added] = places_.emplace(variable.name, all_.size());
    if (!added) return &all_[place->second];
    all_.push_back(variable);
    return nullptr;
}

Target load_target(Root root, bool top) {
    auto& context = root.context();
    const auto& files = root.files();
    std::string file;
    std::string file_name;
    for (const auto name : file_names) {
        const auto entry = files.find(*resolve(root.directory(), name));
        if (!entry || entry->kind != Files::Kind::file) continue;
        if (!file.empty()) {
            throw Error{ErrorKind::invalid, files.display(root.directory()) + ": both " +
                                                file_name + " and " + std::string{name} +
                                                " are there"};
        }
        file = entry->path;
        file_name = name;
    }
    kube::YamlDocument read{.value = nullptr, .origin = {}};
    if (!file.empty()) {
        const kube::YamlOptions options{
            .dialect = kube::YamlDialect::configuration,
            .file = files.display(*resolve(root.directory(), file_name)),
            .with_lines = true,
            .duplicate_keys_are_errors = false};
        auto documents = kube::parse_yaml_stream(files.read(file), options);
        if (!documents.empty()) read = std::move(documents.front());
        read.origin.file = options.file;
    } else if (top && context.options.generate_missing) {
        json::array manifests;
        find_manifests(files, root.directory(), "", manifests);
        file_name = file_names.front();
        read.value = json::object{{"resources", std::move(manifests)}};
        read.origin.file = files.display(root.directory());
    } else {
        throw Error{ErrorKind::not_found,
                    files.display(root.directory()) +
                        ": no kustomization.yaml, kustomization.yml or Kustomization in it"};
    }
    if (top && context.options.amend) {
        if (read.value.is_null()) read.value.emplace_object();
        if (auto* fields = read.value.if_object()) context.options.amend(*fields);
    }
    Document document{.origin = std::move(read.origin), .problems = context.problems};
    const auto* map = read.value.if_object();
    const bool says_something =
        map == nullptr ? !read.value.is_null()
                       : std::any_of(map->begin(), map->end(), [](const auto& field) {
                             return field.key() != "apiVersion" && field.key() != "kind" &&
                                    !is_default(field.value());
                         });
    if (!says_something)
        context.problems.add(document.origin.file + ": the kustomization is empty");
    auto kustomization = read_kustomization(read.value, document, context.warnings);
    kustomization.directory = root.directory();
    if (context.wants_settings && map != nullptr) {
        auto settings = *map;
        for (const auto* list : {"resources", "bases"}) {
            if (const auto field = settings.find(list); field != settings.end())
                settings.erase(field);
        }
        kustomization.settings = kube::to_canonical_json(json::value(std::move(settings)));
    }
    kustomization.file_name = file_name;
    Target target{.root = std::move(root), .kustomization = std::move(kustomization), .path = {}};
    if (top) {
        target.tracks_origin = target.kustomization.build_metadata();
        try {
            Accumulator::choose_open_api(target);
        } catch (const Error& error) {
            if (context.problems.empty()) throw;
            context.problems.add(error.what());
        }
    }
    return target;
}

Accumulated accumulate(const Target& target) {
    Accumulated all;
    Accumulator{target}.run(all);
    return all;
}

bool works_one_by_one(const Kustomization& k) {
    return !k.component && k.components.empty() && k.crds.empty() && k.configurations.empty() &&
           k.generators.empty() && k.transformers.empty() && k.validators.empty() &&
           k.strategic_patches.empty() && k.json_patches.empty() && k.patches.empty() &&
           k.replicas.empty() && k.replacements.empty() && k.variables.empty() &&
           k.config_maps.empty() && k.secrets.empty() && k.charts.empty() && k.open_api.empty() &&
           !k.build_metadata();
}

std::optional<Target> load_entry(const Target& target, const Entry& entry) {
    if (is_http_url(entry.text) || RepositoryUrl::parse(entry.text)) return std::nullopt;
    const auto place = resolve(target.root.directory(), entry.text);
    const auto there = place ? target.root.files().find(*place) : std::nullopt;
    if (!there || there->kind != Files::Kind::directory) return std::nullopt;
    return Accumulator{target}.load_below(entry.text, false);
}

Accumulated accumulate_entry(const Target& target, const Entry& entry,
                             const std::optional<Target>& below) {
    Accumulated all;
    Accumulator accumulator{target};
    if (below) {
        accumulator.add_below(all, *below, false);
    } else {
        accumulator.add(all, entry.text);
    }
    return all;
}

void transform(const Target& target, Accumulated& all) {
    Accumulator{target}.run_transformers(all);
}

ResourceMap load_entries(const std::vector<Entry>& entries, const Target& target) {
    Accumulated all;
    for (const auto& entry : entries) {
        if (!is_inline(entry.text)) {
            Accumulator{target}.add(all, entry.text);
            continue;
        }
        const auto file = entry.at.substr(0, entry.at.find(": "));
        for (auto& item : load_resources(entry.text, file, target.root.context())) {
            item->provenance =
                Provenance{.path = join_lexically(target.path, target.kustomization.file_name),
                           .repo = target.repo,
                           .ref = target.ref};
            all.resources.append(std::move(item));
        }
    }
    return std::move(all.resources);
}

}  // namespace kled::kustomize
