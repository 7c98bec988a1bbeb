/// Other programs, by argument vector: no shell anywhere.
#pragma once

#include "base/file.h"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kled {

struct Command {
    std::vector<std::string> argv;      ///< argv[0] is looked up in PATH unless it has a slash
    std::vector<std::string> env{};     ///< "NAME=value", the whole environment; empty: inherit
    std::filesystem::path directory{};  ///< empty: ours
};

struct Completed {
    int status = 0;  ///< exit status, or 128 + signal
    std::string out;
    std::string err;
};

/// A running child with pipes to it; killed (SIGKILL to its process group) when this goes first.
/// When it ends, what is left of its process group is killed too: nothing outlives its owner.
/// All calls from one loop.
class Process {
public:
    struct Options {
        bool pipe_stdin = false;   ///< else /dev/null
        bool pipe_stdout = false;  ///< else ours
        bool pipe_stderr = false;  ///< else ours
        bool new_process_group = true;
        bool dies_with_parent = false;   ///< SIGKILL when the thread that started it ends
        std::filesystem::path cgroup{};  ///< joined before the program runs; empty: ours
        int output = -1;                 ///< where stdout and stderr go that have no pipe; -1: ours
        bool survives = false;           ///< not killed when this object or our program goes
        /// Called in the parent when the child exists but waits before its program: to write down
        /// who it is. If this throws or we die in it, the program never runs.
        std::function<void(const Process&)> before_program{};
    };
    /// The child has default signal handling, an empty signal mask and no other descriptors.
    /// Error(not_found) when program or directory is absent, Error(denied) when it may not be
    /// executed, Error(unavailable) when it cannot start.
    static Process start(const Command& command, const Options& options);
    /// A process that an earlier run of ours started with `survives` and wrote down; nullopt when
    /// it has ended. What was left of its group is then killed. Its exit status will be unknown.
    static std::optional<Process> adopt(int pid, std::uint64_t start_time);
    Process(Process&&) noexcept;
    Process& operator=(Process&&) noexcept;
    ~Process();

    [[nodiscard]] int pid() const noexcept;
    /// With the pid it names a process for as long as the machine is up: clock ticks since boot,
    /// proc_pid_stat(5) field 22. Error(not_found) after its end.
    [[nodiscard]] std::uint64_t start_time() const;
    /// Our ends of the pipes, non-blocking; empty when not asked for.
    FileDescriptor& stdin_pipe() noexcept;
    FileDescriptor& stdout_pipe() noexcept;
    FileDescriptor& stderr_pipe() noexcept;
    /// To its process group, or to it alone where it has none of its own; nothing after its end.
    void signal(int number) noexcept;
    /// Exit status (128 + signal when killed; 255 when adopted). By pidfd, so it blocks no thread.
    boost::asio::awaitable<int> wait();

private:
    struct Impl;
    explicit Process(std::unique_ptr<Impl> impl) noexcept;
    std::unique_ptr<Impl> impl_;
};

/// Runs to the end of the program and of its output. Error(unavailable) after `timeout` (the child
/// is killed), Error(exhausted) when one output passes `limit_bytes`. A non-zero status is an
/// answer, not an error.
boost::asio::awaitable<Completed> run(Command command, std::string input,
                                      std::chrono::milliseconds timeout,
                                      std::size_t limit_bytes = 16U << 20U);

}  // namespace kled
