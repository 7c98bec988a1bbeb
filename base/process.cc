#include "base/process.h"

#include "base/error.h"
#include "base/task_group.h"
#include "base/timeout.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <optional>
#include <utility>

namespace kled {

namespace asio = boost::asio;
namespace fs = std::filesystem;

namespace {

struct Pipe {
    FileDescriptor reader;
    FileDescriptor writer;
};

Pipe make_pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) < 0) throw from_errno(errno, "pipe");
    return {FileDescriptor{ends[0]}, FileDescriptor{ends[1]}};
}

void make_nonblocking(const FileDescriptor& fd) {
    if (::fcntl(fd.get(), F_SETFL, O_NONBLOCK) < 0) throw from_errno(errno, "pipe");
}

/// As execvp(3), but before the fork, and never falling back to a shell.
std::string find_program(const std::string& name) {
    if (name.empty()) throw Error{ErrorKind::invalid, "no program named"};
    if (name.find('/') != std::string::npos) return name;
    const char* path = std::getenv("PATH");
    std::string_view rest = path != nullptr ? path : "/usr/local/bin:/usr/bin:/bin";
    for (;;) {
        const auto end = rest.find(':');
        const auto directory = rest.substr(0, end);
        if (!directory.empty()) {
            auto candidate = std::string{directory} + '/' + name;
            std::error_code ignored;
            if (::access(candidate.c_str(), X_OK) == 0 && !fs::is_directory(candidate, ignored))
                return candidate;
        }
        if (end == std::string_view::npos) break;
        rest.remove_prefix(end + 1);
    }
    throw Error{ErrorKind::not_found, name + ": no such program in PATH"};
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
    std::vector<char*> result;
    result.reserve(texts.size() + 1);
    for (const auto& text : texts) result.push_back(const_cast<char*>(text.c_str()));
    result.push_back(nullptr);
    return result;
}

/// Where the child failed before it became the program; sent to the parent through a pipe.
enum class Step : int { descriptors, group, cgroup, directory, program };
struct StartFailure {
    Step step;
    int code;
};

/// Everything the child needs, prepared before the fork: between fork and exec only
/// async-signal-safe calls are allowed.
struct ChildPlan {
    const char* program;
    char* const* argv;
    char* const* envp;
    const char* directory;  // or null
    int cgroup_procs;       // or -1
    std::array<int, 3> stdio;
    int report;
    bool new_process_group;
    bool dies_with_parent;
    pid_t parent;
    int gate;         // a byte comes when the program may run; or -1
    int gate_writer;  // the parent's end, which we must not hold open
};

[[noreturn]] void fail(const ChildPlan& plan, Step step) noexcept {
    const StartFailure failure{.step = step, .code = errno};
    [[maybe_unused]] const auto n = ::write(plan.report, &failure, sizeof failure);
    ::_exit(127);
}

[[noreturn]] void become(const ChildPlan& plan) noexcept {
    if (plan.dies_with_parent) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() != plan.parent) ::_exit(127);
    }
    if (plan.new_process_group && ::setpgid(0, 0) < 0) fail(plan, Step::group);
    if (plan.cgroup_procs >= 0 && ::write(plan.cgroup_procs, "0", 1) < 0) fail(plan, Step::cgroup);
    // Above 2 first, so that no step overwrites what a later one needs.
    std::array<int, 3> high{};
    for (std::size_t i = 0; i < 3; ++i) {
        high[i] = ::fcntl(plan.stdio[i], F_DUPFD, 3);
        if (high[i] < 0) fail(plan, Step::descriptors);
    }
    for (int i = 0; i < 3; ++i)
        if (::dup2(high[static_cast<std::size_t>(i)], i) < 0) fail(plan, Step::descriptors);
    if (plan.directory != nullptr && ::chdir(plan.directory) < 0) fail(plan, Step::directory);

    if (plan.gate >= 0) {
        ::close(plan.gate_writer);
        char go = 0;
        ssize_t n = 0;
        do n = ::read(plan.gate, &go, 1);
        while (n < 0 && errno == EINTR);
        if (n != 1) ::_exit(127);
    }
    for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    // The report pipe closes by itself on exec: that is the parent's sign that it worked.
    if (::syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC) < 0) fail(plan, Step::descriptors);
    ::execve(plan.program, plan.argv, plan.envp);
    fail(plan, Step::program);
}

Error start_error(const StartFailure& failure, const Command& command,
                  const Process::Options& options) {
    switch (failure.step) {
        case Step::directory: return from_errno(failure.code, command.directory.string());
        case Step::cgroup: return from_errno(failure.code, options.cgroup.string());
        case Step::program: return from_errno(failure.code, command.argv[0]);
        default: break;
    }
    return from_errno(failure.code, "cannot start " + command.argv[0]);
}

/// Field 22 of /proc/<pid>/stat; nullopt: no such process, or it has ended.
std::optional<std::uint64_t> read_start_time(int pid) {
    const auto stat = read_file_if_exists("/proc/" + std::to_string(pid) + "/stat");
    if (!stat) return std::nullopt;
    // The name in field 2 may hold anything, so count from its last parenthesis: " S 1 2 …".
    auto rest = std::string_view{*stat}.substr(stat->rfind(')') + 1);
    constexpr int fields_between = 19;  // from field 3 on
    if (rest.starts_with(" Z") || rest.starts_with(" X")) return std::nullopt;
    for (int i = 0; i < fields_between; ++i)
        rest.remove_prefix(std::min(rest.find(' ', 1), rest.size()));
    std::uint64_t value = 0;
    if (rest.empty()) return std::nullopt;
    const auto [end, error] = std::from_chars(rest.data() + 1, rest.data() + rest.size(), value);
    return error == std::errc{} ? std::optional{value} : std::nullopt;
}

/// A leader is gone; as long as its group has members its number is not given out again, and when a
/// process has the number, the group was empty.
void kill_rest_of_group(int pid) {
    if (!read_start_time(pid)) ::kill(-pid, SIGKILL);
}

}  // namespace

struct Process::Impl {
    pid_t pid = -1;
    FileDescriptor pidfd;
    FileDescriptor in;
    FileDescriptor out;
    FileDescriptor err;
    bool own_group = true;
    bool survives = false;
    bool adopted = false;  // not our child: there is no status to wait for
    std::optional<int> status;

    ~Impl() {
        if (status || pid < 0 || survives) return;
        send(SIGKILL);
        reap(0);
    }

    void send(int number) const noexcept {
        if (status) return;  // the number may be another process by now
        if (own_group) {
            ::kill(-pid, number);
        } else {
            ::kill(pid, number);
        }
    }

    /// `options`: 0 to wait, WNOHANG to look. True once it has ended.
    bool reap(int options) noexcept {
        if (status) return true;
        if (adopted) {
            pollfd ended{.fd = pidfd.get(), .events = POLLIN, .revents = 0};
            while (::poll(&ended, 1, options == WNOHANG ? 0 : -1) < 0 && errno == EINTR) {
            }
            if (ended.revents == 0) return false;
            kill_rest_of_group(pid);
            status = 255;
            return true;
        }
        siginfo_t info{};
        int result = 0;
        do result = ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT | options);
        while (result < 0 && errno == EINTR);
        if (result == 0 && info.si_pid == 0) return false;
        if (result < 0) {  // somebody else has waited for it
            status = 255;
            return true;
        }
        // Still a zombie, so the group's number cannot have been given to others.
        if (own_group) ::kill(-pid, SIGKILL);
        do result = ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED);
        while (result < 0 && errno == EINTR);
        status = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
        return true;
    }
};

Process::Process(std::unique_ptr<Impl> impl) noexcept : impl_{std::move(impl)} {}
Process::Process(Process&&) noexcept = default;
Process& Process::operator=(Process&&) noexcept = default;
Process::~Process() = default;

Process Process::start(const Command& command, const Options& options) {
    if (command.argv.empty()) throw Error{ErrorKind::invalid, "no program named"};
    // A child that closes its input must not kill us; children get the default back.
    [[maybe_unused]] static const auto ignored = std::signal(SIGPIPE, SIG_IGN);

    const auto program = find_program(command.argv[0]);
    const auto argv = pointers(command.argv);
    const auto env = pointers(command.env);
    const FileDescriptor null{::open("/dev/null", O_RDWR | O_CLOEXEC)};
    if (!null) throw from_errno(errno, "/dev/null");
    FileDescriptor cgroup_procs;
    if (!options.cgroup.empty()) {
        const auto path = options.cgroup / "cgroup.procs";
        cgroup_procs = FileDescriptor{::open(path.c_str(), O_WRONLY | O_CLOEXEC)};
        if (!cgroup_procs) throw from_errno(errno, path.string());
    }
    Pipe report = make_pipe();
    Pipe in = options.pipe_stdin ? make_pipe() : Pipe{};
    Pipe out = options.pipe_stdout ? make_pipe() : Pipe{};
    Pipe err = options.pipe_stderr ? make_pipe() : Pipe{};
    Pipe gate = options.before_program ? make_pipe() : Pipe{};
    const auto or_ours = [&](const FileDescriptor& fd, int ours) {
        if (fd) return fd.get();
        if (options.output >= 0) return options.output;
        return ::fcntl(ours, F_GETFD) >= 0 ? ours : null.get();  // ours may be closed
    };
    const ChildPlan plan{
        .program = program.c_str(),
        .argv = argv.data(),
        .envp = command.env.empty() ? environ : env.data(),
        .directory = command.directory.empty() ? nullptr : command.directory.c_str(),
        .cgroup_procs = cgroup_procs ? cgroup_procs.get() : -1,
        .stdio = {in.reader ? in.reader.get() : null.get(), or_ours(out.writer, STDOUT_FILENO),
                  or_ours(err.writer, STDERR_FILENO)},
        .report = report.writer.get(),
        .new_process_group = options.new_process_group,
        .dies_with_parent = options.dies_with_parent,
        .parent = ::getpid(),
        .gate = gate.reader ? gate.reader.get() : -1,
        .gate_writer = gate.writer ? gate.writer.get() : -1};
    Process process{std::make_unique<Impl>()};
    auto* const impl = process.impl_.get();
    impl->own_group = options.new_process_group;

    // No handler of ours may run in the child before it has reset them.
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    impl->pid = ::fork();
    if (impl->pid == 0) become(plan);
    const int fork_error = errno;
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (impl->pid < 0) throw from_errno(fork_error, "cannot start " + command.argv[0]);
    // As the child does: whoever is first, from here on the group can be signalled.
    if (options.new_process_group) ::setpgid(impl->pid, impl->pid);

    report.writer = FileDescriptor{};
    if (gate.writer) {
        gate.reader = FileDescriptor{};
        options.before_program(process);
        [[maybe_unused]] const auto n = ::write(gate.writer.get(), "", 1);
    }
    StartFailure failure{};
    ssize_t n = 0;
    do n = ::read(report.reader.get(), &failure, sizeof failure);
    while (n < 0 && errno == EINTR);
    if (n == sizeof failure) throw start_error(failure, command, options);

    impl->pidfd = FileDescriptor{static_cast<int>(::syscall(SYS_pidfd_open, impl->pid, 0))};
    if (!impl->pidfd) throw from_errno(errno, "pidfd of " + command.argv[0]);
    impl->in = std::move(in.writer);
    impl->out = std::move(out.reader);
    impl->err = std::move(err.reader);
    for (const auto* fd : {&impl->in, &impl->out, &impl->err})
        if (*fd) make_nonblocking(*fd);
    impl->survives = options.survives;
    return process;
}

std::optional<Process> Process::adopt(int pid, std::uint64_t start_time) {
    // First the handle, then the look: what the handle names cannot change any more.
    FileDescriptor pidfd{static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))};
    if (!pidfd || read_start_time(pid) != start_time) {
        kill_rest_of_group(pid);
        return std::nullopt;
    }
    Process process{std::make_unique<Impl>()};
    process.impl_->pid = pid;
    process.impl_->pidfd = std::move(pidfd);
    process.impl_->survives = true;
    process.impl_->adopted = true;
    return process;
}

std::uint64_t Process::start_time() const {
    const auto time = read_start_time(impl_->pid);
    if (!time)
        throw Error{ErrorKind::not_found, "process " + std::to_string(impl_->pid) + " has ended"};
    return *time;
}

int Process::pid() const noexcept { return impl_->pid; }
FileDescriptor& Process::stdin_pipe() noexcept { return impl_->in; }
FileDescriptor& Process::stdout_pipe() noexcept { return impl_->out; }
FileDescriptor& Process::stderr_pipe() noexcept { return impl_->err; }
void Process::signal(int number) noexcept { impl_->send(number); }

asio::awaitable<int> Process::wait() {
    if (!impl_->reap(WNOHANG)) {
        // A descriptor of its own, so that cancelling one wait leaves the process waitable.
        const int fd = ::fcntl(impl_->pidfd.get(), F_DUPFD_CLOEXEC, 3);
        if (fd < 0) throw from_errno(errno, "pidfd");
        asio::posix::stream_descriptor ended{co_await asio::this_coro::executor, fd};
        co_await ended.async_wait(asio::posix::stream_descriptor::wait_read, asio::use_awaitable);
        impl_->reap(0);
    }
    co_return *impl_->status;
}

namespace {

asio::awaitable<void> feed(asio::posix::stream_descriptor pipe, std::string_view input) {
    // A child that stops reading has its reasons: its status and output tell.
    co_await asio::async_write(pipe, asio::buffer(input), asio::as_tuple(asio::use_awaitable));
}

asio::awaitable<void> drain(asio::posix::stream_descriptor pipe, std::string& output,
                            std::size_t limit_bytes, const std::string& program) {
    std::array<char, 16'384> chunk;  // NOLINT(cppcoreguidelines-pro-type-member-init): read into
    for (;;) {
        const auto [error, n] =
            co_await pipe.async_read_some(asio::buffer(chunk), asio::as_tuple(asio::use_awaitable));
        if (error) co_return;  // the end
        if (n > limit_bytes - output.size()) {
            throw Error{ErrorKind::exhausted, program + ": more than " +
                                                  std::to_string(limit_bytes) + " bytes of output"};
        }
        output.append(chunk.data(), n);
    }
}

asio::awaitable<void> reap(Process& process, std::optional<int>& status) {
    status = co_await process.wait();
}

asio::awaitable<Completed> exchange(const Command& command, const std::string& input,
                                    std::size_t limit_bytes) {
    const Process::Options options{
        .pipe_stdin = !input.empty(), .pipe_stdout = true, .pipe_stderr = true};
    auto process = Process::start(command, options);
    const auto executor = co_await asio::this_coro::executor;
    const auto& program = command.argv[0];
    Completed completed;
    std::optional<int> status;
    TaskGroup tasks{executor};
    if (!input.empty()) tasks.spawn(feed({executor, process.stdin_pipe().release()}, input));
    tasks.spawn(
        drain({executor, process.stdout_pipe().release()}, completed.out, limit_bytes, program));
    tasks.spawn(
        drain({executor, process.stderr_pipe().release()}, completed.err, limit_bytes, program));
    tasks.spawn(reap(process, status));
    co_await even_if_cancelled;
    co_await tasks.join();
    if (!status) throw_cancelled();
    completed.status = *status;
    co_return completed;
}

}  // namespace

asio::awaitable<Completed> run(Command command, std::string input,
                               std::chrono::milliseconds timeout, std::size_t limit_bytes) {
    const auto name = command.argv.empty() ? std::string{} : command.argv[0];
    co_return co_await with_timeout(timeout, name, exchange(command, input, limit_bytes));
}

}  // namespace kled
