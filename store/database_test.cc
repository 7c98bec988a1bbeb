#include "store/database.h"

#include "base/error.h"
#include "base/file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <thread>

namespace kled::store {
namespace {

namespace fs = std::filesystem;

template <typename Work>
Error failure_of(const Work& work) {
    try {
        work();
    } catch (const Error& error) {
        return error;
    }
    ADD_FAILURE() << "nothing was thrown";
    return {ErrorKind::internal, ""};
}

const std::vector<Migration> first{{.version = 1, .sql = "CREATE TABLE t (k TEXT PRIMARY KEY, v)"}};
const std::vector<Migration> second{
    first[0], {.version = 2, .sql = "ALTER TABLE t ADD COLUMN w; UPDATE t SET w = v || v;"}};

class DatabaseTest : public testing::Test {
protected:
    Database open(std::vector<Migration> migrations = first) {
        return Database{path, OpenOptions{.migrations = std::move(migrations)}};
    }
    unsigned mode_of(const fs::path& file) {
        struct stat info{};
        EXPECT_EQ(::stat(file.c_str(), &info), 0) << file;
        return info.st_mode & 0777U;
    }
    TemporaryDirectory folder;
    fs::path path = folder.path() / "state.db";
};

TEST_F(DatabaseTest, StoresEveryTypeAsItWas) {
    auto db = open();
    const std::string bytes{"\0\xff\x01", 3};
    db.execute("INSERT INTO t VALUES ('i', ?), ('t', ?), ('b', ?), ('n', ?), ('e', ?), ('z', ?)",
               {std::int64_t{1} << 62, std::string{"text"}, Blob{bytes}, nullptr,
                std::string_view{}, Blob{""}});
    EXPECT_EQ(db.query_integer("SELECT v FROM t WHERE k = 'i'"), std::int64_t{1} << 62);
    EXPECT_EQ(db.query_text("SELECT v FROM t WHERE k = ?", {"t"}), "text");
    EXPECT_EQ(db.query_text("SELECT typeof(v) FROM t WHERE k = 'e'"), "text");
    EXPECT_EQ(db.query_text("SELECT typeof(v) FROM t WHERE k = 'z'"), "blob");
    EXPECT_EQ(db.query_integer("SELECT v FROM t WHERE k = 'n'"), std::nullopt);
    EXPECT_EQ(db.query_integer("SELECT v FROM t WHERE k = 'absent'"), std::nullopt);
    std::string read;
    db.query("SELECT v, NULL FROM t WHERE k = 'b'", {}, [&](const Row& row) {
        read = row.blob(0);
        EXPECT_TRUE(row.is_null(1));
        EXPECT_EQ(row.text(1), "");
        return true;
    });
    EXPECT_EQ(read, bytes);
}

TEST_F(DatabaseTest, StopsARowFunctionThatHadEnoughAndMayBeUsedInside) {
    auto db = open();
    for (int i = 0; i < 10; ++i) db.execute("INSERT INTO t VALUES (?, ?)", {std::to_string(i), i});
    int seen = 0;
    db.query("SELECT k FROM t ORDER BY k", {}, [&](const Row& row) {
        const std::string key{row.text(0)};
        EXPECT_EQ(db.query_text("SELECT k FROM t ORDER BY k"), "0");
        EXPECT_EQ(row.text(0), key);
        return ++seen < 3;
    });
    EXPECT_EQ(seen, 3);
    EXPECT_EQ(db.execute("UPDATE t SET v = 0 WHERE v < 4"), 4);
}

TEST_F(DatabaseTest, KeepsItsFilesPrivate) {
    const auto old = ::umask(0);
    auto db = open();
    db.execute("INSERT INTO t VALUES ('a', 1)");
    ::umask(old);
    for (const auto* suffix : {"", "-wal", "-shm"})
        EXPECT_EQ(mode_of(path.string() + suffix), 0600U) << suffix;
}

TEST_F(DatabaseTest, TakesAwayTheModeOfAnOlderFile) {
    {
        auto db = open();
    }
    ::chmod(path.c_str(), 0644);
    auto db = open();
    EXPECT_EQ(mode_of(path), 0600U);
}

TEST_F(DatabaseTest, SaysWhatKindOfFailureItWas) {
    auto db = open();
    db.execute("INSERT INTO t VALUES ('a', 1)");
    EXPECT_EQ(failure_of([&] { db.execute("INSERT INTO t VALUES ('a', 2)"); }).kind(),
              ErrorKind::conflict);
    const auto error = failure_of([&] { db.execute("INSERT INTO nowhere VALUES (1)"); });
    EXPECT_EQ(error.kind(), ErrorKind::internal);
    EXPECT_NE(std::string{error.what()}.find("no such table: nowhere in: INSERT"),
              std::string::npos)
        << error.what();
    EXPECT_EQ(failure_of([] { Database{"/no/such/folder/db", {}}; }).kind(), ErrorKind::not_found);
    EXPECT_EQ(failure_of([&] {
                  Database{folder.path() / "absent.db",
                           OpenOptions{.migrations = {}, .read_only = true}};
              }).kind(),
              ErrorKind::not_found);
}

TEST_F(DatabaseTest, RollsBackWhatThrows) {
    auto db = open();
    EXPECT_THROW(db.transaction([&] {
        db.execute("INSERT INTO t VALUES ('a', 1)");
        throw Error{ErrorKind::invalid, "no"};
    }),
                 Error);
    EXPECT_FALSE(db.in_transaction());
    db.transaction([&] {
        db.execute("INSERT INTO t VALUES ('b', 1)");
        EXPECT_THROW(db.transaction([&] {
            db.execute("INSERT INTO t VALUES ('c', 1)");
            throw Error{ErrorKind::invalid, "no"};
        }),
                     Error);
        db.transaction([&] { db.execute("INSERT INTO t VALUES ('d', 1)"); });
    });
    EXPECT_EQ(db.query_text("SELECT group_concat(k) FROM t"), "b,d");
}

TEST_F(DatabaseTest, MigratesForwardUnderABackup) {
    {
        auto db = open();
        EXPECT_EQ(db.schema_version(), 1);
        db.execute("INSERT INTO t VALUES ('a', 'x')");
    }
    EXPECT_FALSE(fs::exists(path.string() + ".backup-v0"));
    auto db = open(second);
    EXPECT_EQ(db.schema_version(), 2);
    EXPECT_EQ(db.query_text("SELECT w FROM t"), "xx");
    const auto backup = path.string() + ".backup-v1";
    EXPECT_EQ(mode_of(backup), 0600U);
    Database old{backup, OpenOptions{.migrations = first, .read_only = true}};
    EXPECT_EQ(old.schema_version(), 1);
    EXPECT_EQ(old.query_text("SELECT v FROM t"), "x");
}

TEST_F(DatabaseTest, UndoesAMigrationThatFails) {
    {
        auto db = open();
    }
    auto broken = first;
    broken.push_back({.version = 2, .sql = "CREATE TABLE u (k); INSERT INTO nowhere VALUES (1);"});
    const auto error = failure_of([&] { open(broken); });
    EXPECT_NE(std::string{error.what()}.find("migration to schema 2"), std::string::npos);
    auto db = open();
    EXPECT_EQ(db.schema_version(), 1);
    EXPECT_EQ(db.query_integer("SELECT count(*) FROM sqlite_schema WHERE name = 'u'"), 0);
}

TEST_F(DatabaseTest, RefusesANewerSchema) {
    {
        auto db = open(second);
    }
    const auto error = failure_of([&] { open(first); });
    EXPECT_EQ(error.kind(), ErrorKind::invalid);
    EXPECT_NE(std::string{error.what()}.find("newer kled (schema 2, this one knows up to 1)"),
              std::string::npos)
        << error.what();
}

TEST_F(DatabaseTest, RefusesADamagedFile) {
    {
        auto db = open();
        db.transaction([&] {
            for (int i = 0; i < 1000; ++i)
                db.execute("INSERT INTO t VALUES (?, ?)", {std::to_string(i), "some value"});
        });
    }
    auto bytes = read_file(path);
    for (std::size_t at = 4096; at < bytes.size(); ++at)
        bytes[at] = static_cast<char>(bytes[at] ^ 0x55);
    write_file_atomic(path, bytes, 0600);
    const auto error = failure_of([&] { open(); });
    EXPECT_EQ(error.kind(), ErrorKind::invalid);
    EXPECT_NE(std::string{error.what()}.find("is damaged"), std::string::npos) << error.what();

    write_file_atomic(path, "this is a text file that is long enough to look like something", 0600);
    EXPECT_EQ(failure_of([&] { open(); }).kind(), ErrorKind::invalid);
}

TEST_F(DatabaseTest, IsReadByASecondConnectionWhileItIsWritten) {
    auto db = open();
    Database reader{path, OpenOptions{.migrations = first, .read_only = true}};
    db.transaction([&] {
        db.execute("INSERT INTO t VALUES ('a', 1)");
        EXPECT_EQ(reader.query_integer("SELECT count(*) FROM t"), 0);
    });
    EXPECT_EQ(reader.query_integer("SELECT count(*) FROM t"), 1);
    EXPECT_EQ(failure_of([&] { reader.execute("DELETE FROM t"); }).kind(), ErrorKind::denied);
}

TEST_F(DatabaseTest, BacksUpWhatIsCommitted) {
    auto db = open();
    db.execute("INSERT INTO t VALUES ('a', 1)");
    db.backup_to(folder.path() / "copy.db");
    db.execute("INSERT INTO t VALUES ('b', 1)");
    db.backup_to(folder.path() / "copy.db");  // replaces
    Database copy{folder.path() / "copy.db", OpenOptions{.migrations = first}};
    EXPECT_EQ(copy.query_integer("SELECT count(*) FROM t"), 2);
    EXPECT_FALSE(fs::exists(folder.path() / "copy.db.tmp"));
}

TEST_F(DatabaseTest, RefusesASecondThreadInTheMiddleOfATransaction) {
    auto db = open();
    db.transaction([&] {
        db.execute("INSERT INTO t VALUES ('a', 1)");
        std::thread{[&] {
            EXPECT_EQ(failure_of([&] { db.execute("INSERT INTO t VALUES ('b', 1)"); }).kind(),
                      ErrorKind::internal);
        }}.join();
    });
    std::thread{[&] { EXPECT_EQ(db.query_integer("SELECT count(*) FROM t"), 1); }}.join();
}

/// Fills `db` until it refuses; what was committed must be all there, and room again must do.
void fill(Database& db, const std::function<void()>& make_room) {
    const std::string big(20'000, 'x');
    int stored = 0;
    const auto error = failure_of([&] {
        for (; stored < 10'000; ++stored)
            db.execute("INSERT INTO t VALUES (?, ?)", {std::to_string(stored), big});
    });
    EXPECT_EQ(error.kind(), ErrorKind::exhausted) << error.what();
    EXPECT_EQ(db.query_integer("SELECT count(*) FROM t"), stored);
    EXPECT_GT(stored, 10);
    EXPECT_EQ(failure_of([&] {
                  db.transaction([&] {
                      for (int i = 0; i < 100; ++i)
                          db.execute("INSERT INTO t VALUES (?, ?)", {"u" + std::to_string(i), big});
                  });
              }).kind(),
              ErrorKind::exhausted);
    EXPECT_FALSE(db.in_transaction());
    EXPECT_EQ(db.query_integer("SELECT count(*) FROM t"), stored);
    make_room();
    db.execute("INSERT INTO t VALUES ('after', ?)", {big});
    EXPECT_EQ(db.query_text("PRAGMA quick_check"), "ok");
    EXPECT_EQ(db.query_integer("SELECT count(*) FROM t"), stored + 1);
}

TEST_F(DatabaseTest, SurvivesAFileThatMayNotGrow) {
    auto db = open();
    struct rlimit before{};
    ::getrlimit(RLIMIT_FSIZE, &before);
    const auto handler = std::signal(SIGXFSZ, SIG_IGN);
    const struct rlimit small{.rlim_cur = 1U << 20U, .rlim_max = before.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &small);
    const auto restore = [&] { ::setrlimit(RLIMIT_FSIZE, &before); };
    fill(db, restore);
    restore();
    std::signal(SIGXFSZ, handler);
}

TEST_F(DatabaseTest, SurvivesAFullDisk) {
    const auto disk = folder.path() / "disk";
    make_directories(disk);
    if (::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=2m") < 0)
        GTEST_SKIP() << "SKIPPED: a small file system cannot be mounted here (needs root)";
    {
        Database db{disk / "state.db", OpenOptions{.migrations = first}};
        fill(db, [&] { ::mount("tmpfs", disk.c_str(), "tmpfs", MS_REMOUNT, "size=16m"); });
    }
    ::umount2(disk.c_str(), MNT_DETACH);
}

}  // namespace
}  // namespace kled::store
