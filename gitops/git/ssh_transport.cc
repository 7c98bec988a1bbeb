// Git over SSH by the machine's `ssh` program: argument vector, no shell here, nothing asked.
#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "gitops/git/transport.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <optional>
#include <system_error>
#include <utility>

namespace kled::gitops::git {

namespace {

constexpr std::size_t error_text_limit = 4096;
constexpr std::chrono::milliseconds look_interval{200};  // how soon a stop request is seen

struct Address {
    std::string user;
    std::string host;
    std::string port;
    std::string path;
};

[[noreturn]] void bad_url(const std::string& what) {
    throw Error{ErrorKind::invalid, "ssh URL: " + what};
}

/// ssh://[user@]host[:port]/path, or user@host:path.
Address parse_address(std::string_view url) {
    Address address;
    std::string_view rest = url;
    std::string_view host;
    if (url.starts_with("ssh://")) {
        rest.remove_prefix(6);
        const auto slash = rest.find('/');
        if (slash == std::string_view::npos) bad_url("no path after the host");
        host = rest.substr(0, slash);
        address.path = rest.substr(slash);
        if (address.path.starts_with("/~")) address.path.erase(0, 1);
    } else {
        const auto colon = rest.find(':');
        host = rest.substr(0, colon);
        address.path = rest.substr(colon + 1);
    }
    if (const auto at = host.rfind('@'); at != std::string_view::npos) {
        address.user = host.substr(0, at);
        if (const auto colon = address.user.find(':'); colon != std::string::npos)
            address.user.resize(colon);
        host.remove_prefix(at + 1);
    }
    if (host.starts_with('[')) {
        const auto end = host.find(']');
        if (end == std::string_view::npos) bad_url("'[' without ']'");
        address.host = host.substr(1, end - 1);
        host.remove_prefix(end + 1);
    } else {
        const auto colon = host.find(':');
        address.host = host.substr(0, colon);
        host.remove_prefix(colon == std::string_view::npos ? host.size() : colon);
    }
    if (host.starts_with(':')) address.port = host.substr(1);
    if (address.host.empty()) bad_url("no host");
    // ssh would take these for options.
    if (address.host.starts_with('-') || address.user.starts_with('-'))
        bad_url("a name starts with '-'");
    unsigned port = 0;
    const auto* end = address.port.data() + address.port.size();
    if (!address.port.empty() && (std::from_chars(address.port.data(), end, port).ptr != end ||
                                  port == 0 || port > 65'535)) {
        bad_url("'" + address.port + "' is no port");
    }
    if (address.path.empty() || address.path.find('\0') != std::string::npos) bad_url("no path");
    return address;
}

/// One word for the shell on the other side.
std::string quoted(const std::string& word) {
    std::string result = "'";
    for (const char c : word) {
        if (c == '\'' || c == '!') {
            result += "'\\";
            result += c;
            result += '\'';
        } else {
            result += c;
        }
    }
    return result + "'";
}

class SshStream : public Stream {
public:
    SshStream(const std::string& url, const std::string& program, Transfer& transfer);
    std::size_t read(char* buffer, std::size_t size) override;
    void write(std::string_view bytes) override;

private:
    /// Waits until `fd` is ready for `events`, collecting what ssh says meanwhile.
    void wait_for(int fd, short events);
    void take_messages();
    [[noreturn]] void fail();

    Transfer& transfer_;
    std::optional<TemporaryDirectory> files_;  // identity and known_hosts; goes after the process
    std::optional<Process> process_;
    std::string host_;
    std::string messages_;
    bool received_ = false;
};

SshStream::SshStream(const std::string& url, const std::string& program, Transfer& transfer)
    : transfer_{transfer} {
    const auto address = parse_address(url);
    const auto& access = transfer.access;
    host_ = address.host;
    std::vector<std::string> argv{"ssh",
                                  "-T",
                                  "-x",
                                  "-a",
                                  "-oBatchMode=yes",
                                  "-oStrictHostKeyChecking=yes",
                                  "-oPermitLocalCommand=no",
                                  "-oClearAllForwardings=yes",
                                  "-oControlPath=none"};
    if (access.own_ssh_configuration) {
        if (!access.ssh_identity || access.known_hosts.empty()) {
            throw Error{ErrorKind::invalid,
                        "ssh needs `identity` and `known_hosts` in the Secret of spec.secretRef"};
        }
        files_.emplace("kled-ssh");
        const auto identity = files_->path() / "identity";
        const auto known_hosts = files_->path() / "known_hosts";
        write_file_atomic(identity, access.ssh_identity->reveal(), 0600);
        write_file_atomic(known_hosts, access.known_hosts, 0600);
        const std::vector<std::string> own{"-F",
                                           "/dev/null",
                                           "-oIdentitiesOnly=yes",
                                           "-oIdentityAgent=none",
                                           "-oPasswordAuthentication=no",
                                           "-oKbdInteractiveAuthentication=no",
                                           "-oUserKnownHostsFile=" + known_hosts.string(),
                                           "-oGlobalKnownHostsFile=/dev/null",
                                           "-i",
                                           identity.string()};
        argv.insert(argv.end(), own.begin(), own.end());
    }
    if (!address.port.empty()) argv.insert(argv.end(), {"-p", address.port});
    argv.insert(argv.end(),
                {"--", address.user.empty() ? address.host : address.user + "@" + address.host,
                 program + " " + quoted(address.path)});
    const Process::Options pipes{.pipe_stdin = true, .pipe_stdout = true, .pipe_stderr = true};
    process_ = Process::start({.argv = std::move(argv), .env = {}, .directory = {}}, pipes);
}

void SshStream::wait_for(int fd, short events) {
    for (;;) {
        transfer_.check_limits();
        std::array<pollfd, 2> fds{{{fd, events, 0}, {process_->stderr_pipe().get(), POLLIN, 0}}};
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
            transfer_.deadline - std::chrono::steady_clock::now());
        const auto nap = std::clamp(left, std::chrono::milliseconds{1}, look_interval);
        if (::poll(fds.data(), fds.size(), static_cast<int>(nap.count())) < 0 && errno != EINTR)
            throw Error{ErrorKind::unavailable, "poll: " + std::generic_category().message(errno)};
        if (fds[1].revents != 0) take_messages();
        if (fds[0].revents != 0) return;
    }
}

void SshStream::take_messages() {
    auto& pipe = process_->stderr_pipe();
    std::array<char, 1024> buffer{};
    for (;;) {
        const auto count = ::read(pipe.get(), buffer.data(), buffer.size());
        if (count < 0) return;
        if (count == 0) {
            pipe = FileDescriptor{};  // poll ignores a negative descriptor
            return;
        }
        const auto room = error_text_limit - std::min(messages_.size(), error_text_limit);
        messages_.append(buffer.data(), std::min(static_cast<std::size_t>(count), room));
    }
}

std::size_t SshStream::read(char* buffer, std::size_t size) {
    for (;;) {
        const auto fd = process_->stdout_pipe().get();
        const auto count = ::read(fd, buffer, size);
        if (count > 0) {
            received_ = true;
            return static_cast<std::size_t>(count);
        }
        if (count == 0) {
            if (!received_) fail();
            return 0;
        }
        if (errno != EAGAIN && errno != EINTR) fail();
        wait_for(fd, POLLIN);
    }
}

void SshStream::write(std::string_view bytes) {
    while (!bytes.empty()) {
        const auto fd = process_->stdin_pipe().get();
        const auto count = ::write(fd, bytes.data(), bytes.size());
        if (count >= 0) {
            bytes.remove_prefix(static_cast<std::size_t>(count));
        } else if (errno == EAGAIN || errno == EINTR) {
            wait_for(fd, POLLOUT);
        } else {
            fail();
        }
    }
}

void SshStream::fail() {
    // stdout is closed: ssh ends now, and what it had to say is on its way.
    for (int i = 0; i < 10 && process_->stderr_pipe().get() >= 0; ++i) {
        pollfd fd{process_->stderr_pipe().get(), POLLIN, 0};
        if (::poll(&fd, 1, static_cast<int>(look_interval.count())) > 0) take_messages();
    }
    std::string text = messages_;
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
    std::ranges::replace(text, '\n', ' ');
    std::erase(text, '\r');
    auto kind = ErrorKind::unavailable;
    const auto says = [&](std::string_view words) { return text.find(words) != std::string::npos; };
    if (says("Permission denied") || says("Host key verification failed") ||
        says("No ECDSA host key is known") || says("invalid format")) {
        kind = ErrorKind::denied;
    } else if (says("does not appear to be a git repository") || says("epository not found")) {
        kind = ErrorKind::not_found;
    }
    throw Error{kind, "ssh to " + host_ + ": " + (text.empty() ? "the connection ended" : text)};
}

class SshSubtransport : public Subtransport {
public:
    explicit SshSubtransport(Transfer& transfer) : transfer_{transfer} {}

    std::shared_ptr<Stream> open(const std::string& url, git_smart_service_t service) override {
        if (lists_references(service)) {
            stream_ = std::make_shared<SshStream>(url, program_of(service), transfer_);
        } else if (!stream_) {
            throw Error{ErrorKind::internal,
                        "git: " + program_of(service) + " before its references were listed"};
        }
        return stream_;
    }
    void close() override { stream_.reset(); }

private:
    Transfer& transfer_;
    std::shared_ptr<SshStream> stream_;
};

}  // namespace

std::unique_ptr<Subtransport> make_ssh_subtransport(Transfer& transfer) {
    return std::make_unique<SshSubtransport>(transfer);
}

}  // namespace kled::gitops::git
