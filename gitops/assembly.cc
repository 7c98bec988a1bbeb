#include "gitops/assembly.h"

#include "base/error.h"

#include <utility>

namespace kled::gitops {

Assembled Assembly::fetch(const std::stop_token& stop) const {
    return compose(mirror->fetch(reference, access, stop), stop);
}

std::optional<Assembled> Assembly::find(const git::Oid& commit, const std::string& name,
                                        const std::stop_token& stop) const {
    auto found = mirror->find(commit, name);
    if (!found) return std::nullopt;
    return compose(std::move(*found), stop);
}

Assembled Assembly::compose(git::Revision plain, const std::stop_token& stop) const {
    plain.ignore = ignore;
    plain.sparse = sparse;
    if (!submodules && includes.empty()) return {.revision = std::move(plain), .failure = {}};
    const bool known = memory->plain == plain && memory->includes == includes &&
                       memory->submodules == (submodules != nullptr);
    if (known && git::Composer{*mirror, memory->result}.present())
        return {.revision = memory->result, .failure = {}};
    git::Composer::trim(*mirror);
    auto revision = submodules ? submodules->fill(*mirror, plain, access, stop) : plain;
    git::Composer composer{*mirror, std::move(revision)};
    for (const auto& include : includes) {
        try {
            composer.include(include);
        } catch (const Error& error) {
            return {.revision = std::move(plain),
                    .failure = "failed to copy '" + include.name + "' include from '" +
                               include.from + "' to '" + include.to + "': " + error.what()};
        }
    }
    *memory = {.plain = std::move(plain),
               .submodules = submodules != nullptr,
               .includes = includes,
               .result = composer.revision()};
    return {.revision = composer.revision(), .failure = {}};
}

}  // namespace kled::gitops
