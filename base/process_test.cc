#include "base/process.h"

#include "base/error.h"
#include "base/run.h"
#include "base/task_group.h"

#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

namespace kled {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

Completed completed(Command command, std::string input = {}, std::size_t limit_bytes = 1U << 20U) {
    return run_to_end(run(std::move(command), std::move(input), 20s, limit_bytes));
}

Command shell(std::string script) { return {.argv = {"sh", "-c", std::move(script)}}; }

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

bool alive(pid_t pid) { return ::kill(pid, 0) == 0; }

TEST(Process, GivesOutputErrorsAndStatus) {
    const auto result = completed(shell("cat; echo oops >&2; exit 3"), "hello");
    EXPECT_EQ(result.status, 3);
    EXPECT_EQ(result.out, "hello");
    EXPECT_EQ(result.err, "oops\n");
    EXPECT_EQ(completed(shell("kill -TERM $$")).status, 128 + SIGTERM);
}

TEST(Process, PassesArgumentsAsTheyAre) {
    const auto result = completed({.argv = {"printf", "%s|", "a b", "$HOME", "", "'\"", "*"}});
    EXPECT_EQ(result.out, "a b|$HOME||'\"|*|");
}

TEST(Process, GivesTheEnvironmentAndDirectoryAskedFor) {
    const auto result =
        completed({.argv = {"sh", "-c", "pwd; env"}, .env = {"A=1", "B=2"}, .directory = "/usr"});
    EXPECT_EQ(result.out.substr(0, 5), "/usr\n");
    EXPECT_NE(result.out.find("A=1\n"), std::string::npos);
    EXPECT_EQ(result.out.find("HOME="), std::string::npos);
}

TEST(Process, CarriesMoreThanAPipeHolds) {
    const std::string input(3U << 20U, 'x');
    EXPECT_EQ(completed({.argv = {"cat"}}, input, 4U << 20U).out, input);
}

TEST(Process, SurvivesAChildThatDoesNotRead) {
    EXPECT_EQ(completed(shell("exec <&-; exit 5"), std::string(1U << 20U, 'x')).status, 5);
}

TEST(Process, SaysWhyItCannotStart) {
    EXPECT_EQ(failure_of([] { completed({.argv = {"kled-no-such-program"}}); }).kind(),
              ErrorKind::not_found);
    EXPECT_EQ(failure_of([] { completed({.argv = {"/no/such/program"}}); }).kind(),
              ErrorKind::not_found);
    EXPECT_EQ(failure_of([] { completed({.argv = {"/etc/passwd"}}); }).kind(), ErrorKind::denied);
    EXPECT_EQ(failure_of([] { completed({.argv = {}}); }).kind(), ErrorKind::invalid);
    EXPECT_STREQ(
        failure_of([] { completed({.argv = {"cat"}, .directory = "/no/such/folder"}); }).what(),
        "/no/such/folder: No such file or directory");
}

TEST(Process, NeverTakesAScriptWithoutInterpreterForAShellScript) {
    const TemporaryDirectory folder;
    write_file_atomic(folder.path() / "script", "echo from a shell\n", 0755);
    EXPECT_THROW(completed({.argv = {folder.path() / "script"}}), Error);
}

TEST(Process, LeavesTheChildNoOtherDescriptor) {
    const int fd = ::open("/dev/null", O_RDONLY);  // without O_CLOEXEC
    ASSERT_GE(fd, 3);
    const auto result = completed({.argv = {"ls", "/proc/self/fd"}});
    ::close(fd);
    EXPECT_EQ(result.out, "0\n1\n2\n3\n");  // 3 is the folder that ls reads
}

TEST(Process, GivesTheChildDefaultSignals) {
    std::signal(SIGPIPE, SIG_IGN);
    const auto result = completed(shell("grep -E 'Sig(Ign|Blk)' /proc/self/status"));
    EXPECT_EQ(result.out, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

TEST(Process, StopsAChildThatTakesTooLong) {
    const auto error = failure_of([] { run_to_end(run(shell("sleep 1000"), {}, 50ms)); });
    EXPECT_EQ(error.kind(), ErrorKind::unavailable);
    EXPECT_STREQ(error.what(), "sh: no answer within 50ms");
}

TEST(Process, StopsAChildThatTalksTooMuch) {
    const auto error = failure_of([] { completed({.argv = {"yes"}}, {}, 10'000); });
    EXPECT_EQ(error.kind(), ErrorKind::exhausted);
}

asio::awaitable<void> cancelled_run(bool& went_on) {
    auto command = shell("sleep 1000");
    co_await run(std::move(command), {}, 1h);
    went_on = true;
}

asio::awaitable<void> cancels_a_run(bool& went_on) {
    TaskGroup tasks{co_await asio::this_coro::executor};
    tasks.spawn(cancelled_run(went_on));
    for (int i = 0; i < 8; ++i)
        co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
    tasks.cancel();
    co_await even_if_cancelled;
    co_await tasks.join();
}

TEST(Process, EndsWithItsCaller) {
    bool went_on = false;
    run_to_end(cancels_a_run(went_on));
    EXPECT_FALSE(went_on);
}

TEST(Process, TakesItsWholeGroupWithIt) {
    pid_t grandchild = 0;
    {
        const auto command = shell("sleep 1000 & echo $!; wait");
        auto process = Process::start(command, {.pipe_stdout = true});
        std::array<char, 32> text{};
        while (::read(process.stdout_pipe().get(), text.data(), text.size() - 1) <= 0)
            ::usleep(1000);
        grandchild = std::atoi(text.data());
        ASSERT_GT(grandchild, 1);
        EXPECT_TRUE(alive(grandchild));
    }
    // Its new parent may take a while to reap it.
    const auto stat = "/proc/" + std::to_string(grandchild) + "/stat";
    const auto ended = [&] {
        const auto text = read_file_if_exists(stat);
        return !text || text->find(") Z ") != std::string::npos;
    };
    for (int i = 0; i < 5000 && !ended(); ++i) ::usleep(1000);
    EXPECT_TRUE(ended());
}

asio::awaitable<void> waits_twice() {
    const auto command = shell("exec sleep 1000");
    auto process = Process::start(command, {});
    EXPECT_TRUE(alive(process.pid()));
    process.signal(SIGTERM);
    EXPECT_EQ(co_await process.wait(), 128 + SIGTERM);
    EXPECT_EQ(co_await process.wait(), 128 + SIGTERM);
    process.signal(SIGTERM);  // nobody is there any more
}

TEST(Process, TellsItsStatusMoreThanOnce) { run_to_end(waits_twice()); }

TEST(Process, RunsNothingUntilItIsWrittenDown) {
    const TemporaryDirectory directory;
    const auto mark = directory.path() / "ran";
    const Command command{.argv = {"touch", mark.string()}};
    std::uint64_t start_time = 0;
    const auto failure = failure_of([&] {
        const auto write_down = [&](const Process& process) {
            EXPECT_TRUE(alive(process.pid()));
            start_time = process.start_time();
            throw Error{ErrorKind::exhausted, "disk full"};
        };
        auto process = Process::start(command, {.before_program = write_down});
    });
    EXPECT_EQ(failure.kind(), ErrorKind::exhausted);
    EXPECT_GT(start_time, 0U);
    EXPECT_FALSE(std::filesystem::exists(mark));
}

asio::awaitable<void> adopts() {
    int pid = 0;
    std::uint64_t start_time = 0;
    const auto command = shell("sleep 1000 & exec sleep 1000");
    {
        auto process = Process::start(
            command, {.survives = true, .before_program = [&](const Process& started) {
                          pid = started.pid();
                          start_time = started.start_time();
                      }});
    }
    EXPECT_TRUE(alive(pid));
    EXPECT_FALSE(Process::adopt(pid, start_time + 1));
    EXPECT_TRUE(alive(pid)) << "another process of the same number was taken for ours";
    auto process = Process::adopt(pid, start_time);
    EXPECT_TRUE(process);
    if (!process) co_return;
    process->signal(SIGKILL);
    EXPECT_EQ(co_await process->wait(), 255);
    ::waitpid(pid, nullptr, 0);
    EXPECT_FALSE(Process::adopt(pid, start_time));
}

TEST(Process, IsFoundAgainByItsStartTime) { run_to_end(adopts()); }

}  // namespace
}  // namespace kled
