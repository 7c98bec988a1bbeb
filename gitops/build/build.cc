#include "gitops/build/build.h"

#include "base/encoding.h"
#include "base/error.h"
#include "crypto/hash.h"
#include "gitops/git/remotes.h"
#include "gitops/transform/decrypted_files.h"
#include "gitops/transform/substitute.h"
#include "kustomize/builder.h"

#include <boost/json/value_from.hpp>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <utility>

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

/// What is meant beside the files, as it stands in this tree.
struct Settings {
    Deployment deployment;
    json::array components;

    void amend(json::object& kustomization) const {
        const auto set = [&](std::string_view field, const std::string& value) {
            if (!value.empty()) kustomization[field] = value;
        };
        set("namespace", deployment.target_namespace);
        set("namePrefix", deployment.name_prefix);
        set("nameSuffix", deployment.name_suffix);
        append(kustomization, "components", components);
        append(kustomization, "buildMetadata", deployment.build_metadata);
        append(kustomization, "patches", deployment.patches);
        merge_images(kustomization, deployment.images);
    }

    /// Another text needs another build.
    [[nodiscard]] std::string text(const git::Mirror& mirror, const git::Revision& revision) const {
        const auto& d = deployment;
        const json::array all{json::value(mirror.url()),
                              json::value(revision.ignore),
                              json::value_from(revision.sparse),
                              json::value(d.path),
                              json::value(d.target_namespace),
                              json::value(d.name_prefix),
                              json::value(d.name_suffix),
                              json::value(components),
                              json::value(d.build_metadata),
                              json::value(d.patches),
                              json::value(d.images),
                              json::value_from(d.common_labels),
                              json::value_from(d.common_annotations)};
        return kube::to_canonical_json(json::value(all));
    }
};

/// What a builder that is kept asks, build after build: which branch leads where is asked anew in
/// each.
class Elsewhere : public kustomize::Remotes {
public:
    void open(const RemoteBases& remotes) {
        used_ = false;
        cache_.reset();
        if (remotes.directory.empty()) return;
        git::RemoteCache::Options options;
        options.directory = remotes.directory;
        options.access.local_repositories = remotes.local_repositories;
        options.stop = remotes.stop;
        cache_.emplace(std::move(options));
    }
    void close() { cache_.reset(); }
    [[nodiscard]] bool used() const noexcept { return used_; }

    [[nodiscard]] std::shared_ptr<const kustomize::Files> repository(
        const kustomize::RepositoryUrl& where) override {
        return cache(where.url).repository(where);
    }
    [[nodiscard]] std::string file(const std::string& url) override { return cache(url).file(url); }

private:
    git::RemoteCache& cache(const std::string& url) {
        if (!cache_) {
            throw Error{ErrorKind::denied, git::printable_url(url) +
                                               ": remote bases are refused here "
                                               "(--gitops-no-remote-bases)"};
        }
        used_ = true;
        return *cache_;
    }

    std::optional<git::RemoteCache> cache_;
    bool used_ = false;
};

kustomize::BuildOptions options_for(const std::shared_ptr<const Settings>& settings,
                                    Elsewhere& elsewhere) {
    kustomize::BuildOptions options;
    options.order = kustomize::BuildOptions::Order::none;  // the order of application is our own
    options.load_anywhere = true;                          // anywhere in the repository
    options.generate_missing = true;
    options.remotes = &elsewhere;
    options.amend = [settings](json::object& kustomization) { settings->amend(kustomization); };
    return options;
}

/// `spec.commonMetadata`: written when all else is, as Flux does it, so that nothing in it is taken
/// for a variable or for a switch of the substitution.
struct CommonMetadata {
    std::map<std::string, std::string> labels;
    std::map<std::string, std::string> annotations;

    void write_to(kube::Object& object) const {
        for (const auto& [key, value] : labels) object.set_label(key, value);
        for (const auto& [key, value] : annotations) object.set_annotation(key, value);
    }
};

std::string_view bytes_of(const crypto::Sha256& sum) {
    return {reinterpret_cast<const char*>(sum.data()), sum.size()};
}

/// What is wrong with the variables of a tree: told at its end, all of it.
class Problems {
public:
    void clear() { lines_.clear(); }
    [[nodiscard]] bool empty() const noexcept { return lines_.empty(); }
    /// Does `work`, and goes on when that fails.
    template <typename Work>
    void note(const Work& work) {
        try {
            work();
        } catch (const Error& error) {
            // A part of a tree may be built once more with the whole.
            const std::string line = error.what();
            if (std::ranges::find(lines_, line) == lines_.end()) lines_.push_back(line);
        }
    }
    [[nodiscard]] std::string text() const {
        constexpr std::size_t shown = 20;
        std::string result;
        for (std::size_t i = 0; i < std::min(lines_.size(), shown); ++i)
            result += (i == 0 ? "" : "\n") + lines_[i];
        if (lines_.size() > shown)
            result += "\n… and " + std::to_string(lines_.size() - shown) + " more";
        return result;
    }

private:
    std::vector<std::string> lines_;
};

/// `manifest` with variables that may not be kept in it.
std::shared_ptr<const Manifest> substituted(const Manifest& manifest, const Variables& variables,
                                            const CommonMetadata& common, Problems& problems) {
    kube::LoadedObject object{.object = manifest.decode(), .origin = {}};
    object.origin.file = manifest.place;
    problems.note([&] { substitute(object, variables); });
    common.write_to(object.object);
    auto result = std::make_shared<Manifest>(std::move(object));
    result->place = manifest.place;
    return result;
}

/// What an earlier build saw and what changed since then as it is now: what is gone was asked for
/// by nobody whose result is kept.
void forget(git::ReadSet& seen, const std::string& changed) {
    seen.erase(changed);
    const auto below = changed + "/";
    for (auto it = seen.lower_bound(below); it != seen.end() && it->first.starts_with(below);)
        it = seen.erase(it);
    const auto slash = changed.rfind('/');
    const auto parent = seen.find(slash == std::string::npos ? "" : changed.substr(0, slash));
    if (parent != seen.end() && parent->second.what == git::Seen::What::names)
        parent->second = {.what = git::Seen::What::directory, .path = parent->first, .oid = {}};
}

void add(git::ReadSet& seen, const git::ReadSet& more) {
    for (const auto& [path, now] : more) {
        auto& kept = seen[path];
        const bool known = now.what == git::Seen::What::directory &&
                           kept.what == git::Seen::What::names && kept.path == now.path;
        if (!known) kept = now;
    }
}

}  // namespace

struct Rebuild::Impl {
    // A small tree is built anew as fast as its changes are found.
    static constexpr std::size_t large = 200;

    Elsewhere elsewhere;
    std::optional<kustomize::Builder> builder;
    std::string settings;
    CommonMetadata common;
    git::Oid tree;          ///< the builder knows it
    git::ReadSet seen;      ///< what the last result hangs on
    bool complete = false;  ///< there is one
    bool secret = false;    ///< its objects hold values of a Secret
    std::shared_ptr<Problems> problems = std::make_shared<Problems>();

    void forget_all() {
        builder.reset();
        seen.clear();
        complete = false;
    }

    /// Nothing is left of a build that failed, and of none the way to elsewhere.
    template <typename Work>
    auto guarded(const RemoteBases& remotes, Work work) {
        elsewhere.open(remotes);
        try {
            auto result = work();
            elsewhere.close();
            return result;
        } catch (...) {
            elsewhere.close();
            forget_all();
            throw;
        }
    }

    /// What is kept of a built object: all but what follows from the values of a Secret.
    static kustomize::Builder::Keep keeper(const CommonMetadata& common, const Inputs& inputs,
                                           std::shared_ptr<Problems> told) {
        return [common, problems = std::move(told),
                variables =
                    inputs.variables && inputs.variables->secret ? std::nullopt : inputs.variables,
                later = inputs.variables && inputs.variables->secret](kube::LoadedObject loaded) {
            if (variables) problems->note([&] { substitute(loaded, *variables); });
            if (!later) common.write_to(loaded.object);
            return std::make_shared<const Manifest>(std::move(loaded));
        };
    }

    /// Brings the builder to `revision`: it is told what changed, or made anew.
    void follow(git::Mirror& mirror, const git::Revision& revision, const git::Tree& files,
                const Deployment& deployment, const Inputs& inputs) {
        const auto now = std::make_shared<const Settings>(
            Settings{.deployment = deployment, .components = components_of(files, deployment)});
        auto wanted = now->text(mirror, revision) + std::to_string(inputs.digest);
        if (builder && settings == wanted && files.plain()) {
            if (const auto changes = files.changes_since(tree)) {
                for (const auto& path : *changes) {
                    builder->changed(path);
                    forget(seen, path);
                }
                tree = revision.tree;
                return;
            }
        }
        forget_all();
        common = {.labels = deployment.common_labels, .annotations = deployment.common_annotations};
        builder.emplace(deployment.path, options_for(now, elsewhere),
                        keeper(common, inputs, problems));
        settings = std::move(wanted);
        tree = revision.tree;
    }

    const kustomize::Builder::Result& build(const git::Tree& tree_files, const SopsKeys* keys) {
        try {
            if (keys == nullptr) return builder->build(tree_files);
            return builder->build(DecryptedFiles{tree_files, *keys});
        } catch (const Error& error) {
            std::string message = error.what();
            // In the first line, which is what a table shows.
            std::string why;
            for (const auto& remark : tree_files.remarks())
                why += (why.empty() ? "" : "; ") + remark;
            if (!why.empty())
                message.insert(std::min(message.find('\n'), message.size()), " (" + why + ")");
            if (!problems->empty()) message += "\n" + problems->text();
            // Whoever builds takes what it cannot read for a fault of the files.
            if (tree_files.damaged()) throw Error{ErrorKind::unavailable, message};
            if (elsewhere.used()) throw RemoteBaseError{error.kind(), message};
            throw Error{error.kind(), message};
        }
    }

    Built run(const git::Tree& files, const Inputs& inputs) {
        if (inputs.variables) check_names(*inputs.variables);
        problems->clear();
        const auto& result = build(files, inputs.keys.get());
        add(seen, files.read_set());
        complete = !elsewhere.used();
        secret = inputs.variables && inputs.variables->secret;
        Built built;
        built.remote = elsewhere.used();
        built.warnings = result.warnings;
        built.objects.reserve(result.objects.size());
        crypto::Sha256Stream all;
        for (const auto& object : result.objects) {
            auto manifest = object->kept<Manifest>();
            if (secret) manifest = substituted(*manifest, *inputs.variables, common, *problems);
            all.update(bytes_of(manifest->digest));
            built.objects.push_back(std::move(manifest));
        }
        if (!problems->empty()) throw Error{ErrorKind::invalid, problems->text()};
        built.digest = "sha256:" + to_hex(bytes_of(all.finish()));
        if (inputs.keys || result.parts < 2 || result.objects.size() < large || !files.plain())
            builder.reset();
        return built;
    }
};

Rebuild::Rebuild() : impl_{new Impl} {}
Rebuild::~Rebuild() = default;

Built Rebuild::run(git::Mirror& mirror, const git::Revision& revision, const Deployment& deployment,
                   const Inputs& inputs, const RemoteBases& remotes) {
    auto& impl = *impl_;
    const git::Tree files{mirror, revision};
    if (inputs.keys) impl.forget_all();
    return impl.guarded(remotes, [&] {
        impl.follow(mirror, revision, files, deployment, inputs);
        return impl.run(files, inputs);
    });
}

std::optional<Built> Rebuild::run_if_changed(git::Mirror& mirror, const git::Revision& revision,
                                             const Deployment& deployment, const Inputs& inputs,
                                             const RemoteBases& remotes) {
    auto& impl = *impl_;
    const git::Tree files{mirror, revision};
    if (!impl.builder) {
        if (impl.complete && files.agrees_with(impl.seen)) return std::nullopt;
        if (inputs.keys) impl.forget_all();
    }
    return impl.guarded(remotes, [&]() -> std::optional<Built> {
        impl.follow(mirror, revision, files, deployment, inputs);
        if (impl.complete && impl.builder->up_to_date()) return std::nullopt;
        return impl.run(files, inputs);
    });
}

std::optional<std::string> missing_path(git::Mirror& mirror, const git::Revision& revision,
                                        const Deployment& deployment) {
    const git::Tree files{mirror, revision};
    if (files.find(deployment.path) || files.damaged()) return std::nullopt;
    std::string why;
    for (const auto& remark : files.remarks()) why += (why.empty() ? "" : "; ") + remark;
    return "kustomization path not found: stat " + deployment.path + ": no such file or directory" +
           (why.empty() ? "" : " (" + why + ")");
}

const git::ReadSet& Rebuild::read_set() const noexcept { return impl_->seen; }

bool Rebuild::keeps_objects() const noexcept {
    return impl_->builder.has_value() && !impl_->secret;
}

Built build(git::Mirror& mirror, const git::Revision& revision, const Deployment& deployment,
            const Inputs& inputs, const RemoteBases& remotes) {
    return Rebuild{}.run(mirror, revision, deployment, inputs, remotes);
}

}  // namespace kled::gitops
