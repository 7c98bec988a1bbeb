#include "gitops/receive/hook.h"

#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "base/run.h"

#include <gtest/gtest.h>

namespace kled::gitops {
namespace {

class HookTest : public ::testing::Test {
protected:
    HookTest() {
        Command init;
        init.argv = {"git", "init", "--quiet", "--bare", repository.string()};
        run_to_end(run(init, "", std::chrono::seconds{10}));
        // Stands for kled: writes down how it was called.
        write_file_atomic(
            program, "#!/bin/sh\necho \"$@\" > " + (directory.path() / "called").string() + "\n",
            0755);
    }
    HookInstalled install() {
        return run_to_end(install_hook(repository, program, directory.path() / "st ate"));
    }
    Completed receive() {
        Command command;
        command.argv = {"hooks/post-receive"};
        command.directory = repository;
        return run_to_end(run(command, "0 1 refs/heads/main\n", std::chrono::seconds{10}));
    }
    std::string called() { return read_file(directory.path() / "called"); }

    TemporaryDirectory directory;
    std::filesystem::path repository = directory.path() / "it's.git";
    std::filesystem::path program = directory.path() / "kled";
};

TEST_F(HookTest, CallsKledWithTheStateItWasGiven) {
    const auto installed = install();
    EXPECT_FALSE(installed.chained);
    EXPECT_FALSE(installed.updated);
    EXPECT_EQ(receive().status, 0);
    EXPECT_EQ(called(), "gitops notify --state " + (directory.path() / "st ate").string() + "\n");
}

TEST_F(HookTest, RunsTheHookThatWasThereFirstAndKeepsItsStatus) {
    const auto seen = directory.path() / "seen";
    write_file_atomic(repository / "hooks/post-receive",
                      "#!/bin/sh\ncat > " + seen.string() + "\nexit 7\n", 0755);
    EXPECT_TRUE(install().chained);
    EXPECT_EQ(receive().status, 7);
    EXPECT_EQ(read_file(seen), "0 1 refs/heads/main\n");
    EXPECT_FALSE(called().empty());
}

TEST_F(HookTest, IsInstalledTwiceAsOnce) {
    write_file_atomic(repository / "hooks/post-receive", "#!/bin/sh\nexit 7\n", 0755);
    install();
    const auto again = install();
    EXPECT_TRUE(again.updated);
    EXPECT_TRUE(again.chained);
    EXPECT_EQ(receive().status, 7);
}

TEST_F(HookTest, DoesNotMakeAPushFailWhenKledIsGone) {
    install();
    std::filesystem::remove(program);
    EXPECT_EQ(receive().status, 0);
}

TEST_F(HookTest, IsForRepositoriesOnly) {
    repository = directory.path();
    try {
        install();
        FAIL() << "it was installed";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::not_found);
    }
}

}  // namespace
}  // namespace kled::gitops
