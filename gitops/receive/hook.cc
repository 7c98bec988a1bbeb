#include "gitops/receive/hook.h"

#include "base/error.h"
#include "base/file.h"
#include "base/process.h"

#include <string_view>

namespace kled::gitops {

namespace asio = boost::asio;

namespace {

constexpr std::string_view mark = "# Installed by `kled gitops hook install`";
constexpr std::chrono::milliseconds git_limit{10'000};

/// One word for sh(1).
std::string quoted(const std::string& word) {
    std::string result = "'";
    for (const char c : word) result += c == '\'' ? std::string{"'\\''"} : std::string{c};
    return result + "'";
}

std::string script(const std::filesystem::path& program, const std::filesystem::path& state) {
    return "#!/bin/sh\n" + std::string{mark} +
           ": tells kledd that there may be something new.\n"
           "# What was here before runs first, as post-receive.before-kled.\n"
           "status=0\n"
           "if [ -x \"$0.before-kled\" ]; then \"$0.before-kled\" \"$@\" || status=$?; fi\n" +
           quoted(program.string()) + " gitops notify --state " + quoted(state.string()) +
           " >/dev/null ||\n"
           "    echo 'kled: kledd was not reached; it looks again at its next interval' >&2\n"
           "exit $status\n";
}

}  // namespace

asio::awaitable<HookInstalled> install_hook(std::filesystem::path repository,
                                            std::filesystem::path program,
                                            std::filesystem::path state) {
    Command command;
    command.argv = {"git", "-C", repository.string(), "rev-parse", "--git-path", "hooks"};
    const auto done = co_await run(std::move(command), "", git_limit);
    if (done.status != 0) {
        throw Error{ErrorKind::not_found,
                    repository.string() + ": " + done.err.substr(0, done.err.find('\n'))};
    }
    const std::filesystem::path named = done.out.substr(0, done.out.find('\n'));
    const auto hooks = named.is_absolute() ? named : repository / named;
    make_directories(hooks);
    HookInstalled result;
    result.path = hooks / "post-receive";
    if (const auto there = read_file_if_exists(result.path)) {
        result.updated = there->find(mark) != std::string::npos;
        if (!result.updated) {
            const auto before = hooks / "post-receive.before-kled";
            if (std::filesystem::exists(before)) {
                throw Error{ErrorKind::conflict,
                            before.string() + " is in the way; join the two hooks by hand"};
            }
            std::filesystem::rename(result.path, before);
        }
    }
    result.chained = std::filesystem::exists(hooks / "post-receive.before-kled");
    write_file_atomic(result.path, script(program, state), 0755);
    co_return result;
}

}  // namespace kled::gitops
