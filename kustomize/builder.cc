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
#include <unordered_map>
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
    static constexpr std::size_t names_per_object = 4;
    static constexpr std::size_t names_spared = 10'000;

    Impl(std::string built_directory, BuildOptions built_options, Keep what)
        : directory{std::move(built_directory)},
          options{std::move(built_options)},
          keep{std::move(what)} {}

    [[nodiscard]] std::shared_ptr<const BuiltObject> made(kube::LoadedObject object) const {
        if (!keep) return std::make_shared<BuiltObject>(std::move(object));
        return std::make_shared<BuiltObject>(keep(std::move(object)));
    }

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
        forget_parts();
        dirty = remotes && remotes->take_used();
        Result done;
        for (auto& object : whole.objects) done.objects.push_back(made(std::move(object)));
        done.warnings = std::move(whole.warnings);
        done.parts = done.rebuilt = 1;
        return done;
    }

    void forget_parts() {
        sequence.clear();
        placed.clear();
        parts.clear();
        references.reset();
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
        // Names that were looked up once are known for good.
        if (references && references->size() > names_per_object * (sequence.size() + names_spared))
            forget_parts();
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
        if (!context.problems.empty() || !works_one_by_one(top.kustomization)) throw Indivisible{};
        Run run{.recorder = recorder, .context = context, .remotes = remotes ? &*remotes : nullptr};
        std::vector<const Target*> layers;
        gather(run, top, layers);
        auto done = put_together(run, top);
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
            part.nodes.push_back(std::move(node));
        }
    }

    Result put_together(Run& run, const Target& top) {
        std::vector<Node*> nodes;
        for (const auto& part : run.order) {
            for (auto& node : part->nodes) {
                node.resource.position = nodes.size();
                nodes.push_back(&node);
            }
        }
        if (nodes.size() > options.limits.objects) throw Indivisible{};
        auto earlier = std::exchange(sequence, {});  // none, should what follows fail
        const auto difference = place(run.order);
        fix_references(nodes, top);
        sequence = in_sequence(nodes, difference, std::move(earlier), top);
        Result done;
        done.parts = run.order.size();
        done.rebuilt = run.rebuilt;
        for (const auto& part : run.order)
            done.warnings.insert(done.warnings.end(), part->warnings.begin(), part->warnings.end());
        done.objects.reserve(sequence.size());
        for (const auto* node : sequence) done.objects.push_back(node->built);
        return done;
    }

    /// What came and went since the last result; `all`: there is nothing to go on from.
    struct Difference {
        bool all = false;
        std::vector<Node*> fresh;
        std::unordered_set<const Node*> gone;
    };

    /// Brings what is known of all objects' names from `placed` to `order`.
    Difference place(const std::vector<std::shared_ptr<Part>>& order) {
        if (!references) references.emplace(Configuration::standard()->name_references);
        const auto before = std::exchange(placed, {});  // none, should this fail half-way
        std::unordered_map<const Part*, std::size_t> known;
        for (const auto& part : before) known.emplace(part.get(), known.size());
        Difference difference;
        std::vector<Part*> fresh;
        std::size_t next = 0;
        for (const auto& part : order) {
            const auto found = known.find(part.get());
            if (found == known.end()) {
                fresh.push_back(part.get());
                continue;
            }
            difference.all = difference.all || found->second < next;  // in another order
            next = found->second;
            known.erase(found);
        }
        difference.all = difference.all || before.empty();
        if (difference.all) {
            references->clear();
            ids.clear();
            fresh.clear();
            for (const auto& part : order) fresh.push_back(part.get());
        } else {
            for (const auto& [part, position] : known) {
                for (const auto& node : part->nodes) {
                    references->remove(node.resource);
                    ids.erase(id_of(node.resource));
                    difference.gone.insert(&node);
                }
            }
        }
        for (auto* part : fresh) {
            for (auto& node : part->nodes) {
                // Two objects of one id are an error that the whole build words.
                if (!ids.insert(id_of(node.resource)).second) throw Indivisible{};
                references->add(node.resource);
                difference.fresh.push_back(&node);
            }
        }
        placed = order;
        return difference;
    }

    /// A hash: should two share one, the whole build finds out that they differ.
    static std::size_t id_of(const Resource& resource) {
        const auto& id = resource.id;
        return std::hash<std::string>{}(id.gvk.to_string() + "\n" +
                                        std::string{id.effective_namespace()} + "\n" + id.name);
    }

    void fix_references(const std::vector<Node*>& nodes, const Target& top) {
        for (auto* node : nodes) {
            if (node->built != nullptr && references->still(node->looked_up)) continue;
            node->built.reset();
            node->looked_up.clear();
            auto fixed = node->resource;
            references->fix(fixed, &node->looked_up);
            const auto id = fixed.id;
            fixed.refresh();
            // A reference in its own name: what hangs on that one is not found by looking at names.
            if (!(fixed.id == id)) throw Indivisible{};
            node->built = made(finish(fixed, top.kustomization));
        }
    }

    /// The objects as they stand in the result, which most of them do already in `earlier`.
    [[nodiscard]] std::vector<const Node*> in_sequence(const std::vector<Node*>& nodes,
                                                       const Difference& difference,
                                                       std::vector<const Node*> earlier,
                                                       const Target& target) {
        const auto& top = target.kustomization;
        const bool legacy = top.sort_options ? top.sort_options->legacy
                                             : options.order == BuildOptions::Order::legacy;
        const auto& order = top.sort_options && top.sort_options->order ? *top.sort_options->order
                                                                        : LegacyOrder::standard();
        const bool anew = earlier.empty() || difference.all || top.settings != settings ||
                          difference.fresh.size() > 16 + nodes.size() / 8;
        settings = top.settings;
        if (legacy && !anew) {
            std::erase_if(earlier, [&](const Node* n) { return difference.gone.contains(n); });
            const LegacyLess less{order};
            const auto before = [&](const Node* a, const Node* b) {
                return less(a->resource, b->resource);
            };
            for (const auto* node : difference.fresh) {
                if (!node->local)
                    earlier.insert(std::ranges::upper_bound(earlier, node, before), node);
            }
            return earlier;
        }
        std::vector<const Node*> sorted;
        std::vector<Resource*> resources;
        for (auto* node : nodes) {
            if (!node->local) resources.push_back(&node->resource);
        }
        if (legacy) resources = in_legacy_order(resources, order);
        for (const auto* resource : resources) sorted.push_back(nodes[resource->position]);
        return sorted;
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
    Keep keep;
    Parts parts;
    Asked spine;  ///< what was asked outside the parts; for a whole build: everything
    // Of the last result:
    std::vector<std::shared_ptr<Part>> placed;  ///< its parts, of which the next two know
    std::optional<NameReferences> references;   ///< goes with the parts: they refer to it
    std::unordered_set<std::size_t> ids;
    std::vector<const Node*> sequence;
    std::string settings;  ///< of the top kustomization
    std::optional<Result> result;
    bool dirty = true;
};

Builder::Builder(std::string directory, BuildOptions options, Keep keep)
    : impl_{new Impl{std::move(directory), std::move(options), std::move(keep)}} {}

Builder::~Builder() = default;

void Builder::changed(std::string_view path) { impl_->changed(path); }

bool Builder::up_to_date() const noexcept { return impl_->result && !impl_->dirty; }

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
