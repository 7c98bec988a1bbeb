#include "gitops/notify/commit_status.h"

#include "base/error.h"
#include "kube/object.h"

#include <algorithm>
#include <cctype>
#include <utility>

namespace kled::gitops {

namespace json = boost::json;

namespace {

constexpr std::size_t description_limit = 140;  // GitHub's

struct Repository {
    std::string host;  ///< "https://git.example"
    std::string id;    ///< "org/app"
};

Repository repository_of(std::string_view address) {
    const Error bad{ErrorKind::invalid, "the address is no repository's: https://HOST/OWNER/NAME"};
    std::string host;
    std::string_view path;
    std::string scheme = "https";
    const auto colon = address.find("://");
    if (colon == std::string_view::npos) {  // user@host:path
        const auto at = address.find('@');
        const auto end = address.find(':');
        if (at == std::string_view::npos || end == std::string_view::npos || end < at) throw bad;
        host = address.substr(at + 1, end - at - 1);
        path = address.substr(end + 1);
    } else {
        scheme = address.substr(0, colon);
        const auto rest = address.substr(colon + 3);
        const auto slash = rest.find('/');
        if (slash == std::string_view::npos) throw bad;
        host = rest.substr(0, slash);
        path = rest.substr(slash);
        if (const auto at = host.rfind('@'); at != std::string::npos) host.erase(0, at + 1);
        if (scheme == "ssh") {
            host.resize(std::min(host.find(':'), host.size()));
            scheme = "https";
        }
        if (scheme != "https" && scheme != "http") throw bad;
    }
    while (path.starts_with('/')) path.remove_prefix(1);
    while (path.ends_with('/')) path.remove_suffix(1);
    if (path.ends_with(".git")) path.remove_suffix(4);
    if (host.empty() || path.find('/') == std::string_view::npos ||
        path.find_first_of("?#") != std::string_view::npos) {
        throw bad;
    }
    return {.host = scheme + "://" + host, .id = std::string{path}};
}

/// "main@sha1:<hex>" → the hex; empty: there is no commit in it.
std::string commit_in(std::string_view revision) {
    auto text = revision.substr(revision.rfind('@') + 1);
    if (const auto colon = text.rfind(':'); colon != std::string_view::npos)
        text.remove_prefix(colon + 1);
    const auto hex = [](unsigned char c) { return std::isxdigit(c) != 0; };
    const bool commit = (text.size() == 40 || text.size() == 64) && std::ranges::all_of(text, hex);
    return commit ? std::string{text} : std::string{};
}

/// "HealthCheckFailed" → "health check failed".
std::string words_of(std::string_view reason) {
    std::string result;
    for (std::size_t i = 0; i < reason.size(); ++i) {
        const auto c = static_cast<unsigned char>(reason[i]);
        const bool upper = std::isupper(c) != 0;
        const bool after = i > 0 && std::isupper(static_cast<unsigned char>(reason[i - 1])) == 0;
        const bool before =
            i + 1 < reason.size() && std::islower(static_cast<unsigned char>(reason[i + 1])) != 0;
        if (upper && i > 0 && (after || before)) result += ' ';
        result += static_cast<char>(std::tolower(c));
    }
    return result.substr(0, description_limit);
}

std::string id_of(const Provider& provider, const Notification& n) {
    const auto uid = provider.object.uid();
    std::string id = n.kind + "/" + n.name + "/" + std::string{uid.substr(0, uid.find('-'))};
    std::ranges::transform(id, id.begin(), [](unsigned char c) { return std::tolower(c); });
    return id;
}

/// "owner/name", each part as a path has it. Error(invalid) for more parts.
std::string two_parts(const std::string& id) {
    const auto slash = id.find('/');
    if (id.find('/', slash + 1) != std::string::npos)
        throw Error{ErrorKind::invalid, "the address is no repository's: https://HOST/OWNER/NAME"};
    return net::percent_encode(id.substr(0, slash)) + "/" +
           net::percent_encode(id.substr(slash + 1));
}

Message request(const std::string& url, std::string_view method, const net::Headers& headers) {
    Message result;
    result.url = provider_url(url);
    result.request.method = method;
    result.request.target = result.url.target;
    result.request.headers = headers;
    return result;
}

}  // namespace

std::optional<CommitStatus> commit_status_for(const Provider& provider,
                                              const ProviderAccess& access,
                                              const Notification& notification) {
    const bool going_on = notification.reason == "Progressing";
    if (going_on && provider.type != "gitea") return std::nullopt;
    // An artifact's own revision is no commit; what it was made of is, where it says so.
    auto revision = notification.metadata.find("originRevision");
    if (revision == notification.metadata.end()) revision = notification.metadata.find("revision");
    const auto commit =
        revision == notification.metadata.end() ? std::string{} : commit_in(revision->second);
    if (commit.empty()) return std::nullopt;
    if (!access.token || access.token->empty())
        throw Error{ErrorKind::invalid, provider.type + " needs `token` in the Secret"};
    const auto repository = repository_of(access.address);
    const std::string token{access.token->reveal()};
    CommitStatus result;
    result.id = id_of(provider, notification);
    result.description = words_of(notification.reason);
    result.state = notification.error ? "failure" : going_on ? "pending" : "success";

    net::Headers headers;
    headers.set("Accept", "application/json");
    std::string list;
    std::string create;
    std::string_view name = "context";
    if (provider.type == "gitlab") {
        if (notification.error) result.state = "failed";
        name = "name";
        headers.set("Private-Token", token);
        const auto project =
            repository.host + "/api/v4/projects/" + net::percent_encode(repository.id);
        list = project + "/repository/commits/" + commit +
               "/statuses?name=" + net::percent_encode(result.id);
        create = project + "/statuses/" + commit;
    } else {
        const bool gitea = provider.type == "gitea";
        headers.set("Authorization", (gitea ? "token " : "Bearer ") + token);
        const auto api = gitea                                     ? repository.host + "/api/v1"
                         : repository.host == "https://github.com" ? "https://api.github.com"
                                                                   : repository.host + "/api/v3";
        const auto path = api + "/repos/" + two_parts(repository.id);
        list = path + "/commits/" + commit + "/statuses?" +
               (gitea ? "page=1&limit=50" : "per_page=50");
        create = path + "/statuses/" + commit;
    }
    result.list = request(list, "GET", headers);
    headers.set("Content-Type", "application/json");
    result.create = request(create, "POST", headers);
    json::object body;
    body["state"] = result.state;
    body[name] = result.id;
    body["description"] = result.description;
    result.create.request.body = kube::to_json(json::value(std::move(body)));
    return result;
}

bool has_status(const Provider& provider, const CommitStatus& status, std::string_view list) {
    const bool github = provider.type == "github";
    const auto* name = provider.type == "gitlab" ? "name" : "context";
    const auto* state = github ? "state" : "status";
    try {
        const auto answer = kube::parse_json(list, 32);
        if (!answer.is_array()) return false;
        for (const auto& item : answer.get_array()) {
            if (!item.is_object()) continue;
            const auto& fields = item.get_object();
            if (kube::find_string(fields, {name}) != status.id) continue;
            const bool same = kube::find_string(fields, {state}) == status.state &&
                              kube::find_string(fields, {"description"}) == status.description;
            // The latest comes first, and it alone counts; GitLab gives the latest of each name.
            return same;
        }
    } catch (const Error&) {  // then it is set once more
    }
    return false;
}

}  // namespace kled::gitops
