/// Our own bytes below libgit2's smart protocol: HTTP(S) on net::HttpClient, SSH by the `ssh`
/// program. libgit2 1.5 itself knows no timeouts, limits, client certificates or own CA per
/// repository. Included by the sources of this folder only.
#pragma once

#include "gitops/git/access.h"

#include <git2.h>
#include <git2/sys/transport.h>

#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

namespace kled::gitops::git {

/// One fetch or push: its limits, and the failure that libgit2 can only pass on as -1.
struct Transfer {
    const Access& access;
    std::stop_token stop;
    std::chrono::steady_clock::time_point deadline;
    std::size_t received = 0;
    std::exception_ptr failure;

    /// Throws when a limit is passed: of time, of bytes, or the caller's patience.
    void check_limits() const;
};

/// A connection as libgit2's smart transport drives it. All calls block, and throw.
class Stream {
public:
    virtual ~Stream() = default;
    /// At least one byte; 0 at the end.
    virtual std::size_t read(char* buffer, std::size_t size) = 0;
    virtual void write(std::string_view bytes) = 0;
};

class Subtransport {
public:
    virtual ~Subtransport() = default;
    /// The stream of `service`. A stateful subtransport gives the same connection twice.
    virtual std::shared_ptr<Stream> open(const std::string& url, git_smart_service_t service) = 0;
    virtual void close() = 0;
};

/// "git-upload-pack" for a fetch, "git-receive-pack" for a push.
std::string program_of(git_smart_service_t service);
/// The first of the two exchanges; in the other, objects go over.
bool lists_references(git_smart_service_t service);

std::unique_ptr<Subtransport> make_http_subtransport(Transfer& transfer);
std::unique_ptr<Subtransport> make_ssh_subtransport(Transfer& transfer);

enum class Protocol { http, ssh, local };
/// Error(invalid) for a URL that is none of http(s)://, ssh://, user@host:path, file://, /path;
/// Error(denied) for a local one where that is not allowed.
Protocol protocol_of(std::string_view url, const Access& access);

/// Makes fetches of `callbacks` use our transports. `transfer` outlives the remote.
void install(git_remote_callbacks& callbacks, Transfer& transfer);

}  // namespace kled::gitops::git
