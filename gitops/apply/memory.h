/// What was last applied, so that what is the same needs no request.
#pragma once

#include "kube/object.h"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace kled::gitops {

struct Remembered {
    std::uint64_t digest = 0;  ///< of the object as Git has it
    std::string resource_version;
    std::uint64_t record = 0;  ///< record_of what the server has
    bool adopted = false;
    bool left = false;       ///< others changed it, and it was left so
    bool expires = false;    ///< it goes by itself
    bool hands_off = false;  ///< what the server has says so: says_hands_off

    /// Of `live`, which is as Git has it under this digest.
    static Remembered of(const kube::Object& live, std::uint64_t digest, std::string_view manager,
                         bool adopted);
};
using Memory = std::map<kube::ObjectId, Remembered>;

/// Whether the cluster deletes it once it is done: a Job with ttlSecondsAfterFinished.
[[nodiscard]] bool expires(const kube::Object& object);

}  // namespace kled::gitops
