/// What was seen to change of a deployment object's, and may have been changed by others. Pure.
#pragma once

#include "base/clock.h"
#include "gitops/apply/memory.h"
#include "kube/object.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace kled::gitops {

/// An object as a watch of metadata shows it.
struct Sighting {
    std::string resource_version;  ///< empty: it went
    std::uint64_t record = 0;      ///< record_of
    bool read_first = false;       ///< looks_first
    static Sighting of(const kube::Object& metadata, std::string_view manager);
};

class Suspects {
public:
    void saw(const kube::ObjectId& id, Sighting sighting);
    /// Suspects no more what is as `memory` has it, or not in it. Where others changed only what
    /// is theirs (a status), `memory` learns the new version. Whether anything is left.
    bool settle(Memory& memory);
    /// The same of one object.
    bool settle(const kube::ObjectId& id, Memory& memory);

    struct Suspect {
        kube::ObjectId id;
        Sighting sighting;
    };
    /// Those that are not as `memory` has them, as far as it is their turn; they are suspected no
    /// more.
    [[nodiscard]] std::vector<Suspect> due(Memory& memory, SteadyTime now);
    /// When `due` has something to give; nullopt: not before something is seen.
    [[nodiscard]] std::optional<SteadyTime> next(SteadyTime now) const;

private:
    /// One that others change again and again is looked at less and less often.
    struct Looks {
        unsigned times = 0;
        SteadyTime last{};
        [[nodiscard]] SteadyTime next() const;
    };

    /// Whether `seen` is what was written, or nothing that others may not write.
    static bool as_written(const Sighting& seen, Memory::iterator known, const Memory& memory);

    std::map<kube::ObjectId, Sighting> seen_;
    std::map<kube::ObjectId, Looks> looks_;
};

}  // namespace kled::gitops
