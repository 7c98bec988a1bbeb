#include "gitops/source/assembly.h"

#include "base/error.h"

#include <utility>

namespace kled::gitops {

Assembled Assembly::fetch(const std::stop_token& stop) const {
    return verified(mirror->fetch(reference, access, stop), stop);
}

std::optional<Assembled> Assembly::find(const git::Oid& commit, const std::string& name,
                                        const std::stop_token& stop) const {
    auto found = mirror->find(commit, name);
    if (!found) return std::nullopt;
    return verified(std::move(*found), stop);
}

Assembled Assembly::verified(git::Revision plain, const std::stop_token& stop) const {
    if (!verification) return compose(std::move(plain), stop);
    auto verdict = verify(*mirror, reference, plain, *verification);
    Assembled result;
    if (verdict.good) {
        result = compose(std::move(plain), stop);
    } else {
        result.failure = verdict.message;
    }
    result.verified = std::move(verdict);
    return result;
}

Assembled Assembly::compose(git::Revision plain, const std::stop_token& stop) const {
    plain.ignore = ignore;
    plain.sparse = sparse;
    if (!submodules && includes.empty())
        return {.revision = std::move(plain), .failure = {}, .verified = {}};
    const bool known = memory->plain == plain && memory->includes == includes &&
                       memory->submodules == (submodules != nullptr);
    if (known && git::Composer{*mirror, memory->result}.present())
        return {.revision = memory->result, .failure = {}, .verified = {}};
    git::Composer::trim(*mirror);
    auto revision = submodules ? submodules->fill(*mirror, plain, access, stop) : plain;
    git::Composer composer{*mirror, std::move(revision)};
    for (const auto& include : includes) {
        try {
            composer.include(include);
        } catch (const Error& error) {
            return {.revision = std::move(plain),
                    .failure = "failed to copy '" + include.name + "' include from '" +
                               include.from + "' to '" + include.to + "': " + error.what(),
                    .verified = {}};
        }
    }
    *memory = {.plain = std::move(plain),
               .submodules = submodules != nullptr,
               .includes = includes,
               .result = composer.revision()};
    return {.revision = composer.revision(), .failure = {}, .verified = {}};
}

}  // namespace kled::gitops
