/// Builds one directory again and again, and each time only what changed since the last time.
#pragma once

#include "kube/object.h"
#include "kustomize/build.h"
#include "kustomize/files.h"

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kled::kustomize {

/// One object of a result. Immutable, and the same one in the next result when nothing it hangs on
/// changed; what is costly is made once, when it is asked for. One thread at a time.
class BuiltObject {
public:
    explicit BuiltObject(kube::LoadedObject loaded) : loaded_{std::move(loaded)} {}
    explicit BuiltObject(std::shared_ptr<const void> kept) : kept_{std::move(kept)} {}
    [[nodiscard]] const kube::LoadedObject& loaded() const noexcept { return loaded_; }
    /// Its YAML document.
    [[nodiscard]] const std::string& yaml() const;
    /// What Builder::Keep made of it, and is then all there is.
    template <typename T>
    [[nodiscard]] std::shared_ptr<const T> kept() const {
        return std::static_pointer_cast<const T>(kept_);
    }

private:
    kube::LoadedObject loaded_;
    mutable std::string yaml_;
    std::shared_ptr<const void> kept_;
};

/// A kustomization whose transformers look at one resource at a time (namespace, prefix, labels,
/// images…) is built entry by entry of its `resources`, those that are such kustomizations again
/// by their entries; each of these parts is kept as long as none of the files it was made of
/// changed. Names and references are brought up to date over all of them, but only the objects that
/// hang on a changed name are touched. Any other tree is one part.
///
/// The result is that of `build`, also its errors.
class Builder {
public:
    struct Result {
        std::vector<std::shared_ptr<const BuiltObject>> objects;
        std::vector<std::string> warnings;
        std::size_t parts = 0;    ///< the tree fell into
        std::size_t rebuilt = 0;  ///< of these, because they are new or what they read changed

        [[nodiscard]] std::string to_yaml() const;
    };

    /// What is kept of an object in place of its fields, called once for each. What it throws is an
    /// error of the build.
    using Keep = std::function<std::shared_ptr<const void>(kube::LoadedObject)>;

    Builder(std::string directory, BuildOptions options, Keep keep = nullptr);
    ~Builder();
    Builder(const Builder&) = delete;
    Builder& operator=(const Builder&) = delete;

    /// What stands at `path` of the tree, or below it, may be another now, or be there no more or
    /// for the first time. To be called for each change between two builds.
    void changed(std::string_view path);

    /// Whether nothing changed that the last result hangs on: the next one is the same.
    [[nodiscard]] bool up_to_date() const noexcept;

    /// Of the tree as it is now. Errors are those of kustomize::build; what was kept stays.
    const Result& build(const Files& files);

    /// The paths the last result hangs on: changes elsewhere change nothing.
    [[nodiscard]] std::vector<std::string> paths() const;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace kled::kustomize
