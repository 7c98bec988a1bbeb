#include "store/database.h"

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include <atomic>
#include <cassert>
#include <cerrno>
#include <map>
#include <thread>
#include <utility>

namespace kled::store {

namespace fs = std::filesystem;

namespace {

constexpr int busy_timeout_ms = 5000;
constexpr std::size_t statement_limit = 128;
/// What a long transaction made of the write-ahead log is given back after the next checkpoint.
constexpr std::string_view wal_size_limit = "4194304";

struct Close {
    void operator()(sqlite3* connection) const noexcept { sqlite3_close(connection); }
};
struct Finalize {
    void operator()(sqlite3_stmt* statement) const noexcept { sqlite3_finalize(statement); }
};
using Connection = std::unique_ptr<sqlite3, Close>;
using Prepared = std::unique_ptr<sqlite3_stmt, Finalize>;

ErrorKind kind_of(int code, int system_errno) noexcept {
    switch (code & 0xff) {
        case SQLITE_CONSTRAINT: return ErrorKind::conflict;
        case SQLITE_FULL:
        case SQLITE_NOMEM:
        case SQLITE_TOOBIG: return ErrorKind::exhausted;
        case SQLITE_IOERR:
        case SQLITE_CANTOPEN:
            // SQLite takes ENOSPC alone for a full disk; quotas and size limits say it differently.
            return system_errno != 0 ? from_errno(system_errno, "").kind() : ErrorKind::unavailable;
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
        case SQLITE_PROTOCOL:
        case SQLITE_INTERRUPT: return ErrorKind::unavailable;
        case SQLITE_PERM:
        case SQLITE_READONLY:
        case SQLITE_AUTH: return ErrorKind::denied;
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB: return ErrorKind::invalid;
        default: return ErrorKind::internal;
    }
}

Error damaged(const fs::path& path, const std::string& reason) {
    return {ErrorKind::invalid, path.string() + " is damaged (" + reason +
                                    "); restore a backup of it, or move it away to start anew"};
}

/// Whatever the last call on `connection` failed with. SQLite keeps the system's reason for its
/// main file only; for the log beside it errno still has it, when it was 0 before the call.
Error failure(sqlite3* connection, const fs::path& path, std::string_view sql) {
    const int system_errno =
        sqlite3_system_errno(connection) != 0 ? sqlite3_system_errno(connection) : errno;
    const int code = sqlite3_extended_errcode(connection);
    const char* const reason = sqlite3_errmsg(connection);
    const auto kind = kind_of(code, system_errno);
    if (kind == ErrorKind::invalid) return damaged(path, reason);
    auto message = path.string() + ": " + reason;
    if (kind == ErrorKind::internal) message.append(" in: ").append(sql);
    return {kind, message};
}

/// A private file before SQLite sees it: its -wal and -shm files take over the mode. One that is
/// there is not opened: closing it would drop the locks of this process' other connections.
void make_private(const fs::path& path) {
    const FileDescriptor made{::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600)};
    if (made) return;
    struct stat info{};
    if (errno != EEXIST || ::stat(path.c_str(), &info) < 0) throw from_errno(errno, path.string());
    if ((info.st_mode & 077U) != 0 && ::chmod(path.c_str(), 0600) < 0)
        throw from_errno(errno, path.string());
}

Connection connect(const fs::path& path, int flags) {
    sqlite3* opened = nullptr;
    const int code = sqlite3_open_v2(path.c_str(), &opened,
                                     flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, nullptr);
    Connection connection{opened};
    if (!connection) throw Error{ErrorKind::exhausted, path.string() + ": no memory for SQLite"};
    if (code != SQLITE_OK) throw failure(opened, path, "open");
    sqlite3_busy_timeout(opened, busy_timeout_ms);
    // What a damaged or planted file could make SQL do is switched off.
    sqlite3_db_config(opened, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
    sqlite3_db_config(opened, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
    return connection;
}

}  // namespace

struct Database::Impl {
    fs::path path;
    Connection connection;
    /// Those not in use; a statement is taken out while it runs.
    std::map<std::string, Prepared, std::less<>> statements;
    std::atomic<std::thread::id> holder;  ///< who is in a call or transaction; nobody: {}

    [[nodiscard]] Error failure(std::string_view sql) const {
        return store::failure(connection.get(), path, sql);
    }

    /// Several statements without values or rows.
    void run(const std::string& sql) const {
        errno = 0;
        if (sqlite3_exec(connection.get(), sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK)
            throw failure(sql);
    }

    [[nodiscard]] bool in_transaction() const noexcept {
        return sqlite3_get_autocommit(connection.get()) == 0;
    }

    /// BEGIN or SAVEPOINT, `work`, and the end that fits.
    void transaction(const std::function<void()>& work) {
        const bool nested = in_transaction();
        run(nested ? "SAVEPOINT work" : "BEGIN IMMEDIATE");
        try {
            work();
            run(nested ? "RELEASE work" : "COMMIT");
        } catch (...) {
            // After a full disk or an I/O error SQLite may have rolled everything back itself.
            if (in_transaction())
                sqlite3_exec(connection.get(),
                             nested ? "ROLLBACK TO work; RELEASE work" : "ROLLBACK", nullptr,
                             nullptr, nullptr);
            throw;
        }
    }
};

/// A thread's hold on the connection. What two threads do at once would land in each other's
/// transactions and go with their rollbacks, unnoticed: so it is refused.
class Hold {
public:
    explicit Hold(Database::Impl& owner) : owner_{owner} {
        std::thread::id before;
        outermost_ = owner.holder.compare_exchange_strong(before, std::this_thread::get_id());
        if (!outermost_ && before != std::this_thread::get_id()) {
            throw Error{ErrorKind::internal,
                        owner.path.string() + ": two threads use one connection"};
        }
    }
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;
    ~Hold() {
        if (outermost_) owner_.holder = std::thread::id{};
    }

private:
    Database::Impl& owner_;
    bool outermost_ = false;
};

/// A prepared statement on loan from the connection: bound, stepped, and given back clean.
class Statement {
public:
    Statement(Database::Impl& owner, std::string_view sql)
        : hold_{owner}, owner_{owner}, sql_{sql} {
        if (const auto kept = owner.statements.find(sql); kept != owner.statements.end()) {
            entry_ = owner.statements.extract(kept);
            return;
        }
        sqlite3_stmt* statement = nullptr;
        const char* tail = nullptr;
        const int code =
            sqlite3_prepare_v3(owner.connection.get(), sql.data(), static_cast<int>(sql.size()),
                               SQLITE_PREPARE_PERSISTENT, &statement, &tail);
        Prepared prepared{statement};
        if (code != SQLITE_OK) throw owner.failure(sql);
        [[maybe_unused]] const auto rest = sql.substr(static_cast<std::size_t>(tail - sql.data()));
        assert(prepared && rest.find_first_not_of(" \t\n;") == std::string_view::npos &&
               "one statement, not none or several");
        // By way of a map, which is the one that makes its nodes.
        std::map<std::string, Prepared, std::less<>> made;
        made.emplace(sql, std::move(prepared));
        entry_ = made.extract(made.begin());
    }
    Statement(const Statement&) = delete;
    Statement& operator=(const Statement&) = delete;
    ~Statement() {
        sqlite3_reset(get());
        sqlite3_clear_bindings(get());
        if (owner_.statements.size() >= statement_limit) owner_.statements.clear();
        owner_.statements.insert(std::move(entry_));
    }

    /// The values are read until the statement goes, and not copied.
    void bind(Database::Bind values) {
        assert(std::cmp_equal(sqlite3_bind_parameter_count(get()), values.size()));
        int index = 0;
        for (const auto& value : values) {
            // To SQLite a null pointer is NULL, where an empty text is meant.
            const char* const data = value.text_.empty() ? "" : value.text_.data();
            int code = SQLITE_OK;
            ++index;
            switch (value.type_) {
                case Value::Type::null: code = sqlite3_bind_null(get(), index); break;
                case Value::Type::integer:
                    code = sqlite3_bind_int64(get(), index, value.integer_);
                    break;
                case Value::Type::text:
                    code = sqlite3_bind_text64(get(), index, data, value.text_.size(),
                                               SQLITE_STATIC, SQLITE_UTF8);
                    break;
                case Value::Type::blob:
                    code =
                        sqlite3_bind_blob64(get(), index, data, value.text_.size(), SQLITE_STATIC);
                    break;
            }
            if (code != SQLITE_OK) throw owner_.failure(sql_);
        }
    }

    /// True: there is a row.
    bool step() {
        errno = 0;
        switch (sqlite3_step(get())) {
            case SQLITE_ROW: return true;
            case SQLITE_DONE: return false;
            default: throw owner_.failure(sql_);
        }
    }

    [[nodiscard]] Row row() const noexcept { return Row{get()}; }

private:
    [[nodiscard]] sqlite3_stmt* get() const noexcept { return entry_.mapped().get(); }

    Hold hold_;
    Database::Impl& owner_;
    std::string_view sql_;
    std::map<std::string, Prepared, std::less<>>::node_type entry_;
};

namespace {

sqlite3_stmt* statement_of(void* statement) noexcept {
    return static_cast<sqlite3_stmt*>(statement);
}

}  // namespace

bool Row::is_null(int column) const noexcept {
    return sqlite3_column_type(statement_of(statement_), column) == SQLITE_NULL;
}

std::int64_t Row::integer(int column) const noexcept {
    return sqlite3_column_int64(statement_of(statement_), column);
}

std::string_view Row::text(int column) const noexcept {
    // The pointer first: it may convert, and the size is that of the converted text.
    const auto* const data = sqlite3_column_text(statement_of(statement_), column);
    const auto size = sqlite3_column_bytes(statement_of(statement_), column);
    if (data == nullptr) return {};
    return {reinterpret_cast<const char*>(data), static_cast<std::size_t>(size)};
}

std::string_view Row::blob(int column) const noexcept {
    const auto* const data = sqlite3_column_blob(statement_of(statement_), column);
    const auto size = sqlite3_column_bytes(statement_of(statement_), column);
    if (data == nullptr) return {};
    return {static_cast<const char*>(data), static_cast<std::size_t>(size)};
}

Database::Database(const fs::path& path, OpenOptions options) : impl_{std::make_unique<Impl>()} {
    impl_->path = path;
    if (!options.read_only) make_private(path);
    impl_->connection =
        connect(path, options.read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE);
    if (!options.read_only) {
        if (query_text("PRAGMA journal_mode = WAL") != "wal") {
            throw Error{ErrorKind::unavailable,
                        path.string() + ": its file system cannot hold a write-ahead log"};
        }
        impl_->run("PRAGMA journal_size_limit = " + std::string{wal_size_limit});
        impl_->run(options.full_sync ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL");
    }
    impl_->run("PRAGMA cache_size = -" + std::to_string(options.cache_kib));
    impl_->run("PRAGMA foreign_keys = ON");
    impl_->run("PRAGMA temp_store = MEMORY");

    const auto version = schema_version();
    const auto newest = options.migrations.empty() ? version : options.migrations.back().version;
    if (version > newest) {
        throw Error{ErrorKind::invalid, path.string() + " was written by a newer kled (schema " +
                                            std::to_string(version) + ", this one knows up to " +
                                            std::to_string(newest) +
                                            "); use that version, or restore a backup"};
    }
    if (options.check_integrity) {
        const auto verdict = query_text("PRAGMA quick_check(1)");
        if (verdict != "ok") throw damaged(path, verdict.value_or("no answer"));
    }
    if (options.read_only || version == newest) return;

    if (version > 0) backup_to(path.string() + ".backup-v" + std::to_string(version));
    for (const auto& migration : options.migrations) {
        assert(migration.version == &migration - options.migrations.data() + 1);
        if (migration.version <= version) continue;
        try {
            impl_->transaction([&] {
                impl_->run(std::string{migration.sql});
                impl_->run("PRAGMA user_version = " + std::to_string(migration.version));
            });
        } catch (const Error& error) {
            throw error.within("migration to schema " + std::to_string(migration.version));
        }
    }
    log::debug("store", "schema is up to date",
               {{"database", path.string()}, {"from", version}, {"to", newest}});
}

Database::~Database() {
    if (impl_) impl_->statements.clear();  // the connection closes only without statements
}
Database::Database(Database&&) noexcept = default;

void Database::query(std::string_view sql, Bind values,
                     const std::function<bool(const Row&)>& row) {
    Statement statement{*impl_, sql};
    statement.bind(values);
    while (statement.step())
        if (!row(statement.row())) return;
}

std::int64_t Database::execute(std::string_view sql, Bind values) {
    Statement statement{*impl_, sql};
    statement.bind(values);
    const auto before = sqlite3_total_changes64(impl_->connection.get());
    while (statement.step()) {
    }
    return sqlite3_total_changes64(impl_->connection.get()) - before;
}

std::optional<std::int64_t> Database::query_integer(std::string_view sql, Bind values) {
    Statement statement{*impl_, sql};
    statement.bind(values);
    if (!statement.step() || statement.row().is_null(0)) return std::nullopt;
    return statement.row().integer(0);
}

std::optional<std::string> Database::query_text(std::string_view sql, Bind values) {
    Statement statement{*impl_, sql};
    statement.bind(values);
    if (!statement.step() || statement.row().is_null(0)) return std::nullopt;
    return std::string{statement.row().text(0)};
}

void Database::transaction(const std::function<void()>& work) {
    const Hold hold{*impl_};
    impl_->transaction(work);
}

bool Database::in_transaction() const noexcept { return impl_->in_transaction(); }

int Database::schema_version() {
    return static_cast<int>(query_integer("PRAGMA user_version").value_or(0));
}

void Database::backup_to(const fs::path& path) {
    const Hold hold{*impl_};
    const auto temporary = path.string() + ".tmp";
    std::error_code ignored;
    fs::remove(temporary, ignored);
    make_private(temporary);
    try {
        const auto copy = connect(temporary, SQLITE_OPEN_READWRITE);
        auto* const backup =
            sqlite3_backup_init(copy.get(), "main", impl_->connection.get(), "main");
        if (backup == nullptr) throw failure(copy.get(), temporary, "backup");
        sqlite3_backup_step(backup, -1);
        // The copy's last transaction is committed, and so synced, here; errors of both come out.
        if (sqlite3_backup_finish(backup) != SQLITE_OK)
            throw failure(copy.get(), temporary, "backup");
    } catch (...) {
        fs::remove(temporary, ignored);
        throw;
    }
    std::error_code failed;
    fs::rename(temporary, path, failed);
    if (failed) throw from_errno(failed.value(), path.string());
    sync_directory(path.has_parent_path() ? path.parent_path() : fs::path{"."});
}

}  // namespace kled::store
