#include "store/writer.h"

#include "base/error.h"
#include "base/file.h"
#include "base/run.h"
#include "base/task_group.h"

#include <boost/asio/this_coro.hpp>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

namespace kled::store {
namespace {

namespace asio = boost::asio;

class WriterTest : public testing::Test {
protected:
    static OpenOptions options() {
        return {.migrations = {{.version = 1, .sql = "CREATE TABLE t (k PRIMARY KEY)"}}};
    }
    std::unique_ptr<Database> open() { return std::make_unique<Database>(path, options()); }
    std::optional<std::int64_t> count() { return open()->query_integer("SELECT count(*) FROM t"); }
    TemporaryDirectory folder;
    std::filesystem::path path = folder.path() / "state.db";
};

asio::awaitable<void> insert(Writer& writer, int key, int& conflicts) {
    const auto work = [key](Database& db) { db.execute("INSERT INTO t VALUES (?)", {key}); };
    try {
        co_await writer.write(work);
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::conflict);
        ++conflicts;
    }
}

asio::awaitable<void> insert_many(Writer& writer, int& conflicts) {
    TaskGroup tasks{co_await asio::this_coro::executor};
    for (int i = 0; i < 1000; ++i) tasks.spawn(insert(writer, i % 900, conflicts));
    co_await even_if_cancelled;
    co_await tasks.join();
}

TEST_F(WriterTest, UndoesAloneWhatFails) {
    int conflicts = 0;
    {
        Writer writer{open()};
        run_to_end(insert_many(writer, conflicts));
    }
    EXPECT_EQ(conflicts, 100);
    EXPECT_EQ(count(), 900);
}

TEST_F(WriterTest, CommitsTogetherWhatWaitsTogether) {
    Writer writer{open()};
    std::promise<void> started;
    std::promise<void> go_on;
    std::thread first{[&] {
        writer.write_blocking([&](Database&) {
            started.set_value();
            go_on.get_future().wait();
        });
    }};
    started.get_future().wait();
    // All of these wait behind the first and share a transaction: each sees what the others did,
    // and another connection sees none of it before the last has run.
    Database reader{path, {.migrations = options().migrations, .read_only = true}};
    std::atomic<int> submitted = 0;
    std::vector<std::thread> others;
    std::vector<std::int64_t> seen;
    for (int i = 0; i < 8; ++i) {
        others.emplace_back([&, i] {
            ++submitted;
            writer.write_blocking([&, i](Database& db) {
                db.execute("INSERT INTO t VALUES (?)", {i});
                seen.push_back(db.query_integer("SELECT count(*) FROM t").value_or(-1));
            });
        });
    }
    while (submitted < 8) std::this_thread::yield();
    go_on.set_value();
    for (auto& thread : others) thread.join();
    first.join();
    EXPECT_EQ(seen, (std::vector<std::int64_t>{1, 2, 3, 4, 5, 6, 7, 8}));
    EXPECT_EQ(reader.query_integer("SELECT count(*) FROM t"), 8);
}

TEST_F(WriterTest, FinishesWhatWasSubmitted) {
    std::thread late;
    std::promise<void> started;
    {
        Writer writer{open()};
        late = std::thread{[&] {
            writer.write_blocking([&](Database& db) {
                started.set_value();
                std::this_thread::yield();
                db.execute("INSERT INTO t VALUES (1)");
            });
        }};
        started.get_future().wait();
    }
    late.join();
    EXPECT_EQ(count(), 1);
}

TEST_F(WriterTest, ThrowsWhatTheWorkThrew) {
    Writer writer{open()};
    EXPECT_THROW(writer.write_blocking([](Database&) { throw std::runtime_error{"no"}; }),
                 std::runtime_error);
    writer.write_blocking([](Database& db) { db.execute("INSERT INTO t VALUES (1)"); });
    EXPECT_EQ(count(), 1);
}

}  // namespace
}  // namespace kled::store
