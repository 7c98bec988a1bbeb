/// From a source's repository, its submodules and what it includes to one revision, which someone
/// trusted has signed where that is asked for.
#pragma once

#include "gitops/git/access.h"
#include "gitops/git/compose.h"
#include "gitops/git/mirror.h"
#include "gitops/git/submodules.h"
#include "gitops/source/verification.h"

#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace kled::gitops {

struct Assembled {
    git::Revision revision{};
    std::string failure{};  ///< of what: then the revision is not to be used; empty: all is there
    std::optional<Verified> verified{};  ///< not good: then neither
};

/// What was last put together, and of what.
struct AssemblyMemory {
    git::Revision plain;
    bool submodules = false;
    std::vector<git::Include> includes;
    git::Revision result;
};

/// Blocking; one call at a time for one mirror.
struct Assembly {
    std::shared_ptr<git::Mirror> mirror;
    std::shared_ptr<git::Submodules> submodules;  ///< null: they are left out
    git::Reference reference;
    git::Access access;
    std::string ignore;
    std::vector<std::string> sparse;
    std::vector<git::Include> includes;
    std::shared_ptr<const Verification> verification;  ///< null: anybody's revision is taken
    std::shared_ptr<AssemblyMemory> memory;

    /// Errors as those of Mirror::fetch and Submodules::fill.
    [[nodiscard]] Assembled fetch(const std::stop_token& stop) const;
    /// What was fetched earlier, with no server asked if its submodules are here too; nullopt: it
    /// is not here.
    [[nodiscard]] std::optional<Assembled> find(const git::Oid& commit, const std::string& name,
                                                const std::stop_token& stop) const;

private:
    [[nodiscard]] Assembled verified(git::Revision plain, const std::stop_token& stop) const;
    [[nodiscard]] Assembled compose(git::Revision plain, const std::stop_token& stop) const;
};

}  // namespace kled::gitops
