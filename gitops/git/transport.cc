#include "gitops/git/transport.h"

#include "base/error.h"
#include "gitops/git/mirror.h"

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>

#include <utility>

namespace kled::gitops::git {

namespace {

// The C structs that libgit2 holds, with ours behind them. libgit2 casts back and forth, so each
// starts with the struct it knows.
struct CStream;

struct CSubtransport {
    git_smart_subtransport base{};
    Transfer* transfer = nullptr;
    std::unique_ptr<Subtransport> impl;
    CStream* current = nullptr;  // a stateful connection is one stream, and must be the same one
};

struct CStream {
    git_smart_subtransport_stream base{};
    CSubtransport* owner = nullptr;
    std::shared_ptr<Stream> impl;
};

/// Runs `work` on behalf of libgit2: an exception must not cross it, so it is kept for `fetch`.
template <typename Work>
int guarded(Transfer& transfer, Work work) noexcept {
    try {
        transfer.check_limits();
        work();
        return 0;
    } catch (const std::exception& error) {
        if (!transfer.failure) transfer.failure = std::current_exception();
        git_error_set_str(GIT_ERROR_NET, error.what());
        return GIT_EUSER;
    }
}

int stream_read(git_smart_subtransport_stream* stream, char* buffer, size_t size, size_t* count) {
    auto& self = *reinterpret_cast<CStream*>(stream);
    *count = 0;
    auto& transfer = *self.owner->transfer;
    return guarded(transfer, [&] {
        *count = self.impl->read(buffer, size);
        transfer.received += *count;
    });
}

int stream_write(git_smart_subtransport_stream* stream, const char* buffer, size_t size) {
    auto& self = *reinterpret_cast<CStream*>(stream);
    return guarded(*self.owner->transfer, [&] { self.impl->write({buffer, size}); });
}

void stream_free(git_smart_subtransport_stream* stream) {
    auto* self = reinterpret_cast<CStream*>(stream);
    if (self->owner->current == self) self->owner->current = nullptr;
    delete self;
}

int subtransport_action(git_smart_subtransport_stream** out, git_smart_subtransport* subtransport,
                        const char* url, git_smart_service_t service) {
    auto& self = *reinterpret_cast<CSubtransport*>(subtransport);
    *out = nullptr;
    return guarded(*self.transfer, [&] {
        auto impl = self.impl->open(url, service);
        if (self.current == nullptr || self.current->impl != impl) {
            auto stream = std::make_unique<CStream>();
            stream->base = {subtransport, stream_read, stream_write, stream_free};
            stream->owner = &self;
            stream->impl = std::move(impl);
            self.current = stream.release();
        }
        *out = &self.current->base;
    });
}

int subtransport_close(git_smart_subtransport* subtransport) {
    reinterpret_cast<CSubtransport*>(subtransport)->impl->close();
    return 0;
}

void subtransport_free(git_smart_subtransport* subtransport) {
    delete reinterpret_cast<CSubtransport*>(subtransport);
}

int make_subtransport(git_smart_subtransport** out, Transfer& transfer,
                      std::unique_ptr<Subtransport> impl) {
    auto subtransport = std::make_unique<CSubtransport>();
    subtransport->base = {subtransport_action, subtransport_close, subtransport_free};
    subtransport->transfer = &transfer;
    subtransport->impl = std::move(impl);
    *out = &subtransport.release()->base;
    return 0;
}

int make_http(git_smart_subtransport** out, git_transport*, void* transfer) {
    auto& t = *static_cast<Transfer*>(transfer);
    return make_subtransport(out, t, make_http_subtransport(t));
}

int make_ssh(git_smart_subtransport** out, git_transport*, void* transfer) {
    auto& t = *static_cast<Transfer*>(transfer);
    return make_subtransport(out, t, make_ssh_subtransport(t));
}

int make_transport(git_transport** out, git_remote* owner, void* transfer) {
    auto& t = *static_cast<Transfer*>(transfer);
    auto protocol = Protocol::local;
    if (const int code =
            guarded(t, [&] { protocol = protocol_of(git_remote_url(owner), t.access); });
        code != 0) {
        return code;
    }
    if (protocol == Protocol::local) return git_transport_local(out, owner, nullptr);
    // libgit2 copies the definition.
    git_smart_subtransport_definition definition{};
    definition.callback = protocol == Protocol::http ? make_http : make_ssh;
    definition.rpc = protocol == Protocol::http ? 1 : 0;
    definition.param = transfer;
    return git_transport_smart(out, owner, &definition);
}

}  // namespace

void Transfer::check_limits() const {
    if (stop.stop_requested())
        throw boost::system::system_error{boost::asio::error::operation_aborted};
    if (std::chrono::steady_clock::now() >= deadline) {
        throw Error{ErrorKind::unavailable,
                    "not finished within " + std::to_string(access.timeout.count()) + " ms"};
    }
    if (received > access.transfer_limit) {
        throw Error{ErrorKind::exhausted, "the server sent more than " +
                                              std::to_string(access.transfer_limit) + " bytes"};
    }
}

std::string program_of(git_smart_service_t service) {
    const bool push = service == GIT_SERVICE_RECEIVEPACK_LS || service == GIT_SERVICE_RECEIVEPACK;
    return push ? "git-receive-pack" : "git-upload-pack";
}

bool lists_references(git_smart_service_t service) {
    return service == GIT_SERVICE_UPLOADPACK_LS || service == GIT_SERVICE_RECEIVEPACK_LS;
}

Protocol protocol_of(std::string_view url, const Access& access) {
    if (url.starts_with("https://") || url.starts_with("http://")) return Protocol::http;
    if (url.starts_with("ssh://")) return Protocol::ssh;
    if (url.starts_with("file://") || url.starts_with("/")) {
        if (!access.local_repositories) {
            throw Error{ErrorKind::denied,
                        "repositories on this machine's disk are not allowed here "
                        "(--gitops-allow-local-repositories)"};
        }
        return Protocol::local;
    }
    const auto colon = url.find(':');
    if (url.find("://") == std::string_view::npos && colon != std::string_view::npos &&
        url.substr(0, colon).find('/') == std::string_view::npos) {
        return Protocol::ssh;  // user@host:path
    }
    throw Error{ErrorKind::invalid, "'" + printable_url(url) +
                                        "' is no Git URL kled reads: https://, http://, ssh://, "
                                        "user@host:path or file://"};
}

void install(git_remote_callbacks& callbacks, Transfer& transfer) {
    callbacks.transport = make_transport;
    callbacks.payload = &transfer;
    // The local transport and the indexer know no limits of ours but ask here between objects.
    callbacks.transfer_progress = [](const git_indexer_progress*, void* payload) {
        return guarded(*static_cast<Transfer*>(payload), [] {});
    };
    callbacks.sideband_progress = [](const char*, int, void* payload) {
        return guarded(*static_cast<Transfer*>(payload), [] {});
    };
}

std::string printable_url(std::string_view url) {
    std::string text{url};
    const auto scheme = text.find("://");
    if (scheme == std::string::npos) return text;
    const auto end = text.find('/', scheme + 3);
    const auto at = text.rfind('@', end);
    if (at == std::string::npos || at < scheme) return text;
    const auto colon = text.find(':', scheme + 3);
    if (colon < at) text.erase(colon, at - colon);
    return text;
}

bool same_repository(std::string_view a, std::string_view b) {
    const auto canonical = [](std::string_view url) {
        std::string text{url};
        if (const auto scheme = text.find("://"); scheme != std::string::npos) {
            text.erase(0, scheme + 3);
        } else if (const auto colon = text.find(':');
                   colon != std::string::npos && !text.starts_with('/')) {
            text[colon] = '/';  // user@host:path
        }
        const auto slash = text.find('/');
        if (const auto at = text.rfind('@', slash); at != std::string::npos && slash != 0)
            text.erase(0, at + 1);
        while (text.ends_with('/')) text.pop_back();
        if (text.ends_with(".git")) text.resize(text.size() - 4);
        while (text.ends_with('/')) text.pop_back();
        return text;
    };
    return canonical(a) == canonical(b);
}

}  // namespace kled::gitops::git
