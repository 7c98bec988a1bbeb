#include "cli/watch.h"

#include "base/error.h"
#include "kustomize/files.h"

#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <system_error>

namespace kled::cli {

namespace {

constexpr std::uint32_t events = IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM |
                                 IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;

[[noreturn]] void fail(const std::string& what) {
    throw Error{ErrorKind::unavailable, what + ": " + std::generic_category().message(errno)};
}

}  // namespace

Watch::Watch() : inotify_{::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)} {
    if (!inotify_) fail("inotify");
}

void Watch::watch(const std::string& directory) {
    if (!watched_.insert(directory).second) return;
    const auto descriptor = ::inotify_add_watch(inotify_.get(), ("/" + directory).c_str(), events);
    if (descriptor >= 0) {
        directories_[descriptor] = directory;
        return;
    }
    watched_.erase(directory);
    if (errno == ENOSPC) fail("inotify: no watch left for /" + directory);
}

void Watch::add(const std::vector<std::string>& paths) {
    for (const auto& path : paths) {
        std::error_code ignored;
        if (std::filesystem::is_directory("/" + path, ignored)) watch(path);
        // The nearest directory that is there: it will say when the next one comes.
        std::string directory{kustomize::parent_of(path)};
        while (!directory.empty() && !std::filesystem::is_directory("/" + directory, ignored))
            directory = kustomize::parent_of(directory);
        watch(directory);
    }
}

void Watch::read_events(std::set<std::string>& changed) {
    alignas(inotify_event) std::array<char, 16384> buffer{};
    for (;;) {
        const auto size = ::read(inotify_.get(), buffer.data(), buffer.size());
        if (size <= 0) return;
        for (ssize_t at = 0; at < size;) {
            const auto* event = reinterpret_cast<const inotify_event*>(buffer.data() + at);
            at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
            if ((event->mask & IN_Q_OVERFLOW) != 0) changed.insert("");
            const auto directory = directories_.find(event->wd);
            if (directory == directories_.end()) continue;
            auto path = directory->second;
            if (event->len > 0) path += (path.empty() ? "" : "/") + std::string{event->name};
            changed.insert(path);
            if ((event->mask & IN_IGNORED) != 0) {
                watched_.erase(directory->second);
                directories_.erase(directory);
            }
        }
    }
}

std::set<std::string> Watch::wait() {
    constexpr int settle_ms = 20;
    std::set<std::string> changed;
    pollfd descriptor{.fd = inotify_.get(), .events = POLLIN, .revents = 0};
    for (;;) {
        const auto ready = ::poll(&descriptor, 1, changed.empty() ? -1 : settle_ms);
        if (ready < 0 && errno != EINTR) fail("inotify");
        if (ready == 0) return changed;
        read_events(changed);
    }
}

}  // namespace kled::cli
