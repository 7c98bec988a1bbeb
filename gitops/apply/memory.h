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
    bool left = false;         ///< others changed it, and it was left so
    bool expires = false;      ///< it goes by itself
    bool read_first = false;   ///< looks_first of what the server has

    /// Of `live`, which is as Git has it under this digest.
    static Remembered of(const kube::Object& live, std::uint64_t digest, std::string_view manager);
};
using Memory = std::map<kube::ObjectId, Remembered>;

/// Whether nothing may be written onto `live`, of which the metadata is enough, before it was read:
/// it says hands off, is being deleted, or is somebody else's that is not marked so yet.
[[nodiscard]] bool looks_first(const kube::Object& live);

/// Whether the cluster deletes it once it is done: a Job with ttlSecondsAfterFinished.
[[nodiscard]] bool expires(const kube::Object& object);

}  // namespace kled::gitops
