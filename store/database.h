/// SQLite, once for the whole project: WAL, one writer, prepared statements kept, migrations.
/// Blocking: call it from a thread that may block (`offload`), or use store/writer.h.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kled::store {

/// One row under the cursor; views are valid until the next step.
class Row {
public:
    [[nodiscard]] bool is_null(int column) const noexcept;
    [[nodiscard]] std::int64_t integer(int column) const noexcept;
    [[nodiscard]] std::string_view text(int column) const noexcept;
    [[nodiscard]] std::string_view blob(int column) const noexcept;

private:
    friend class Statement;
    explicit Row(void* statement) noexcept : statement_{statement} {}
    void* statement_;
};

/// A value to bind: `{id, std::string_view{"name"}, nullptr, Blob{bytes}}`.
struct Blob {
    std::string_view bytes;
};
class Value {
public:
    Value(std::nullptr_t) noexcept {}
    Value(std::int64_t v) noexcept : type_{Type::integer}, integer_{v} {}
    Value(int v) noexcept : type_{Type::integer}, integer_{v} {}
    Value(std::uint64_t v) noexcept
        : type_{Type::integer}, integer_{static_cast<std::int64_t>(v)} {}
    Value(std::string_view v) noexcept : type_{Type::text}, text_{v} {}
    Value(const std::string& v) noexcept : Value{std::string_view{v}} {}
    Value(const char* v) noexcept : Value{std::string_view{v}} {}
    Value(Blob v) noexcept : type_{Type::blob}, text_{v.bytes} {}

private:
    friend class Statement;
    enum class Type { null, integer, text, blob };
    Type type_ = Type::null;
    std::int64_t integer_ = 0;
    std::string_view text_;
};

struct Migration {
    int version;           ///< 1, 2, 3, … without gaps
    std::string_view sql;  ///< several statements; runs in one transaction
};

struct OpenOptions {
    std::vector<Migration> migrations;
    bool full_sync = true;  ///< synchronous=FULL: a commit survives a power cut
    int cache_kib = 512;
    bool read_only = false;       ///< a second connection for readers; does not migrate
    bool check_integrity = true;  ///< PRAGMA quick_check: reads the whole file once
};

/// One connection, used by one thread at a time: a second one gets Error(internal).
class Database {
public:
    /// Opens or makes `path`, mode 0600. Migrates forward, after a copy `<path>.backup-v<N>` when
    /// there was something to migrate. Error(invalid): written by a newer kled, or damaged (the
    /// message says which and what to do); Error(denied|exhausted|unavailable) from the file
    /// system.
    Database(const std::filesystem::path& path, OpenOptions options);
    ~Database();
    Database(Database&&) noexcept;

    using Bind = std::initializer_list<Value>;
    /// One statement; its rows, if any, are passed to `row` until it returns false.
    /// The row function may use this connection again, also with the same statement.
    void query(std::string_view sql, Bind values, const std::function<bool(const Row&)>& row);
    /// One statement without rows; the number of rows it changed. Error(conflict) for a violated
    /// constraint, Error(exhausted) for a full disk, Error(unavailable) for an I/O failure.
    std::int64_t execute(std::string_view sql, Bind values = {});
    [[nodiscard]] std::optional<std::int64_t> query_integer(std::string_view sql, Bind values = {});
    [[nodiscard]] std::optional<std::string> query_text(std::string_view sql, Bind values = {});

    /// `work` in BEGIN IMMEDIATE … COMMIT; rolled back when it throws. Inside another one it is a
    /// savepoint: undone alone when it throws, durable with the outer one.
    void transaction(const std::function<void()>& work);
    /// False also when SQLite itself rolled back: after a full disk or an I/O error.
    [[nodiscard]] bool in_transaction() const noexcept;
    [[nodiscard]] int schema_version();
    /// A consistent copy while others write (SQLite's backup API), complete and fsynced on return.
    void backup_to(const std::filesystem::path& path);

private:
    friend class Hold;
    friend class Statement;
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace kled::store
