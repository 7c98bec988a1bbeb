#include "gitops/receive/receiver_objects.h"

#include "base/error.h"
#include "base/log.h"
#include "crypto/hash.h"
#include "gitops/access/secret_data.h"
#include "gitops/build/input_watch.h"
#include "gitops/image/group.h"
#include "gitops/objects/fields.h"
#include "gitops/receive/receiver.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

namespace kled::gitops {

namespace asio = boost::asio;

namespace {

/// How a sender shows that it knows the token.
enum class Proof {
    path,    ///< by the path alone
    prefix,  ///< "<algorithm>=<hex of the body's HMAC>"
    sha1,    ///< the hex alone
    sha256,
    token,  ///< the token itself
};

struct Kind {
    std::string_view type;
    Proof proof;
    std::array<std::string_view, 2> headers;        ///< with the proof; the first that is there
    std::array<std::string_view, 2> event_headers;  ///< with the event; empty: there are none
};

// notification-controller internal/server/receiver_handlers.go; gitea: its own headers, and those
// of GitHub that it sends beside them.
constexpr std::array kinds{
    Kind{"generic", Proof::path, {}, {}},
    Kind{"generic-hmac", Proof::prefix, {"X-Signature"}, {}},
    Kind{"github", Proof::prefix, {"X-Hub-Signature-256", "X-Hub-Signature"}, {"X-GitHub-Event"}},
    Kind{"gitea", Proof::sha256, {"X-Gitea-Signature"}, {"X-Gitea-Event", "X-GitHub-Event"}},
    Kind{"gitlab", Proof::token, {"X-Gitlab-Token"}, {"X-Gitlab-Event"}},
    Kind{"bitbucket", Proof::prefix, {"X-Hub-Signature"}, {"X-Event-Key"}},
    Kind{"harbor", Proof::token, {"Authorization"}, {}},
    Kind{"dockerhub", Proof::path, {}, {}},
    Kind{"quay", Proof::path, {}, {}},
    Kind{"nexus", Proof::sha1, {"X-Nexus-Webhook-Signature"}, {}},
    Kind{"acr", Proof::path, {}, {}},
};

const Kind* kind_of(std::string_view type) {
    const auto found = std::ranges::find(kinds, type, &Kind::type);
    return found == kinds.end() ? nullptr : &*found;
}

std::string_view first_of(const net::Headers& headers,
                          const std::array<std::string_view, 2>& names) {
    for (const auto name : names) {
        const auto value = name.empty() ? std::string_view{} : headers.get(name);
        if (!value.empty()) return value;
    }
    return {};
}

bool equal_ignoring_case(std::string_view a, std::string_view b) {
    return std::ranges::equal(
        a, b, [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

bool proven(Proof proof, std::string_view given, std::string_view token, std::string_view body) {
    switch (proof) {
        case Proof::path: return true;
        case Proof::prefix: return signature_matches(given, token, body);
        case Proof::sha1: return signature_matches("sha1=" + std::string{given}, token, body);
        case Proof::sha256: return signature_matches("sha256=" + std::string{given}, token, body);
        case Proof::token: return equal_constant_time(given, token);
    }
    return false;
}

/// What a kind of Flux's is a part of; others have to say it themselves.
std::string_view group_of(std::string_view kind) {
    constexpr std::array sources{"Bucket", "GitRepository", "HelmChart", "HelmRepository",
                                 "OCIRepository"};
    if (std::ranges::find(sources, kind) != sources.end()) return source_group;
    return kind == "ImageRepository" ? image_group : std::string_view{};
}

}  // namespace

Receiver Receiver::from_object(kube::Object object) {
    Receiver result;
    const Reader spec{object.spec()};
    result.type = spec.required("type");
    if (kind_of(result.type) == nullptr)
        result.unsupported.push_back({"spec.type: " + result.type});
    append(result.unsupported, spec.unsupported({"resourceFilter", "oidcProviders"}));
    for (const auto& event : spec.array("events")) {
        if (!event.is_string()) throw spec.bad("events", "not a list of names");
        result.events.emplace_back(event.get_string());
    }
    for (const auto& item : spec.objects("resources")) {
        Resource resource{.api_version = item.text("apiVersion"),
                          .kind = item.required("kind"),
                          .ns = item.text("namespace"),
                          .name = item.required("name"),
                          .labels = item.texts("matchLabels")};
        if (resource.api_version.empty() && group_of(resource.kind).empty())
            throw item.bad("apiVersion", "is required for the kind " + resource.kind);
        if (resource.name == "*" && resource.labels.empty())
            throw item.bad("matchLabels", "is required with the name '*'");
        append(result.unsupported, item.unsupported({"filter"}));
        result.resources.push_back(std::move(resource));
    }
    result.secret_name = spec.object("secretRef").text("name");
    result.interval = spec.duration("interval", Duration{600'000});
    result.suspend = spec.flag("suspend");
    result.object = std::move(object);
    return result;
}

ReceiverStatus ReceiverStatus::from_object(const kube::Object& object) {
    ReceiverStatus result;
    result.read_common(object);
    result.webhook_path = text_in(object, {"webhookPath"});
    return result;
}

void ReceiverStatus::write_to(kube::Object& object) const {
    auto& status = write_common(object);
    set_or_erase(status, "webhookPath", webhook_path);
}

std::string webhook_path(const kube::Object& receiver, std::string_view token) {
    return "/hook/" + crypto::sha256_hex(std::string{token} + std::string{receiver.name()} +
                                         std::string{receiver.ns()});
}

std::optional<std::string> refusal(const Receiver& receiver, std::string_view token,
                                   const net::Request& request) {
    const auto* kind = kind_of(receiver.type);
    if (kind == nullptr) return "the type is not supported";
    auto proof = kind->proof;
    auto given = first_of(request.headers, kind->headers);
    if (kind->type == "gitea" && given.empty()) {
        proof = Proof::prefix;
        given = request.headers.get("X-Hub-Signature-256");
    }
    if (proof != Proof::path && given.empty())
        return "the header " + std::string{kind->headers.front()} + " is missing";
    if (!proven(proof, given, token, request.body))
        return "the header " + std::string{kind->headers.front()} + " does not fit the token";
    if (kind->event_headers.front().empty() || receiver.events.empty()) return std::nullopt;
    const auto event = first_of(request.headers, kind->event_headers);
    const auto same = [&](const std::string& name) { return equal_ignoring_case(name, event); };
    if (std::ranges::any_of(receiver.events, same)) return std::nullopt;
    return "the event '" + std::string{event.substr(0, 64)} + "' is none of spec.events";
}

ReceiverObjects::ReceiverObjects(const asio::any_io_executor& loop, kube::Client& client,
                                 Events& events, Options options)
    : FollowedObjects{loop, client, events, {}}, options_{options} {}

void ReceiverObjects::start() {
    follow(notification_group, "Receiver");
    tasks_.spawn(watch_inputs(client_, "Secret", [this](const Key& key) { secret_changed(key); }));
}

void ReceiverObjects::secret_changed(const Key& secret) {
    for (const auto& [key, node] : nodes_) {
        const auto* spec = node->object.spec();
        if (spec != nullptr && key.ns == secret.ns &&
            kube::find_string(*spec, {"secretRef", "name"}) == secret.name)
            turns_.touch(key);
    }
}

asio::awaitable<ReceiverObjects::Again> ReceiverObjects::look(NodePtr node) {
    const auto object = node->object;
    auto status = ReceiverStatus::from_object(object);
    auto preparing = prepare(node);
    auto ended = co_await std::move(preparing);
    if (ended.how == Ended::How::later) {
        if (node->path.empty()) node->path = status.webhook_path;
        co_return std::nullopt;
    }
    const bool good = ended.how == Ended::How::ready;
    if (!good) node->receiver = nullptr;
    status.webhook_path = good ? node->path : std::string{};
    const bool quiet = true;
    auto concluding = conclude(node, object, std::move(status), std::move(ended), quiet);
    co_return co_await std::move(concluding);
}

asio::awaitable<Ended> ReceiverObjects::prepare(NodePtr node) {
    const auto object = node->object;
    std::shared_ptr<const Receiver> receiver;
    try {
        receiver = std::make_shared<const Receiver>(Receiver::from_object(object));
    } catch (const Error& error) {
        co_return stalled("InvalidSpec", error.what());
    }
    if (!receiver->unsupported.empty()) {
        co_return stalled("UnsupportedField",
                          receiver->unsupported.front().field + " is not supported");
    }
    if (receiver->suspend) {
        node->receiver = std::move(receiver);  // to say so at its path
        co_return Ended{};
    }
    std::shared_ptr<const Secret> token;
    std::string wrong;
    try {
        const std::string ns{object.ns()};
        const auto data = co_await read_secret(client_, ns, receiver->secret_name);
        token = data.secret({"token"});
        if (!token) wrong = "Secret " + receiver->secret_name + " has no token";
    } catch (const Error& error) {
        if (error.kind() == ErrorKind::unavailable) throw;
        wrong = error.what();
    }
    if (node->object.generation() != object.generation()) co_return Ended{};  // it runs again
    node->token = token;
    if (!token) co_return failed("TokenNotFound", wrong);
    node->path = webhook_path(object, token->reveal());
    node->receiver = receiver;
    co_return ready("Receiver initialized for path: " + node->path, receiver->interval);
}

asio::awaitable<net::Response> ReceiverObjects::answer(net::Request request) {
    const auto target = net::parse_target(request.target);
    NodePtr node;
    for (const auto& [key, one] : nodes_) {
        // Also the path is a secret.
        if (!one->path.empty() && equal_constant_time(one->path, target.path)) node = one;
    }
    if (!node) co_return text_response(404, "there is no such hook");
    if (request.method != "POST") co_return text_response(405, "a webhook is a POST");
    const auto receiver = node->receiver;
    const auto key = key_of(node->object).to_string();
    if (!receiver || receiver->suspend || !node->token) {
        log::warn("gitops", "webhook refused: not ready, or suspended", {{"object", key}});
        co_return text_response(503, "not now");
    }
    if (const auto why = refusal(*receiver, node->token->reveal(), request)) {
        log::warn("gitops", "webhook refused: " + *why, {{"object", key}});
        co_return text_response(400, *why);
    }
    bool failed = false;
    for (const auto& resource : receiver->resources) {
        const auto wrong = co_await ask(*receiver, resource);
        if (wrong.empty()) continue;
        failed = true;
        log::warn("gitops", wrong, {{"object", key}});
    }
    log::info("gitops", "webhook", {{"object", key}});
    if (failed) co_return text_response(500, "not all resources could be asked; the log says why");
    co_return text_response(200, "looking");
}

asio::awaitable<std::string> ReceiverObjects::ask(const Receiver& receiver,
                                                  const Receiver::Resource& resource) {
    const std::string ns = resource.ns.empty() ? std::string{receiver.object.ns()} : resource.ns;
    const auto place = resource.kind + " " + ns + "/" + resource.name;
    if (options_.no_cross_namespace_refs && ns != receiver.object.ns())
        co_return place + " is of another namespace, which is not allowed here";
    try {
        auto gvk = kube::GroupVersionKind::parse(resource.api_version, resource.kind);
        if (resource.api_version.empty()) gvk.group = group_of(resource.kind);
        if (gvk.version.empty()) {
            const auto mapping = co_await client_.map(gvk);
            if (!mapping) co_return place + " is not served";
            gvk.version = mapping->resource.version;
        }
        if (resource.name != "*") {
            co_await request_reconcile(gvk, ns, resource.name);
            co_return std::string{};
        }
        kube::ListOptions options;
        options.ns = ns;
        for (const auto& [label, value] : resource.labels)
            options.label_selector +=
                (options.label_selector.empty() ? "" : ",") + label + "=" + value;
        const auto found = co_await client_.list(gvk, options);
        for (const auto& object : found.items) {
            const std::string name{object.name()};
            co_await request_reconcile(gvk, ns, name);
        }
    } catch (const Error& error) {
        co_return place + ": " + error.what();
    }
    co_return std::string{};
}

}  // namespace kled::gitops
