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

struct Context {
    const Files& files;
    const BuildOptions& options;
    Problems problems = {};
    std::vector<std::string> warnings = {};
    std::unique_ptr<OpenApi> open_api = {};  ///< the first one named, from the top down
    bool open_api_chosen = false;
};

/// The directory of a kustomization: what it names is read relative to it.
class Root {
public:
    Root(Context& context, std::string directory, const Root* parent = nullptr)
        : context_{context}, directory_{std::move(directory)}, parent_{parent} {}

    [[nodiscard]] const std::string& directory() const noexcept { return directory_; }
    [[nodiscard]] Context& context() const noexcept { return context_; }

    /// A file, links resolved. Error(not_found): there is none, or it is a directory;
    /// Error(denied): it lies outside this directory and BuildOptions::load_anywhere is off.
    [[nodiscard]] std::string find_file(const std::string& path) const;
    [[nodiscard]] std::string read_file(const std::string& path) const {
        return context_.files.read(find_file(path));
    }

    /// The directory of another kustomization. Error(not_found): it is none; Error(invalid): it is,
    /// or contains, one on the way here.
    [[nodiscard]] Root enter(const std::string& path) const;

private:
    Context& context_;
    std::string directory_;
    const Root* parent_;
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
                                                            const std::string& file);

}  // namespace kled::kustomize
