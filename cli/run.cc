#include "base/task_group.h"
#include "cli/command.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <exception>

namespace kled::cli {

namespace asio = boost::asio;

namespace {

asio::awaitable<void> supervised(const std::function<asio::awaitable<void>()>& command,
                                 bool& interrupted) {
    const auto loop = co_await asio::this_coro::executor;
    TaskGroup tasks{loop};
    asio::signal_set signals{loop, SIGINT, SIGTERM};
    signals.async_wait([&](const boost::system::error_code& error, int) {
        if (error) return;
        interrupted = true;
        tasks.cancel();
    });
    tasks.spawn(command());
    co_await even_if_cancelled;
    co_await tasks.join();
}

}  // namespace

std::filesystem::path socket_in(const std::filesystem::path& state) {
    auto path = std::filesystem::absolute(state) / "kledd.sock";
    constexpr auto longest = sizeof(sockaddr_un::sun_path) - 1;
    if (path.native().size() > longest) {
        throw Error{ErrorKind::invalid, "--state: " + path.string() +
                                            ", the socket of kledd, would have " +
                                            std::to_string(path.native().size()) +
                                            " characters; a socket's path has at most " +
                                            std::to_string(longest) + ": name a shorter directory"};
    }
    return path;
}

std::filesystem::path Globals::socket() const { return socket_in(state); }

void run(const std::function<asio::awaitable<void>()>& command) {
    asio::io_context loop{1};
    bool interrupted = false;
    std::exception_ptr failure;
    asio::co_spawn(loop, supervised(command, interrupted),
                   [&](std::exception_ptr error) { failure = std::move(error); });
    loop.run();
    if (interrupted) throw Exit{130};
    if (failure) std::rethrow_exception(failure);
}

void exec_kledd(std::string_view role, const Globals& globals,
                const std::vector<std::string>& arguments) {
    std::error_code ignored;
    const auto self = std::filesystem::read_symlink("/proc/self/exe", ignored);
    const auto beside = self.parent_path() / "kledd";
    std::vector<std::string> argv{
        std::filesystem::exists(beside, ignored) ? beside.string() : "kledd", "--roles",
        std::string{role}};
    // What is given for kledd itself wins; KUBECONFIG it reads as we did.
    const auto pass = [&](const std::string& flag, const std::string& value) {
        const bool given = std::ranges::any_of(arguments, [&](const auto& argument) {
            return argument == flag || argument.starts_with(flag + "=");
        });
        if (!value.empty() && !given) argv.insert(argv.end(), {flag, value});
    };
    const char* const environment = std::getenv("KUBECONFIG");
    pass("--state", globals.state.string());
    if (environment == nullptr || globals.kubeconfig != environment)
        pass("--kubeconfig", globals.kubeconfig);
    pass("--context", globals.context);
    if (globals.verbose) argv.emplace_back("--verbose");
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    std::vector<char*> pointers;
    pointers.reserve(argv.size() + 1);
    for (auto& argument : argv) pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    ::execvp(pointers[0], pointers.data());
    throw Error{ErrorKind::not_found, "kledd: cannot be started (" +
                                          std::string{std::strerror(errno)} +
                                          "); it is looked for beside kled and in PATH"};
}

}  // namespace kled::cli
