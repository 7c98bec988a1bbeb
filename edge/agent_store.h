/// What an agent keeps on its disk: its state in SQLite, content in files named by digest.
/// Everything here blocks; a mutex makes it usable from a pool. A quarter of a megabyte is set
/// aside in a file, and given up where an agent has to start on a full disk; content is fetched
/// only when it is there again.
#pragma once

#include "edge/device.h"
#include "store/database.h"

#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kled::edge {

/// Who runs a container, so that a restarted agent finds it again.
struct ProcessRecord {
    int pid = 0;
    std::uint64_t start_time = 0;
    std::string boot_id{};  ///< of the boot it was started in: pids mean nothing in another
    std::string digest{};   ///< of its workload
    std::uint64_t restarts = 0;
};
/// Workload folder and container.
using ProcessKey = std::pair<std::string, std::string>;

class AgentStore {
public:
    /// `<directory>/agent.db` and `<directory>/blobs/`.
    explicit AgentStore(const std::filesystem::path& directory);

    /// The state, with the session counter raised and saved.
    [[nodiscard]] Durable begin_session();
    /// Error(exhausted) on a full disk.
    void save(const Durable& state);
    /// The session and the processes are kept.
    void forget_assignments();

    [[nodiscard]] std::map<ProcessKey, ProcessRecord> processes();
    void put_process(const ProcessKey& key, const ProcessRecord& record);
    void remove_process(const ProcessKey& key);

    [[nodiscard]] std::vector<HeldBlob> blobs();
    /// Device::Append. Error(invalid): the whole does not have its digest, and was removed.
    void append(const Device::Append& append);
    /// Plain bytes. Error(invalid|not_found): damaged or gone, and removed.
    [[nodiscard]] std::string read_blob(const BlobRef& blob);
    void remove_blob(std::string_view digest);

private:
    bool keep_spare();

    std::mutex mutex_;
    std::filesystem::path blobs_;
    std::filesystem::path spare_;
    bool has_spare_ = false;
    store::Database database_;
};

}  // namespace kled::edge
