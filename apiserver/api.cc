#include "apiserver/api.h"

#include "apiserver/call.h"
#include "apiserver/discovery.h"
#include "apiserver/openapi.h"
#include "base/log.h"
#include "base/metrics.h"

#include <boost/system/system_error.hpp>

#include <algorithm>
#include <utility>

namespace kled::api {

namespace asio = boost::asio;

namespace {

/// Text for a `Warning: 299 - "…"` header (RFC 9111 §5.5, no longer than clients take).
std::string warning_header(std::string_view text) {
    std::string quoted;
    for (const char c : text.substr(0, 1024)) {
        if (c == '"' || c == '\\') quoted += '\\';
        quoted += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
    return "299 - \"" + quoted + '"';
}

bool is_health(std::string_view path) {
    return std::ranges::any_of(
        std::initializer_list<std::string_view>{"/healthz", "/livez", "/readyz"},
        [&](std::string_view base) {
            return path == base || (path.starts_with(base) && path[base.size()] == '/');
        });
}

Answer text_answer(unsigned status, std::string body) {
    Answer answer;
    answer.status = status;
    answer.headers.set("Content-Type", "text/plain; charset=utf-8");
    answer.headers.set("X-Content-Type-Options", "nosniff");
    answer.body = std::move(body);
    return answer;
}

Answer refusal_answer(const Refusal& refusal) {
    // As a stock server: clients tell a path that is not served from an object that is not there.
    if (refusal.code() == 404 && refusal.details().kind.empty())
        return text_answer(404, "404 page not found\n");
    auto answer = json_answer(refusal.code(), kube::to_json(refusal.to_status()));
    if (const auto seconds = refusal.details().retry_after_seconds; seconds > 0)
        answer.headers.set("Retry-After", std::to_string(seconds));
    return answer;
}

}  // namespace

Answer json_answer(unsigned status, std::string body) {
    Answer answer;
    answer.status = status;
    answer.headers.set("Content-Type", "application/json");
    answer.headers.set("Cache-Control", "no-cache, private");
    answer.body = std::move(body);
    return answer;
}

Answer object_answer(unsigned status, const Bytes& bytes, const ResourcePtr& resource,
                     const Form& form) {
    const Renderer renderer{resource, form};
    auto answer = json_answer(status, renderer.object(bytes, std::chrono::system_clock::now()));
    answer.headers.set("Content-Type", renderer.content_type());
    return answer;
}

kube::Object parse_object(const Bytes& bytes) {
    return kube::Object::from(kube::parse_json(*bytes));
}

Api::Api(asio::any_io_executor executor, Storage& storage, Registry& registry,
         std::shared_ptr<kube::Admission> admission)
    : executor_{std::move(executor)},
      storage_{storage},
      registry_{registry},
      admission_{std::move(admission)},
      discovery_{std::make_unique<Discovery>(registry)},
      open_api_{std::make_unique<OpenApi>(registry)} {}

Api::~Api() = default;

asio::awaitable<Answer> Api::dispatch(net::Request request, std::optional<User> user) {
    std::optional<Refusal> refusal;
    try {
        co_return co_await route(std::move(request), std::move(user));
    } catch (const boost::system::system_error&) {
        throw;  // cancellation
    } catch (const std::exception& error) {
        refusal = Refusal::from(error);
        if (refusal->code() == 500) log::error("api", "request failed", {{"error", error.what()}});
    }
    co_return refusal_answer(*refusal);
}

Api::Reply Api::route(net::Request request, std::optional<User> user) {
    Call call;
    call.target = net::parse_target(request.target);
    const std::string_view path = call.target.path;
    const bool reading = request.method == "GET" || request.method == "HEAD";
    if (reading && is_health(path)) co_return text_answer(200, "ok");
    if (reading && path == "/version") co_return json_answer(200, version_document());
    if (!user) throw unauthorized();
    call.user = std::move(*user);
    const auto accept = std::string{request.headers.get("Accept")};
    if (reading && path == "/metrics") co_return text_answer(200, metrics::registry().text());
    if (reading && path.starts_with("/openapi/")) co_return open_api_->answer(call.target, request);
    if (reading) {
        if (auto found = discovery_->answer(path, accept)) co_return std::move(*found);
    }

    auto parsed = parse_resource_path(path);
    if (!parsed) throw unknown_path();
    call.path = std::move(*parsed);
    call.resource = registry_.find(call.path.group, call.path.version, call.path.resource);
    if (!call.resource) throw unknown_path();
    const bool wants_namespace = call.resource->namespaced();
    if (!wants_namespace && !call.path.ns.empty()) throw unknown_path();
    if (!call.user.in_group("system:masters")) {
        throw forbidden(call.resource->subject(call.path.name),
                        "User \"" + call.user.name + "\" is not in the group system:masters");
    }
    call.form = negotiate(accept, call.target);
    call.request = std::move(request);
    auto answer = co_await resource(call);
    for (const auto& warning : call.warnings)
        answer.headers.add("Warning", warning_header(warning));
    co_return answer;
}

Api::Reply Api::resource(Call& call) {
    const auto& [method, path] = std::tie(call.request.method, call.path);
    const auto watching = call.target.parameter("watch");
    const auto verb = verb_of(method, path, watching && (*watching == "true" || *watching == "1"));
    const bool on_object =
        verb != Verb::list && verb != Verb::watch && verb != Verb::remove_collection;
    if (on_object && call.resource->namespaced() && path.ns.empty())
        throw bad_request("the request names no namespace for the namespaced resource " +
                          call.resource->subject("").qualified());

    const auto& sub = path.subresource;
    if (sub == "scale" && call.resource->has_scale) co_return co_await scale(call);
    const bool served = sub.empty() || (sub == "status" && call.resource->has_status) ||
                        (sub == "finalize" && call.resource->collection == "namespaces");
    if (!served) throw unknown_path();
    if (!sub.empty() && verb != Verb::get && verb != Verb::update && verb != Verb::patch)
        throw method_not_supported(call.subject(), "this method");
    switch (verb) {
        case Verb::get: co_return get(call);
        case Verb::list: co_return list(call);
        case Verb::watch: co_return watch(call);
        case Verb::create: co_return co_await create(call);
        case Verb::update: co_return co_await update(call);
        case Verb::patch: co_return co_await patch(call);
        case Verb::remove: co_return co_await remove(call);
        case Verb::remove_collection: co_return co_await remove_collection(call);
    }
    throw unknown_path();
}

}  // namespace kled::api
