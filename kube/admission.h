/// Decides on objects before they take effect; called by apiserver, gitops and the agent,
/// implemented by policy.
#pragma once

#include "kube/object.h"

#include <boost/asio/awaitable.hpp>

#include <optional>
#include <string>
#include <vector>

namespace kled::kube {

enum class Operation { create, update, remove, connect };

struct AdmissionRequest {
    Operation operation = Operation::create;
    Object object;  ///< what would be stored; for `remove` what is there
    std::optional<Object> old_object;
    std::string user;
    std::vector<std::string> groups;
    bool dry_run = false;
};

struct Verdict {
    bool allowed = true;
    std::string message;            ///< for the user, when refused
    std::optional<Object> mutated;  ///< the object to go on with, when it was changed
    std::vector<std::string> warnings;
};

class Admission {
public:
    virtual ~Admission() = default;
    virtual boost::asio::awaitable<Verdict> judge(const AdmissionRequest& request) = 0;
};

}  // namespace kled::kube
