/// What all parts of one build share, and how they reach files.
#pragma once

#include "kube/yaml.h"
#include "kustomize/build.h"
#include "kustomize/fields.h"
#include "kustomize/files.h"
#include "kustomize/merge_schema.h"
#include "kustomize/resource_map.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace kled::kustomize {

/// What is left of BuildOptions::Limits. Error(exhausted) when it is not enough.
class Budget {
public:
    explicit Budget(const BuildOptions::Limits& limits) : limits_{limits} {}
    void kustomization();
    void depth(std::size_t depth);
    void object();
    /// `count` times `size`.
    void bytes(std::size_t size, std::size_t count = 1);
    [[nodiscard]] bool exhausted() const noexcept { return exhausted_; }
    /// Whether the error, on its way up, has the place in it.
    [[nodiscard]] bool reported() const noexcept { return reported_; }
    void report() noexcept { reported_ = true; }

private:
    [[noreturn]] void stop(const std::string& what);

    BuildOptions::Limits limits_;
    std::size_t kustomizations_ = 0;
    std::size_t objects_ = 0;
    std::size_t bytes_ = 0;
    bool exhausted_ = false;
    bool reported_ = false;
};

struct Context {
    const Files& files;
    const BuildOptions& options;
    Budget budget{options.limits};
    Problems problems = {};
    std::vector<std::string> warnings = {};
    std::unique_ptr<OpenApi> open_api = {};  ///< the first one named, from the top down
    bool open_api_chosen = false;
    /// kustomize has loaded its own OpenAPI document, which then stays beside the one named.
    bool uses_builtin_api = false;
    bool wants_settings = false;  ///< Kustomization::settings
};

/// A text and what to call it in messages.
struct Source {
    std::string text;
    std::string file;
};

/// The directory of a kustomization: what it names is read relative to it.
class Root {
public:
    /// In the tree that is built.
    Root(Context& context, std::string directory)
        : context_{context}, files_{&context.files}, directory_{std::move(directory)} {}

    /// The tree it is in.
    [[nodiscard]] const Files& files() const noexcept { return *files_; }
    [[nodiscard]] const std::string& directory() const noexcept { return directory_; }
    [[nodiscard]] Context& context() const noexcept { return context_; }

    /// A file, links resolved. Error(not_found): there is none, or it is a directory;
    /// Error(denied): it lies outside this directory and BuildOptions::load_anywhere is off.
    [[nodiscard]] std::string find_file(const std::string& path) const;
    /// What is in a file, or behind an HTTP(S) URL where those are allowed.
    [[nodiscard]] Source load(const std::string& path_or_url) const;
    [[nodiscard]] std::string read_file(const std::string& path_or_url) const {
        return load(path_or_url).text;
    }

    /// The directory of another kustomization. Error(not_found): it is none; Error(invalid): it is,
    /// or contains, one on the way here.
    [[nodiscard]] Root enter(const std::string& path) const;
    /// The same, in another repository.
    [[nodiscard]] Root enter(const RepositoryUrl& url) const;

private:
    [[nodiscard]] Root enter(const Files& files, const std::string& directory,
                             const std::string& shown) const;

    Context& context_;
    std::shared_ptr<const Files> remote_ = {};  ///< keeps `files_`
    const Files* files_;
    std::string directory_;
    const Root* parent_ = nullptr;
    std::size_t depth_ = 1;
};

/// The first document of a file that configures the build, with lines for messages; null when it is
/// empty. Error as Root::read_file, and Error(invalid) for broken YAML or JSON.
[[nodiscard]] kube::YamlDocument read_document(const Root& root, const std::string& path);

/// Whether an entry that may be a path or YAML is YAML: it has a line break or a "key: value".
[[nodiscard]] bool is_inline(std::string_view text_or_path) noexcept;

/// The objects of a manifest's text as kustomize reads them: Lists are replaced by their items,
/// each object has a kind and a name. Error(invalid) names `file`, as the user knows it, and a
/// line.
[[nodiscard]] std::vector<ResourceMap::Item> load_resources(std::string_view text,
                                                            const std::string& file,
                                                            bool scalars_are_text = false);
/// The same, for the build `context` is of.
[[nodiscard]] std::vector<ResourceMap::Item> load_resources(std::string_view text,
                                                            const std::string& file,
                                                            Context& context);

}  // namespace kled::kustomize
