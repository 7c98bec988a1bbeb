/// Waits for changes of files (inotify).
#pragma once

#include "base/file.h"

#include <map>
#include <set>
#include <string>
#include <vector>

namespace kled::cli {

/// Watches the directories that hold some paths. Paths are absolute ones without their leading '/',
/// as DiskFiles has them.
class Watch {
public:
    /// Error(unavailable): the system has no watch left.
    Watch();

    /// From now on changes at these paths are seen, also of those that do not exist yet; what was
    /// watched before stays. Error(unavailable) as above.
    void add(const std::vector<std::string>& paths);

    /// Blocks until something changes, and a little longer for what belongs to the same change.
    /// Paths that are new, gone, or other than before; {""} when some were missed.
    [[nodiscard]] std::set<std::string> wait();

private:
    void watch(const std::string& directory);
    void read_events(std::set<std::string>& changed);

    FileDescriptor inotify_;
    std::map<int, std::string> directories_;
    std::set<std::string> watched_;
};

}  // namespace kled::cli
