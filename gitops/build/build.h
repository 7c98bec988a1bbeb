/// From a revision and a deployment object to the objects it stands for.
#pragma once

#include "base/error.h"
#include "gitops/build/inputs.h"
#include "gitops/build/manifest.h"
#include "gitops/git/tree.h"
#include "gitops/objects/api.h"

#include <filesystem>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace kled::gitops {

struct Built {
    Manifests objects;
    std::string digest;  ///< "sha256:<hex>" over the canonical objects
    std::vector<std::string> warnings;
    bool remote =
        false;  ///< other repositories and URLs are part of it: it may change without a sign
};

/// Bases and files that lie elsewhere: https:// and http:// URLs, without credentials.
struct RemoteBases {
    std::filesystem::path directory;  ///< a cache of them; empty: they are refused
    bool local_repositories = false;  ///< file:// URLs are allowed
    std::stop_token stop = {};
};

/// Thrown by a build that read such, where nothing it read of its own revision was damaged.
class RemoteBaseError : public Error {
public:
    using Error::Error;
};

/// The builds of one deployment object, one after the other: each redoes what changed in Git since
/// the one before, and gives the same Manifest for what did not. It keeps the objects of large
/// trees; of small ones nothing, and nothing that was decrypted or holds values of a Secret. One
/// call at a time, from any thread.
class Rebuild {
public:
    Rebuild();
    ~Rebuild();
    Rebuild(const Rebuild&) = delete;
    Rebuild& operator=(const Rebuild&) = delete;

    /// The objects, with the variables of `inputs` substituted. Files that SOPS has encrypted are
    /// read as plain text where there are keys. Long: call it where that does no harm.
    /// Error(not_found|invalid|denied|exhausted) with file and line; Error(unavailable) where the
    /// revision is not whole, RemoteBaseError(unavailable) where a remote base cannot be had.
    [[nodiscard]] Built run(git::Mirror& mirror, const git::Revision& revision,
                            const Deployment& deployment, const Inputs& inputs = {},
                            const RemoteBases& remotes = {});

    /// nullopt: `revision` shows the same as that of the last call, which succeeded, wherever that
    /// looked. Only for the same deployment and inputs.
    [[nodiscard]] std::optional<Built> run_if_changed(git::Mirror& mirror,
                                                      const git::Revision& revision,
                                                      const Deployment& deployment,
                                                      const Inputs& inputs = {},
                                                      const RemoteBases& remotes = {});

    /// What the last result hangs on: a tree that agrees with it gives the same.
    [[nodiscard]] const git::ReadSet& read_set() const noexcept;

    /// Whether the next one has something to go on from.
    [[nodiscard]] bool keeps_objects() const noexcept;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// Why nothing can be built: `spec.path` is not in the revision. Flux's words (kustomize-controller
/// 1.9, kustomization_controller.go). nullopt: it is.
[[nodiscard]] std::optional<std::string> missing_path(git::Mirror& mirror,
                                                      const git::Revision& revision,
                                                      const Deployment& deployment);

/// One build, with nothing kept.
[[nodiscard]] Built build(git::Mirror& mirror, const git::Revision& revision,
                          const Deployment& deployment, const Inputs& inputs = {},
                          const RemoteBases& remotes = {});

}  // namespace kled::gitops
