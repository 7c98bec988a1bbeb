#include "edge/agent_store.h"

#include "base/error.h"
#include "base/file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace kled::edge {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view part_suffix = ".part";
/// Enough for SQLite to open its files and to write a few rows.
constexpr std::size_t spare_bytes = 256U << 10U;

store::OpenOptions schema() {
    return {.migrations = {{1, R"(
        CREATE TABLE state (
            id INTEGER PRIMARY KEY CHECK (id = 1),
            session INTEGER NOT NULL, desired TEXT NOT NULL, refused TEXT NOT NULL,
            applied TEXT NOT NULL) STRICT;
        INSERT INTO state VALUES (1, 0, '', '', '');
        CREATE TABLE processes (
            workload TEXT NOT NULL, container TEXT NOT NULL, pid INTEGER NOT NULL,
            start_time INTEGER NOT NULL, boot_id TEXT NOT NULL, digest TEXT NOT NULL,
            restarts INTEGER NOT NULL, PRIMARY KEY (workload, container)) STRICT, WITHOUT ROWID;
    )"}},
            .cache_kib = 64};
}

/// A file of `spare_bytes` that takes its space now.
bool set_aside(const fs::path& path) {
    const FileDescriptor fd{::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
    if (fd && ::posix_fallocate(fd.get(), 0, spare_bytes) == 0) return true;
    ::unlink(path.c_str());  // half of it is of no use
    return false;
}

/// With the spare space when it does not go without.
template <typename Work>
auto with_spare(const fs::path& spare, Work work) {
    try {
        return work();
    } catch (const Error&) {
        if (::unlink(spare.c_str()) != 0) throw;
    }
    return work();
}

store::Database open_database(const fs::path& directory, const fs::path& spare) {
    return with_spare(spare, [&directory] {
        make_directories(directory / "blobs", 0700);
        return store::Database{directory / "agent.db", schema()};
    });
}

void write_all(const FileDescriptor& fd, std::string_view bytes, std::size_t offset,
               const fs::path& path) {
    while (!bytes.empty()) {
        const auto n = ::pwrite(fd.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) throw from_errno(errno, path.string());
        bytes.remove_prefix(static_cast<std::size_t>(n));
        offset += static_cast<std::size_t>(n);
    }
}

void sync(const FileDescriptor& fd, const fs::path& path) {
    if (::fsync(fd.get()) != 0) throw from_errno(errno, path.string());
}

}  // namespace

AgentStore::AgentStore(const fs::path& directory)
    : blobs_{directory / "blobs"},
      spare_{directory / "spare"},
      database_{open_database(directory, spare_)} {}

bool AgentStore::keep_spare() {
    if (!has_spare_) has_spare_ = set_aside(spare_);
    return has_spare_;
}

Durable AgentStore::begin_session() {
    const std::lock_guard lock{mutex_};
    Durable state;
    with_spare(spare_,
               [this] { return database_.execute("UPDATE state SET session = session + 1"); });
    keep_spare();
    database_.query("SELECT session, desired, refused, applied FROM state", {},
                    [&state](const store::Row& row) {
                        state = {.session = static_cast<std::uint64_t>(row.integer(0)),
                                 .desired = std::string{row.text(1)},
                                 .refused = std::string{row.text(2)},
                                 .applied = std::string{row.text(3)}};
                        return false;
                    });
    return state;
}

void AgentStore::save(const Durable& state) {
    const std::lock_guard lock{mutex_};
    database_.execute("UPDATE state SET session = ?, desired = ?, refused = ?, applied = ?",
                      {state.session, state.desired, state.refused, state.applied});
}

void AgentStore::forget_assignments() {
    const std::lock_guard lock{mutex_};
    database_.execute("UPDATE state SET desired = '', refused = '', applied = ''");
}

std::map<ProcessKey, ProcessRecord> AgentStore::processes() {
    const std::lock_guard lock{mutex_};
    std::map<ProcessKey, ProcessRecord> records;
    database_.query(
        "SELECT workload, container, pid, start_time, boot_id, digest, restarts FROM processes", {},
        [&records](const store::Row& row) {
            records.insert_or_assign(
                ProcessKey{row.text(0), row.text(1)},
                ProcessRecord{.pid = static_cast<int>(row.integer(2)),
                              .start_time = static_cast<std::uint64_t>(row.integer(3)),
                              .boot_id = std::string{row.text(4)},
                              .digest = std::string{row.text(5)},
                              .restarts = static_cast<std::uint64_t>(row.integer(6))});
            return true;
        });
    return records;
}

void AgentStore::put_process(const ProcessKey& key, const ProcessRecord& record) {
    const std::lock_guard lock{mutex_};
    database_.execute("INSERT OR REPLACE INTO processes VALUES (?, ?, ?, ?, ?, ?, ?)",
                      {key.first, key.second, record.pid, record.start_time, record.boot_id,
                       record.digest, record.restarts});
}

void AgentStore::remove_process(const ProcessKey& key) {
    const std::lock_guard lock{mutex_};
    database_.execute("DELETE FROM processes WHERE workload = ? AND container = ?",
                      {key.first, key.second});
}

std::vector<HeldBlob> AgentStore::blobs() {
    std::vector<HeldBlob> held;
    for (const auto& entry : fs::directory_iterator{blobs_}) {
        auto name = entry.path().filename().string();
        const bool part = name.ends_with(part_suffix);
        if (part) name.resize(name.size() - part_suffix.size());
        std::error_code gone;
        const auto size = entry.file_size(gone);
        if (gone || name.size() != 64) continue;
        held.push_back({.digest = std::move(name), .bytes = size, .complete = !part});
    }
    // Where both are there, the complete one counts: it comes first.
    std::ranges::sort(held, {},
                      [](const HeldBlob& blob) { return std::pair{blob.digest, !blob.complete}; });
    return held;
}

void AgentStore::append(const Device::Append& append) {
    if (!keep_spare()) {
        throw Error{ErrorKind::exhausted, blobs_.string() + ": no space left on the device (" +
                                              std::to_string(spare_bytes >> 10U) +
                                              " KiB are kept free for the agent itself)"};
    }
    const auto name = blobs_ / append.blob.digest;
    auto part = name;
    part += part_suffix;
    const FileDescriptor fd{::open(part.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
    if (!fd) throw from_errno(errno, part.string());
    write_all(fd, append.bytes, append.offset, part);
    if (::ftruncate(fd.get(), static_cast<off_t>(append.offset + append.bytes.size())) != 0)
        throw from_errno(errno, part.string());
    if (!append.last) return;
    try {
        static_cast<void>(unpack(read_file(part, blob_limit), append.blob));
    } catch (const Error& error) {
        if (error.kind() == ErrorKind::invalid) ::unlink(part.c_str());
        throw;
    }
    sync(fd, part);
    if (::rename(part.c_str(), name.c_str()) != 0) throw from_errno(errno, name.string());
    const FileDescriptor folder{::open(blobs_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (!folder) throw from_errno(errno, blobs_.string());
    sync(folder, blobs_);
}

std::string AgentStore::read_blob(const BlobRef& blob) {
    try {
        return unpack(read_file(blobs_ / blob.digest, blob_limit), blob);
    } catch (const Error& error) {
        if (error.kind() == ErrorKind::invalid) remove_blob(blob.digest);
        throw;
    }
}

void AgentStore::remove_blob(std::string_view digest) {
    auto part = blobs_ / digest;
    ::unlink(part.c_str());
    part += part_suffix;
    ::unlink(part.c_str());
}

}  // namespace kled::edge
