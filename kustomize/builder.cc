#include "kustomize/builder.h"

#include "base/error.h"
#include "kube/yaml.h"
#include "kustomize/accumulate.h"
#include "kustomize/finish.h"
#include "kustomize/name_references.h"
#include "kustomize/order.h"
#include "kustomize/transformers.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <unordered_set>
#include <utility>

namespace kled::kustomize {

namespace {

/// What a part asked of the tree.
struct Asked {
    std::set<std::string, std::less<>> paths;
    std::set<std::string, std::less<>> listed;  ///< directories whose names it saw

    [[nodiscard]] bool hang_on(std::string_view path) const {
        if (listed.contains(kustomize::parent_of(path)) || listed.contains(path)) return true;
        const auto from = paths.lower_bound(path);
        return from != paths.end() && from->starts_with(path) &&
               (path.empty() || from->size() == path.size() || (*from)[path.size()] == '/' ||
                is_above_some(path));
    }

private:
    /// "a/b" of "a/b-c" and "a/b/x", which are not neighbours.
    [[nodiscard]] bool is_above_some(std::string_view path) const {
        const auto below = paths.lower_bound(std::string{path} + "/");
        return below != paths.end() && below->starts_with(std::string{path} + "/");
    }
};

/// Notes what is asked of another tree.
class Recorder : public Files {
public:
    explicit Recorder(const Files& files) : files_{files} {}

    /// From now on `asked` gets it; the one before is given back.
    Asked* into(Asked* asked) { return std::exchange(asked_, asked); }

    [[nodiscard]] std::optional<Entry> find(const std::string& path) const override {
        auto entry = files_.find(path);
        asked_->paths.insert(path);
        if (entry && entry->path != path) asked_->paths.insert(entry->path);
        return entry;
    }
    [[nodiscard]] std::string read(const std::string& path) const override {
        asked_->paths.insert(path);
        return files_.read(path);
    }
    [[nodiscard]] std::vector<std::string> list(const std::string& directory) const override {
        asked_->listed.insert(directory);
        return files_.list(directory);
    }
    [[nodiscard]] std::string display(const std::string& path) const override {
        return files_.display(path);
    }

private:
    const Files& files_;
    Asked* asked_ = nullptr;
};

/// Whether other repositories and URLs were asked for: those may change without a sign.
class WatchedRemotes : public Remotes {
public:
    explicit WatchedRemotes(Remotes& remotes) : remotes_{remotes} {}
    [[nodiscard]] std::shared_ptr<const Files> repository(const RepositoryUrl& where) override {
        used_ = true;
        return remotes_.repository(where);
    }
    [[nodiscard]] std::string file(const std::string& url) override {
        used_ = true;
        return remotes_.file(url);
    }
    [[nodiscard]] bool take_used() noexcept { return std::exchange(used_, false); }

private:
    Remotes& remotes_;
    bool used_ = false;
};

/// One object before its references are fixed, and what it then became.
struct Node {
    Resource resource;
    std::size_t naming = 0;  ///< all that others' references and the order of the result hang on
    bool local = false;
    std::vector<NameReferences::LookUp> looked_up = {};
    std::shared_ptr<const BuiltObject> built = {};  ///< nullptr: not yet
};

/// What one entry of a `resources` list became under all kustomizations above it.
struct Part {
    std::vector<Node> nodes;
    Asked asked;
    std::vector<std::string> warnings;
    bool lasts = true;  ///< everything it hangs on can be watched
};

/// The tree does not fall into parts after all.
struct Indivisible {};

}  // namespace

const std::string& BuiltObject::yaml() const {
    if (yaml_.empty()) yaml_ = kube::to_yaml_stream({&loaded_.object.fields()});
    return yaml_;
}

std::string Builder::Result::to_yaml() const {
    std::size_t size = 0;
    for (const auto& object : objects) size += object->yaml().size() + 4;
    std::string text;
    text.reserve(size);
    for (const auto& object : objects) {
        if (!text.empty()) text += "---\n";
        text += object->yaml();
    }
    return text;
}

struct Builder::Impl {
    using Parts = std::map<std::string, std::shared_ptr<Part>, std::less<>>;

    Impl(std::string built_directory, BuildOptions built_options)
        : directory{std::move(built_directory)}, options{std::move(built_options)} {}

    const Result& build(const Files& files) {
        if (result && !dirty) return *result;
        Recorder recorder{files};
        result.reset();
        try {
            result = build_in_parts(recorder);
        } catch (const Indivisible&) {
        } catch (const Error&) {  // the whole build finds all that is wrong, in order
        }
        if (!result) result = build_whole(recorder);
        return *result;
    }

    Result build_whole(Recorder& recorder) {
        dirty = true;
        spine = {};
        recorder.into(&spine);
        auto with_watched = options;
        std::optional<WatchedRemotes> remotes;
        if (options.remotes != nullptr) with_watched.remotes = &remotes.emplace(*options.remotes);
        auto whole = kustomize::build(recorder, directory, with_watched);
        parts.clear();
        naming.clear();
        dirty = remotes && remotes->take_used();
        Result done;
        for (auto& object : whole.objects)
            done.objects.push_back(std::make_shared<BuiltObject>(std::move(object)));
        done.warnings = std::move(whole.warnings);
        done.parts = done.rebuilt = 1;
        return done;
    }

    // ---- in parts

    /// One build: what it has of the kept parts, in order.
    struct Run {
        Recorder& recorder;
        Context& context;
        WatchedRemotes* remotes;
        Parts kept = {};
        std::vector<std::shared_ptr<Part>> order = {};
        std::size_t rebuilt = 0;
    };

    Result build_in_parts(Recorder& recorder) {
        Asked top_asked;
        recorder.into(&top_asked);
        auto with_watched = options;
        std::optional<WatchedRemotes> remotes;
        if (options.remotes != nullptr) with_watched.remotes = &remotes.emplace(*options.remotes);
        Context context{.files = recorder, .options = with_watched};
        context.wants_settings = true;
        const auto entry = recorder.find(directory);
        if (!entry || entry->kind != Files::Kind::directory) throw Indivisible{};
        const auto top = load_target(Root{context, entry->path}, true);
        if (!top || !works_one_by_one(top->kustomization)) throw Indivisible{};
        Run run{.recorder = recorder, .context = context, .remotes = remotes ? &*remotes : nullptr};
        std::vector<const Target*> layers;
        gather(run, *top, layers);
        auto done = put_together(run, *top);
        done.warnings.insert(done.warnings.begin(), context.warnings.begin(),
                             context.warnings.end());
        parts = std::move(run.kept);
        spine = std::move(top_asked);
        dirty = std::any_of(run.order.begin(), run.order.end(),
                            [](const auto& part) { return !part->lasts; });
        return done;
    }

    /// The parts of `target`, below the kustomizations in `layers`.
    void gather(Run& run, const Target& target, std::vector<const Target*>& layers) {
        run.context.budget.kustomization();
        layers.push_back(&target);
        std::string prefix;
        for (const auto* layer : layers) prefix += layer->kustomization.settings + "\n";
        prefix += target.root.directory() + "\n";
        for (const auto& entry : target.kustomization.resources) {
            const auto key = prefix + entry.text;
            if (const auto kept = parts.find(key); kept != parts.end() && kept->second->lasts) {
                add(run, key, kept->second);
                continue;
            }
            auto part = std::make_shared<Part>();
            auto* above = run.recorder.into(&part->asked);
            const auto warned = run.context.warnings.size();
            const auto below = load_entry(target, entry);
            if (!sound(run)) throw Indivisible{};
            if (below && works_one_by_one(below->kustomization) &&
                below->kustomization.resources.size() > 1) {
                above->paths.merge(part->asked.paths);
                run.recorder.into(above);
                gather(run, *below, layers);
                continue;
            }
            make(run, *part, target, entry, below, layers);
            run.recorder.into(above);
            const auto first = run.context.warnings.begin() + static_cast<std::ptrdiff_t>(warned);
            part->warnings.assign(first, run.context.warnings.end());
            run.context.warnings.erase(first, run.context.warnings.end());
            ++run.rebuilt;
            add(run, key, std::move(part));
        }
        layers.pop_back();
    }

    static void add(Run& run, const std::string& key, std::shared_ptr<Part> part) {
        run.order.push_back(part);
        // The same entry twice is an error that the whole build words.
        if (!run.kept.emplace(key, std::move(part)).second) throw Indivisible{};
    }

    static bool sound(const Run& run) { return run.context.problems.empty(); }

    static void make(Run& run, Part& part, const Target& target, const Entry& entry,
                     const std::optional<Target>& below, const std::vector<const Target*>& layers) {
        auto all = accumulate_entry(target, entry, below);
        const bool plain =
            all.configuration == nullptr || all.configuration == Configuration::standard();
        if (!sound(run) || !plain || !all.variables.empty() || run.context.open_api_chosen)
            throw Indivisible{};
        for (auto layer = layers.rbegin(); layer != layers.rend(); ++layer) {
            transform(**layer, all);
            if (!sound(run)) throw Indivisible{};
        }
        add_hashes(all.resources);
        part.lasts = run.remotes == nullptr || !run.remotes->take_used();
        for (auto& item : std::move(all.resources).take()) {
            Node node{.resource = std::move(*item)};
            node.local = is_local(node.resource);
            node.naming = naming_of(node.resource) + (node.local ? 1 : 0);
            part.nodes.push_back(std::move(node));
        }
    }

    Result put_together(Run& run, const Target& top) {
        std::vector<Node*> nodes;
        std::vector<std::size_t> now;
        for (const auto& part : run.order) {
            for (auto& node : part->nodes) {
                node.resource.position = nodes.size();
                nodes.push_back(&node);
                now.push_back(node.naming);
            }
        }
        if (nodes.size() > options.limits.objects) throw Indivisible{};
        fix_references(nodes, now, top);
        Result done;
        done.parts = run.order.size();
        done.rebuilt = run.rebuilt;
        for (const auto& part : run.order)
            done.warnings.insert(done.warnings.end(), part->warnings.begin(), part->warnings.end());
        if (sequence.empty() || now != naming || top.kustomization.settings != settings) {
            sequence = sequence_of(nodes, top.kustomization);
            naming = std::move(now);
            settings = top.kustomization.settings;
        }
        done.objects.reserve(sequence.size());
        for (const auto position : sequence) done.objects.push_back(nodes[position]->built);
        return done;
    }

    void fix_references(const std::vector<Node*>& nodes, const std::vector<std::size_t>& now,
                        const Target& top) {
        const bool same_names = now == naming;
        const bool all_built = std::all_of(nodes.begin(), nodes.end(),
                                           [](const Node* node) { return node->built != nullptr; });
        if (same_names && all_built) return;
        std::vector<Resource*> resources;
        resources.reserve(nodes.size());
        for (auto* node : nodes) resources.push_back(&node->resource);
        if (!same_names) {
            naming.clear();  // until all of them are fixed for the new names
            sequence.clear();
            require_distinct(resources);
        }
        NameReferences references{resources, Configuration::standard()->name_references};
        for (auto* node : nodes) {
            if (node->built != nullptr && (same_names || references.still(node->looked_up)))
                continue;
            auto fixed = node->resource;
            node->looked_up.clear();
            references.fix(fixed, &node->looked_up);
            const auto id = fixed.id;
            fixed.refresh();
            // A reference in its own name: what hangs on that one is not found by looking at names.
            if (!(fixed.id == id)) throw Indivisible{};
            node->built = std::make_shared<BuiltObject>(finish(fixed, top.kustomization));
        }
    }

    /// Two objects of one id are an error that the whole build words.
    static void require_distinct(const std::vector<Resource*>& resources) {
        std::unordered_set<std::string> ids;
        ids.reserve(resources.size());
        for (const auto* resource : resources) {
            const auto& id = resource->id;
            auto text =
                id.gvk.to_string() + "\n" + std::string{id.effective_namespace()} + "\n" + id.name;
            if (!ids.insert(std::move(text)).second) throw Indivisible{};
        }
    }

    /// The positions of the objects in the result.
    [[nodiscard]] std::vector<std::size_t> sequence_of(const std::vector<Node*>& nodes,
                                                       const Kustomization& top) const {
        std::vector<Resource*> resources;
        for (auto* node : nodes) {
            if (!node->local) resources.push_back(&node->resource);
        }
        if (top.sort_options ? top.sort_options->legacy
                             : options.order == BuildOptions::Order::legacy) {
            const auto order = top.sort_options ? top.sort_options->order : std::nullopt;
            resources = in_legacy_order(resources, order.value_or(LegacyOrder::standard()));
        }
        std::vector<std::size_t> positions;
        positions.reserve(resources.size());
        for (const auto* resource : resources) positions.push_back(resource->position);
        return positions;
    }

    void changed(std::string_view path) {
        dirty = dirty || spine.hang_on(path);
        for (auto part = parts.begin(); part != parts.end();) {
            if (part->second->asked.hang_on(path)) {
                part = parts.erase(part);
                dirty = true;
            } else {
                ++part;
            }
        }
    }

    std::string directory;
    BuildOptions options;
    Parts parts;
    Asked spine;  ///< what was asked outside the parts; for a whole build: everything
    std::vector<std::size_t> naming;    ///< of the last result's nodes, in order
    std::vector<std::size_t> sequence;  ///< their positions in the result
    std::string settings;               ///< of the top kustomization then
    std::optional<Result> result;
    bool dirty = true;
};

Builder::Builder(std::string directory, BuildOptions options)
    : impl_{new Impl{std::move(directory), std::move(options)}} {}

Builder::~Builder() = default;

void Builder::changed(std::string_view path) { impl_->changed(path); }

const Builder::Result& Builder::build(const Files& files) { return impl_->build(files); }

std::vector<std::string> Builder::paths() const {
    std::set<std::string, std::less<>> all{impl_->spine.paths};
    all.insert(impl_->spine.listed.begin(), impl_->spine.listed.end());
    for (const auto& [key, part] : impl_->parts) {
        all.insert(part->asked.paths.begin(), part->asked.paths.end());
        all.insert(part->asked.listed.begin(), part->asked.listed.end());
    }
    return {all.begin(), all.end()};
}

}  // namespace kled::kustomize
