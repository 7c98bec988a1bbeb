// kill -9 at random instants: what was acknowledged is there, nothing is half there.
#include "base/file.h"
#include "store/database.h"
#include "store/writer.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <random>
#include <thread>

namespace kled::store {
namespace {

OpenOptions options() {
    return {.migrations = {{.version = 1,
                            .sql = "CREATE TABLE a (n INTEGER PRIMARY KEY, filler TEXT);"
                                   "CREATE TABLE b (n INTEGER PRIMARY KEY);"}}};
}

/// Counts on from what is stored, each number into both tables, and tells each that is durable.
[[noreturn]] void write_forever(const std::filesystem::path& path, int tell) {
    try {
        Writer writer{std::make_unique<Database>(path, options())};
        for (;;) {
            std::int64_t number = 0;
            writer.write_blocking([&](Database& db) {
                number = db.query_integer("SELECT max(n) FROM a").value_or(0) + 1;
                db.execute("INSERT INTO a VALUES (?, ?)", {number, std::string(500, 'x')});
                db.execute("INSERT INTO b VALUES (?)", {number});
            });
            if (::write(tell, &number, sizeof number) != sizeof number) ::_exit(1);
        }
    } catch (...) {
        ::_exit(1);
    }
}

long setting(const char* name, long otherwise) {
    const char* value = std::getenv(name);
    return value != nullptr ? std::atol(value) : otherwise;
}

TEST(Crash, LosesNothingThatWasAcknowledged) {
    const auto rounds = setting("KLED_SOAK", 20);
    const auto seed = setting("KLED_SEED", static_cast<long>(std::random_device{}()));
    SCOPED_TRACE("KLED_SEED=" + std::to_string(seed));
    std::minstd_rand random{static_cast<unsigned>(seed)};
    const TemporaryDirectory folder;
    const auto path = folder.path() / "state.db";
    std::int64_t acknowledged = 0;
    for (long round = 0; round < rounds; ++round) {
        std::array<int, 2> pipe{};
        ASSERT_EQ(::pipe(pipe.data()), 0);
        const auto child = ::fork();
        if (child == 0) {
            ::close(pipe[0]);
            write_forever(path, pipe[1]);
        }
        ::close(pipe[1]);
        const FileDescriptor told{pipe[0]};
        std::int64_t number = 0;
        // Now and then before the first write, in the middle of opening.
        const bool wait_for_first = random() % 5 != 0;
        if (wait_for_first && ::read(told.get(), &number, sizeof number) == sizeof number)
            acknowledged = number;
        std::this_thread::sleep_for(std::chrono::microseconds{random() % 30'000});
        ::kill(child, SIGKILL);
        int status = 0;
        ::waitpid(child, &status, 0);
        ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended by itself in round " << round;
        while (::read(told.get(), &number, sizeof number) == sizeof number) acknowledged = number;

        Database db{path, options()};  // checks its integrity
        const auto last = db.query_integer("SELECT max(n) FROM a").value_or(0);
        EXPECT_GE(last, acknowledged);
        EXPECT_EQ(db.query_integer("SELECT count(*) FROM a"), last);
        EXPECT_EQ(db.query_integer("SELECT count(*) FROM a JOIN b USING (n)"), last);
        EXPECT_EQ(db.query_integer("SELECT count(*) FROM b"), last);
    }
    EXPECT_GT(acknowledged, 0);
}

}  // namespace
}  // namespace kled::store
