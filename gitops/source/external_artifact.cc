#include "gitops/source/external_artifact.h"

#include "base/encoding.h"
#include "base/error.h"
#include "crypto/hash.h"
#include "gitops/git/mirror.h"
#include "gitops/oci/redirect.h"
#include "gitops/oci/reference.h"
#include "net/http_client.h"

#include <algorithm>

namespace kled::gitops {

namespace asio = boost::asio;

namespace {

constexpr int redirect_limit = 5;

Error failure_of(unsigned status) {
    const auto text = "the server answered " + std::to_string(status);
    if (status == 404 || status == 410) return {ErrorKind::not_found, text};
    if (status == 401 || status == 403) return {ErrorKind::denied, text};
    return {ErrorKind::unavailable, text};
}

}  // namespace

std::optional<ExternalArtifact> ExternalArtifact::from_object(const kube::Object& object) {
    const auto* found =
        object.status() == nullptr ? nullptr : object.status()->if_contains("artifact");
    if (found == nullptr || found->is_null()) return std::nullopt;
    const auto bad = [](const std::string& what) {
        return Error{ErrorKind::invalid, "status.artifact" + what};
    };
    if (!found->is_object()) throw bad(" is no mapping");
    const auto& fields = found->get_object();
    ExternalArtifact result{.url = std::string{kube::find_string(fields, {"url"})},
                            .revision = std::string{kube::find_string(fields, {"revision"})},
                            .digest = std::string{kube::find_string(fields, {"digest"})},
                            .size = std::nullopt};
    if (!result.url.starts_with("http://") && !result.url.starts_with("https://"))
        throw bad(".url: begins with neither http:// nor https://");
    const bool line = std::ranges::none_of(result.revision,
                                           [](unsigned char c) { return c < 0x20 || c == 0x7f; });
    if (result.revision.empty() || result.revision.size() > revision_limit || !line)
        throw bad(".revision: is no short line");
    if (!oci::is_digest(result.digest)) throw bad(".digest: is not sha256:<64 hex digits>");
    if (const auto* size = fields.if_contains("size"); size != nullptr && !size->is_null()) {
        if (!size->is_int64() || size->get_int64() < 0) throw bad(".size: is no number of bytes");
        result.size = static_cast<std::uint64_t>(size->get_int64());
    }
    return result;
}

asio::awaitable<git::Revision> ExternalFetch::run(std::optional<git::Revision> checked) {
    auto known = co_await look(std::move(checked));
    if (known) co_return std::move(*known);
    std::shared_ptr<Spool> spool;
    try {
        spool = co_await download();
        downloaded_ = true;
        auto work = [imported = imported_, spool, limits = limits_,
                     artifact = artifact_](const std::stop_token& stop) mutable {
            const auto unpacked = unpack(*spool, imported, false, limits, stop);
            return imported.commit(artifact.revision, unpacked.files, artifact.digest);
        };
        co_return co_await offload_stoppable(pool_, std::move(work));
    } catch (const Error& error) {
        throw error.within(git::printable_url(artifact_.url));
    }
}

asio::awaitable<std::optional<git::Revision>> ExternalFetch::look(
    std::optional<git::Revision> checked) {
    auto find = [imported = imported_, artifact = artifact_, checked = std::move(checked)](
                    const std::stop_token& stop) mutable -> std::optional<git::Revision> {
        const auto kept = imported.find_if(
            [&](std::string_view, std::string_view memo) { return memo == artifact.digest; });
        if (!kept) return std::nullopt;
        if (kept->revision == checked && kept->revision.name == artifact.revision) return checked;
        const auto files = imported.files(kept->revision, stop);
        if (files) return imported.commit(artifact.revision, *files, kept->memo);
        imported.forget();  // damaged: all of it comes again
        return std::nullopt;
    };
    co_return co_await offload_stoppable(pool_, std::move(find));
}

asio::awaitable<std::shared_ptr<Spool>> ExternalFetch::download() {
    auto url = net::parse_url(artifact_.url);
    net::StreamResponse response;
    for (int redirects = 0;; ++redirects) {
        url.user.clear();
        url.password.clear();
        net::HttpClient client{loop_, url, net::ClientOptions()};
        net::Request request;
        request.target = url.target;
        response = co_await client.open(std::move(request));
        if (response.status == 200) break;
        const std::string location{response.headers.get("Location")};
        if (!oci::is_redirect(response.status) || location.empty())
            throw failure_of(response.status);
        if (redirects == redirect_limit)
            throw Error{ErrorKind::unavailable, "redirects without end"};
        url = oci::redirected(url, location);
    }
    auto make = [folder = scratch_] { return std::make_shared<Spool>(folder); };
    auto spool = co_await offload(pool_, std::move(make));
    const auto limit = std::min(artifact_.size.value_or(limits_.archive), limits_.archive);
    crypto::Sha256Stream hash;
    std::uint64_t size = 0;
    while (auto piece = co_await response.body->next()) {
        size += piece->size();
        if (size > limit) {
            throw Error{ErrorKind::exhausted,
                        "it has more than " + std::to_string(limit) +
                            (artifact_.size == limit ? " bytes, which its status says" : " bytes")};
        }
        hash.update(*piece);
        auto write = [spool, bytes = *std::move(piece)] { spool->write(bytes); };
        co_await offload(pool_, std::move(write));
    }
    const auto bytes = hash.finish();
    const auto came =
        "sha256:" + to_hex({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    if (came != artifact_.digest || (artifact_.size && size != *artifact_.size)) {
        throw Error{ErrorKind::invalid, "it is not what its digest says: " + artifact_.digest +
                                            " was to come, " + came + " came, " +
                                            std::to_string(size) + " bytes"};
    }
    co_return spool;
}

}  // namespace kled::gitops
