/// Which refusals of an API server mean that a field cannot be changed on an existing object.
#pragma once

#include "kube/client.h"

namespace kled::gitops {

/// By its text, as kube-apiserver, rules in definitions and admission webhooks write it.
[[nodiscard]] bool is_immutable_error(const kube::StatusError& error);

}  // namespace kled::gitops
