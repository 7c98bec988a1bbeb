#include "gitops/receive/receiver_objects.h"

#include "base/error.h"
#include "base/log.h"
#include "crypto/hash.h"
#include "gitops/access/secret_data.h"
#include "gitops/build/input_watch.h"
#include "gitops/image/group.h"
#include "gitops/objects/fields.h"
#include "gitops/receive/receiver.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include <algorithm>
#include <array>
#include <cctype>
#include <chrono>
#include <utility>

namespace kled::gitops {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

SteadyTime steady_now() { return std::chrono::steady_clock::now(); }
WallTime wall_now() { return std::chrono::system_clock::now(); }

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

net::Response plain(unsigned status, std::string text) {
    net::Response response;
    response.status = status;
    response.headers.set("Content-Type", "text/plain; charset=utf-8");
    response.body = std::move(text) + "\n";
    return response;
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
    result.conditions = Conditions::from_status(object.status());
    result.observed_generation = integer(object.status(), "observedGeneration");
    result.handled_request = text_in(object, {"lastHandledReconcileAt"});
    result.webhook_path = text_in(object, {"webhookPath"});
    return result;
}

void ReceiverStatus::write_to(kube::Object& object) const {
    auto& status = status_of(object);
    status["conditions"] = conditions.to_json();
    status["observedGeneration"] = observed_generation;
    set_or_erase(status, "lastHandledReconcileAt", handled_request);
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

ReceiverObjects::ReceiverObjects(asio::any_io_executor loop, kube::Client& client, Events& events,
                                 Options options)
    : client_{client},
      api_{client, {}},
      events_{events},
      options_{options},
      wake_{loop},
      tasks_{loop} {}

asio::awaitable<void> ReceiverObjects::run() {
    tasks_.spawn(api_.follow(std::string{notification_group}, "Receiver", *this));
    tasks_.spawn(dispatch());
    tasks_.spawn(watch_inputs(client_, "Secret", [this](const Key& key) { secret_changed(key); }));
    co_await even_if_cancelled;
    co_await tasks_.join();
}

void ReceiverObjects::changed(kube::Object object) {
    const auto key = key_of(object);
    auto& node = nodes_[key];
    if (!node || node->object.uid() != object.uid()) {
        node = std::make_shared<Node>(object);
    } else {
        const bool form = node->object.generation() == object.generation() &&
                          node->object.deleting() == object.deleting();
        const bool same = form && reconcile_request(node->object) == reconcile_request(object);
        node->object = std::move(object);
        if (same) return;
        if (!form) node->receiver = nullptr;  // until the new one is known to be good
    }
    schedule_.touch(key, steady_now());
    wake_.cancel();
}

void ReceiverObjects::removed(const Key& key) {
    nodes_.erase(key);
    schedule_.forget(key);
    events_.forget(key);
}

void ReceiverObjects::secret_changed(const Key& secret) {
    for (const auto& [key, node] : nodes_) {
        const auto* spec = node->object.spec();
        if (spec == nullptr || key.ns != secret.ns ||
            kube::find_string(*spec, {"secretRef", "name"}) != secret.name)
            continue;
        schedule_.touch(key, steady_now());
        wake_.cancel();
    }
}

asio::awaitable<void> ReceiverObjects::dispatch() {
    for (;;) {
        while (const auto key = schedule_.next(steady_now())) tasks_.spawn(reconcile(*key));
        wake_.expires_at(schedule_.wake_at().value_or(SteadyTime::max()));
        co_await wake_.async_wait(asio::as_tuple(asio::use_awaitable));
    }
}

asio::awaitable<void> ReceiverObjects::reconcile(Key key) {
    std::optional<SteadyTime> again;
    try {
        if (const auto found = nodes_.find(key); found != nodes_.end())
            again = co_await prepare(found->second);
    } catch (const boost::system::system_error& error) {
        if (error.code() == asio::error::operation_aborted) throw;
        again = steady_now() + Duration{2'000};
    } catch (const std::exception& error) {  // the API server could not be reached
        log::warn("gitops", error.what(), {{"object", key.to_string()}});
        again = steady_now() + Duration{2'000};
    }
    schedule_.finished(key, again);
    wake_.cancel();
}

asio::awaitable<std::optional<SteadyTime>> ReceiverObjects::prepare(std::shared_ptr<Node> node) {
    const auto object = node->object;
    if (object.deleting()) {  // Flux's own controller may have held it
        co_await api_.release(object);
        co_return std::nullopt;
    }
    auto status = ReceiverStatus::from_object(object);
    const auto before = status;
    const auto generation = object.generation();
    std::optional<SteadyTime> again;
    std::shared_ptr<const Receiver> receiver;
    std::string reason = "InvalidSpec";
    std::string wrong;
    try {
        receiver = std::make_shared<const Receiver>(Receiver::from_object(object));
        if (!receiver->unsupported.empty()) {
            reason = "UnsupportedField";
            wrong = receiver->unsupported.front().field + " is not supported";
        } else if (receiver->suspend) {
            node->receiver = std::move(receiver);  // to say so at its path
            if (node->path.empty()) node->path = status.webhook_path;
            co_return std::nullopt;
        }
    } catch (const Error& error) {
        wrong = error.what();
    }
    if (!wrong.empty()) {
        status.conditions.stalled(reason, wrong, generation, wall_now());
    } else {
        std::shared_ptr<const Secret> token;
        reason = "TokenNotFound";
        try {
            const std::string ns{object.ns()};
            const auto data = co_await read_secret(client_, ns, receiver->secret_name);
            token = data.secret({"token"});
            if (!token) wrong = "Secret " + receiver->secret_name + " has no token";
        } catch (const Error& error) {
            if (error.kind() == ErrorKind::unavailable) throw;
            wrong = error.what();
        }
        if (node->object.generation() != generation) co_return std::nullopt;  // it runs again
        node->token = token;
        if (token) {
            node->path = webhook_path(object, token->reveal());
            node->receiver = receiver;
            node->backoff.reset();
            status.conditions.ready("Succeeded", "Receiver initialized for path: " + node->path,
                                    generation, wall_now());
            again = steady_now() + receiver->interval;
        } else {
            status.conditions.failed(reason, wrong, generation, wall_now());
            again = steady_now() + std::max(node->backoff.next(), Duration{500});
        }
    }
    if (!wrong.empty()) {
        node->receiver = nullptr;
        events_.record(object, true, reason, wrong);
    }
    status.webhook_path = wrong.empty() ? node->path : std::string{};
    status.observed_generation = generation;
    status.handled_request = reconcile_request(object);
    if (status == before) co_return again;
    kube::Object written{object.fields()};
    status.write_to(written);
    try {
        co_await api_.write_status(written);
    } catch (const Error& error) {
        if (error.kind() != ErrorKind::not_found) throw;  // it went meanwhile
    }
    co_return again;
}

asio::awaitable<net::Response> ReceiverObjects::answer(net::Request request) {
    const auto target = net::parse_target(request.target);
    std::shared_ptr<Node> node;
    for (const auto& [key, one] : nodes_) {
        // Also the path is a secret.
        if (!one->path.empty() && equal_constant_time(one->path, target.path)) node = one;
    }
    if (!node) co_return plain(404, "there is no such hook");
    if (request.method != "POST") co_return plain(405, "a webhook is a POST");
    const auto receiver = node->receiver;
    const auto key = key_of(node->object).to_string();
    if (!receiver || receiver->suspend || !node->token) {
        log::warn("gitops", "webhook refused: not ready, or suspended", {{"object", key}});
        co_return plain(503, "not now");
    }
    if (const auto why = refusal(*receiver, node->token->reveal(), request)) {
        log::warn("gitops", "webhook refused: " + *why, {{"object", key}});
        co_return plain(400, *why);
    }
    bool failed = false;
    for (const auto& resource : receiver->resources) {
        const auto wrong = co_await ask(*receiver, resource);
        if (wrong.empty()) continue;
        failed = true;
        log::warn("gitops", wrong, {{"object", key}});
    }
    log::info("gitops", "webhook", {{"object", key}});
    if (failed) co_return plain(500, "not all resources could be asked; the log says why");
    co_return plain(200, "looking");
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
            co_await annotate(gvk, ns, resource.name);
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
            co_await annotate(gvk, ns, name);
        }
    } catch (const Error& error) {
        co_return place + ": " + error.what();
    }
    co_return std::string{};
}

asio::awaitable<void> ReceiverObjects::annotate(kube::GroupVersionKind gvk, std::string ns,
                                                std::string name) {
    json::object annotations;
    annotations[requested_at] = to_rfc3339_micro(wall_now());
    json::object metadata;
    metadata["annotations"] = std::move(annotations);
    json::object fields;
    fields["metadata"] = std::move(metadata);
    const json::value patch(std::move(fields));
    const std::string whole;
    co_await client_.patch(gvk, ns, name, kube::PatchType::merge, patch, whole);
}

}  // namespace kled::gitops
