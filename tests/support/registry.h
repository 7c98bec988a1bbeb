/// A real registry (Debian's docker-registry) for tests, on a free port of the loopback.
#pragma once

#include "base/error.h"
#include "base/file.h"
#include "base/process.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

namespace kled::testing {

/// Stops when it goes; what was pushed stays in its storage.
class Registry {
public:
    /// Its program (nixpkgs: `registry`); empty: it is not installed, and tests skip.
    static std::string program() {
        const char* path = std::getenv("PATH");
        const std::string folders = path == nullptr ? "" : path;
        for (std::size_t at = 0; at < folders.size();) {
            const auto end = std::min(folders.find(':', at), folders.size());
            for (const auto* name : {"docker-registry", "registry"}) {
                const auto file = std::filesystem::path{folders.substr(at, end - at)} / name;
                if (::access(file.c_str(), X_OK) == 0) return file;
            }
            at = end + 1;
        }
        return {};
    }

    /// `more` is configuration ("auth:\n  htpasswd: …"), `http` that of the section http
    /// ("  tls: …"). Returns once it listens.
    explicit Registry(const std::filesystem::path& storage, const std::string& more = {},
                      const std::string& http = {}) {
        const auto configuration = directory_.path() / "config.yml";
        write_file_atomic(configuration,
                          "version: 0.1\nlog:\n  level: info\n  accesslog: {disabled: true}\n"
                          "storage:\n  filesystem: {rootdirectory: " +
                              storage.string() + "}\nhttp:\n  addr: 127.0.0.1:0\n" + http + more);
        const auto log = directory_.path() / "log";
        // Not a pipe: nobody would read it any more.
        const FileDescriptor output{
            ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)};
        const Command command{.argv = {program(), "serve", configuration}};
        Process::Options options;
        options.dies_with_parent = true;
        options.output = output.get();
        process_.emplace(Process::start(command, options));
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{20};
        constexpr std::string_view listening = "listening on 127.0.0.1:";
        while (true) {
            const auto said = read_file(log);
            const auto at = said.find(listening);
            const auto digits = at == std::string::npos ? at : at + listening.size();
            if (digits != std::string::npos &&
                said.find_first_not_of("0123456789", digits) != std::string::npos) {
                port_ = static_cast<std::uint16_t>(std::stoi(said.substr(digits)));
                return;
            }
            if (std::chrono::steady_clock::now() > deadline)
                throw Error{ErrorKind::unavailable, "docker-registry: " + said};
            std::this_thread::sleep_for(std::chrono::milliseconds{10});
        }
    }

    [[nodiscard]] std::string host() const { return "127.0.0.1:" + std::to_string(port_); }

private:
    TemporaryDirectory directory_{"kled-registry"};
    std::optional<Process> process_;
    std::uint16_t port_ = 0;
};

}  // namespace kled::testing
