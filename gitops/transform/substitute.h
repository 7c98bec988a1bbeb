/// spec.postBuild: variables in built objects replaced by values.
#pragma once

#include "kube/object.h"

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace kled::gitops {

struct Variables {
    std::map<std::string, std::string, std::less<>> values;
    bool secret = false;  ///< some come from a Secret: no message may quote the result
};

/// Each object's YAML with `${name}` replaced (envsubst.h) and read again, so that `replicas: ${n}`
/// is a number. One that says `kustomize.toolkit.fluxcd.io/substitute: disabled`, as a label or an
/// annotation, stays as it is. Error(invalid) names file, line and object: a variable that is not
/// set, or what is no YAML afterwards.
void substitute(std::vector<kube::LoadedObject>& objects, const Variables& variables);
/// One object; the names of the variables are checked before.
void substitute(kube::LoadedObject& loaded, const Variables& variables);

/// Error(invalid): the name of one could not stand between `${` and `}`.
void check_names(const Variables& variables);

}  // namespace kled::gitops
