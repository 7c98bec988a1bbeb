/// From a revision and a deployment object to the objects it stands for.
#pragma once

#include "gitops/api.h"
#include "gitops/git/tree.h"
#include "gitops/transform/sops.h"
#include "kube/object.h"

#include <filesystem>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

namespace kled::gitops {

struct Built {
    std::vector<kube::LoadedObject> objects;
    std::string digest;  ///< "sha256:<hex>" over the canonical objects
    std::vector<std::string> warnings;
    git::ReadSet read_set;  ///< a tree that agrees with it gives the same …
    bool remote = false;    ///< … but not this one: other repositories and URLs are part of it
};

/// Bases and files that lie elsewhere: https:// and http:// URLs, without credentials.
struct RemoteBases {
    std::filesystem::path directory;  ///< a cache of them; empty: they are refused
    bool local_repositories = false;  ///< file:// URLs are allowed
    std::stop_token stop = {};
};

/// The builds of one deployment object, one after the other: each redoes what changed in Git since
/// the one before. It keeps the objects of large trees; of small ones and of what was decrypted
/// nothing. One call at a time, from any thread.
class Rebuild {
public:
    Rebuild();
    ~Rebuild();
    Rebuild(const Rebuild&) = delete;
    Rebuild& operator=(const Rebuild&) = delete;

    /// What build() gives.
    [[nodiscard]] Built run(git::Mirror& mirror, const git::Revision& revision,
                            const Deployment& deployment, const SopsKeys* keys = nullptr,
                            const RemoteBases& remotes = {});

    /// Whether the next one has something to go on from.
    [[nodiscard]] bool keeps_objects() const noexcept;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// Long: call it where that does no harm. With `keys`, files that SOPS has encrypted are read as
/// plain text. Error(not_found|invalid|denied|exhausted) with file and line.
[[nodiscard]] Built build(git::Mirror& mirror, const git::Revision& revision,
                          const Deployment& deployment, const SopsKeys* keys = nullptr,
                          const RemoteBases& remotes = {});

}  // namespace kled::gitops
