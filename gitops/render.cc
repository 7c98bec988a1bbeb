#include "gitops/render.h"

#include "base/encoding.h"
#include "crypto/hash.h"

namespace kled::gitops {

namespace {

std::string digest_of(const std::vector<kube::LoadedObject>& objects) {
    crypto::Sha256Stream digest;
    for (const auto& [object, origin] : objects) {
        digest.update(kube::to_canonical_json(kube::json::value(object.fields())));
        digest.update("\n");
    }
    const auto sum = digest.finish();
    return "sha256:" + to_hex({reinterpret_cast<const char*>(sum.data()), sum.size()});
}

}  // namespace

Built render(Rebuild& builds, git::Mirror& mirror, const git::Revision& revision,
             const Deployment& deployment, const Inputs& inputs, const RemoteBases& remotes) {
    auto built = builds.run(mirror, revision, deployment, inputs.keys.get(), remotes);
    if (inputs.variables) {
        substitute(built.objects, *inputs.variables);
        built.digest = digest_of(built.objects);
    }
    return built;
}

}  // namespace kled::gitops
