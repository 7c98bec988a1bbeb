#include "kube/client.h"

#include "base/clock.h"
#include "kube/discovery.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <charconv>

namespace kled::kube {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

constexpr int most_attempts = 5;      // of a request that the server asks to be sent again
constexpr auto most_patience = 30s;   // for one Retry-After
constexpr auto discovery_pause = 1s;  // between two readings of discovery

class Query {
public:
    void add(std::string_view name, std::string_view value) {
        text_ += text_.empty() ? '?' : '&';
        text_.append(name).append("=").append(net::percent_encode(value));
    }
    void add_if(std::string_view name, std::string_view value) {
        if (!value.empty()) add(name, value);
    }
    [[nodiscard]] const std::string& text() const noexcept { return text_; }

private:
    std::string text_;
};

net::Request get_request(std::string target, std::string accept = "application/json") {
    net::Request request;
    request.target = std::move(target);
    request.headers.set("Accept", std::move(accept));
    return request;
}

net::Request body_request(std::string method, std::string target, std::string content_type,
                          const json::value& body) {
    auto request = get_request(std::move(target));
    request.method = std::move(method);
    request.headers.set("Content-Type", std::move(content_type));
    request.body = to_json(body);
    return request;
}

/// How long the server asks us to wait before the same request may succeed.
std::optional<Duration> retry_after(const net::Response& response) {
    if (response.status != 429 && response.status < 500) return std::nullopt;
    const auto text = response.headers.get("Retry-After");
    unsigned seconds = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (text.empty() || error != std::errc{} || end != text.data() + text.size())
        return std::nullopt;
    return std::min<Duration>(std::chrono::seconds{seconds}, most_patience);
}

json::value parse_answer(const net::Response& response, std::string_view what) {
    try {
        return parse_json(response.body);
    } catch (const Error& error) {
        throw Error{ErrorKind::unavailable,
                    std::string{what} + ": the server's answer is not JSON: " + error.what()};
    }
}

Object object_from(const net::Response& response, std::string_view what) {
    auto value = parse_answer(response, what);
    if (!value.is_object()) {
        throw Error{ErrorKind::unavailable,
                    std::string{what} + ": the server's answer is not an object"};
    }
    return Object{std::move(value.get_object())};
}

/// The items of a typed list leave out what the list says once.
Object with_type(json::object&& item, const GroupVersionKind& gvk) {
    if (item.contains("kind")) return Object{std::move(item)};
    json::object fields;
    fields.reserve(item.size() + 2);
    fields["apiVersion"] = gvk.api_version();
    fields["kind"] = gvk.kind;
    for (auto& field : item) fields[field.key()] = std::move(field.value());
    return Object{std::move(fields)};
}

std::string_view media_type(PatchType type) noexcept {
    switch (type) {
        case PatchType::json: return "application/json-patch+json";
        case PatchType::merge: return "application/merge-patch+json";
        case PatchType::strategic: return "application/strategic-merge-patch+json";
    }
    return "application/merge-patch+json";
}

}  // namespace

struct Client::Impl {
    explicit Impl(std::shared_ptr<Transport> t) : transport{std::move(t)} {}

    /// Sends, and sends again when the server asks for it. Throws StatusError for status >= 400.
    asio::awaitable<net::Response> send(net::Request request) {
        asio::steady_timer timer{co_await asio::this_coro::executor};
        auto response = co_await transport->send(request);
        for (int attempt = 1; response.status >= 400; ++attempt) {
            const auto pause = retry_after(response);
            if (!pause || attempt == most_attempts) throw StatusError::from_response(response);
            timer.expires_after(*pause);
            co_await timer.async_wait(asio::use_awaitable);
            response = co_await transport->send(request);
        }
        co_return response;
    }

    asio::awaitable<Discovery> read_discovery() {
        constexpr auto* aggregated =
            "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
        Discovery found;
        for (const auto* root : {"/api", "/apis"}) {
            const std::string path = root;
            const auto response = co_await send(get_request(path, aggregated));
            const auto document = parse_answer(response, path);
            if (kube::find(document, {"items"}) != nullptr) {
                found.add_aggregated(document);
                continue;
            }
            for (const auto& version : listed_versions(document)) {
                const auto at = path + "/" + version;
                // One extension API server that is down does not hide the others.
                const auto answer = co_await transport->send(get_request(at));
                if (answer.status == 200) found.add_version(version, parse_answer(answer, at));
            }
        }
        co_return found;
    }

    /// Reads discovery, or waits for the task that does; false: it was read just now.
    asio::awaitable<bool> refresh() {
        const auto executor = co_await asio::this_coro::executor;
        if (reading) {
            const auto other = reading;
            co_await other->async_wait(asio::as_tuple(asio::use_awaitable));
            co_return true;
        }
        if (SteadyTime::clock::now() < next_reading) co_return false;
        struct Reading {
            Impl& client;
            ~Reading() {
                client.reading->cancel();
                client.reading.reset();
            }
        };
        reading = std::make_shared<asio::steady_timer>(executor, SteadyTime::max());
        const Reading guard{*this};
        discovery = co_await read_discovery();
        next_reading = SteadyTime::clock::now() + discovery_pause;
        co_return true;
    }

    asio::awaitable<Mapping> require(const GroupVersionKind& gvk) {
        auto mapping = discovery.find(gvk);
        while (!mapping) {
            const bool read = co_await refresh();
            mapping = discovery.find(gvk);
            if (!mapping && !read) {
                throw Error{ErrorKind::not_found,
                            gvk.to_string() + " is not served by the API server"};
            }
        }
        co_return *std::move(mapping);
    }

    /// The path of one object; `ns` where the kind has one.
    asio::awaitable<std::string> path_of(const GroupVersionKind& gvk, std::string ns,
                                         std::string name) {
        const auto mapping = co_await require(gvk);
        if (mapping.scope == Scope::namespaced && ns.empty()) {
            throw Error{ErrorKind::invalid,
                        gvk.kind + " " + name + " needs a namespace: its kind is namespaced"};
        }
        auto path = Client::path(mapping, ns);
        if (!name.empty()) path += "/" + net::percent_encode(name);
        co_return path;
    }

    asio::awaitable<Object> send_object(net::Request request) {
        const auto what = request.method + " " + request.target.substr(0, request.target.find('?'));
        const auto response = co_await send(std::move(request));
        co_return object_from(response, what);
    }

    std::shared_ptr<Transport> transport;
    Discovery discovery;
    SteadyTime next_reading = SteadyTime::min();
    std::shared_ptr<asio::steady_timer> reading;  // set while a task reads; cancelled at its end
};

Client::Client(std::shared_ptr<Transport> transport)
    : impl_{std::make_unique<Impl>(std::move(transport))} {}
Client::~Client() = default;

Transport& Client::transport() noexcept { return *impl_->transport; }

std::string Client::path(const Mapping& mapping, const std::string& ns) {
    const auto& r = mapping.resource;
    auto path = r.group.empty() ? "/api/" + r.version : "/apis/" + r.group + "/" + r.version;
    if (mapping.scope == Scope::namespaced && !ns.empty())
        path += "/namespaces/" + net::percent_encode(ns);
    return path + "/" + r.resource;
}

asio::awaitable<std::optional<Mapping>> Client::map(const GroupVersionKind& gvk) {
    const auto wanted = gvk;
    try {
        if (!wanted.version.empty()) co_return co_await impl_->require(wanted);
    } catch (const Error& error) {
        if (error.kind() != ErrorKind::not_found) throw;
        co_return std::nullopt;
    }
    ObjectId id;
    id.group = wanted.group;
    id.kind = wanted.kind;
    co_return co_await map(id);
}

asio::awaitable<std::optional<Mapping>> Client::map(const ObjectId& id) {
    const auto group = id.group;
    const auto kind = id.kind;
    auto mapping = impl_->discovery.find(group, kind);
    for (bool read = true; !mapping && read;) {
        read = co_await impl_->refresh();
        mapping = impl_->discovery.find(group, kind);
    }
    co_return mapping;
}

void Client::discovery_changed() noexcept { impl_->next_reading = SteadyTime{}; }

asio::awaitable<std::optional<Object>> Client::get(const GroupVersionKind& gvk,
                                                   const std::string& ns, const std::string& name) {
    const auto path = co_await impl_->path_of(gvk, ns, name);
    try {
        co_return co_await impl_->send_object(get_request(path));
    } catch (const StatusError& error) {
        if (error.code() != 404) throw;
    }
    co_return std::nullopt;
}

asio::awaitable<Client::List> Client::list(const GroupVersionKind& gvk,
                                           const ListOptions& options) {
    List list;
    const PageSink sink = [&list](std::vector<Object> items, bool first) {
        if (first) list.items.clear();
        std::ranges::move(items, std::back_inserter(list.items));
    };
    list.resource_version = co_await each_page(gvk, options, sink);
    co_return list;
}

std::string ListOptions::accepted(bool of_list) const {
    if (!metadata_only) return "application/json";
    // A server of others' kinds may not know the short form.
    return of_list ? "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,"
                     "application/json"
                   : "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,"
                     "application/json";
}

asio::awaitable<std::string> Client::each_page(const GroupVersionKind& gvk,
                                               const ListOptions& options, PageSink sink) {
    const auto mapping = co_await impl_->require(gvk);
    const auto path = Client::path(mapping, options.ns);
    std::string version;
    std::string next;
    auto page = options.page;
    for (bool more = true, first = true; more;) {
        Query query;
        query.add_if("labelSelector", options.label_selector);
        query.add_if("fieldSelector", options.field_selector);
        if (page > 0) query.add("limit", std::to_string(page));
        query.add_if("continue", next);
        std::optional<Object> answer;
        try {
            auto request = get_request(path + query.text());
            request.headers.set("Accept", options.accepted(true));
            answer = co_await impl_->send_object(std::move(request));
        } catch (const StatusError& error) {
            if (error.code() != 410 || next.empty()) throw;
        }
        if (!answer) {
            // It grew too old between two pages: once more, and whole.
            next.clear();
            page = 0;
            first = true;
            continue;
        }
        auto& fields = answer->fields();
        next = find_string(fields, {"metadata", "continue"});
        version = find_string(fields, {"metadata", "resourceVersion"});
        more = !next.empty();
        std::vector<Object> objects;
        if (auto* const items = fields.if_contains("items");
            items != nullptr && items->is_array()) {
            for (auto& item : items->get_array()) {
                if (item.is_object())
                    objects.push_back(with_type(std::move(item.get_object()), gvk));
            }
        }
        sink(std::move(objects), std::exchange(first, false));
    }
    co_return version;
}

asio::awaitable<Object> Client::create(const Object& object) {
    const auto body = object.fields();
    const auto path = co_await impl_->path_of(object.gvk(), std::string{object.ns()}, {});
    co_return co_await impl_->send_object(body_request("POST", path, "application/json", body));
}

asio::awaitable<Object> Client::update(const Object& object) { return put(object, {}); }

asio::awaitable<Object> Client::update_status(const Object& object) {
    return put(object, "/status");
}

asio::awaitable<Object> Client::put(Object object, std::string subresource) {
    auto path =
        co_await impl_->path_of(object.gvk(), std::string{object.ns()}, std::string{object.name()});
    path += subresource;
    co_return co_await impl_->send_object(
        body_request("PUT", path, "application/json", object.fields()));
}

asio::awaitable<Object> Client::patch(const GroupVersionKind& gvk, const std::string& ns,
                                      const std::string& name, PatchType type,
                                      const json::value& patch, const std::string& subresource) {
    const auto body = patch;
    const auto below = subresource.empty() ? subresource : "/" + subresource;
    auto path = co_await impl_->path_of(gvk, ns, name);
    path += below + "?fieldManager=kled";
    co_return co_await impl_->send_object(
        body_request("PATCH", path, std::string{media_type(type)}, body));
}

asio::awaitable<Object> Client::apply(const Object& object, const ApplyOptions& options,
                                      const std::string& subresource) {
    const auto body = object.fields();
    Query query;
    query.add("fieldManager", options.field_manager);
    query.add("force", options.force ? "true" : "false");
    if (options.dry_run) query.add("dryRun", "All");
    const auto below = subresource.empty() ? subresource : "/" + subresource;
    auto path =
        co_await impl_->path_of(object.gvk(), std::string{object.ns()}, std::string{object.name()});
    path += below + query.text();
    co_return co_await impl_->send_object(
        body_request("PATCH", path, "application/apply-patch+yaml", body));
}

asio::awaitable<bool> Client::remove(const GroupVersionKind& gvk, const std::string& ns,
                                     const std::string& name, const DeleteOptions& options) {
    json::object body;
    body["apiVersion"] = "v1";
    body["kind"] = "DeleteOptions";
    body["propagationPolicy"] = options.propagation;
    if (!options.uid.empty()) body["preconditions"].emplace_object()["uid"] = options.uid;
    if (options.dry_run) body["dryRun"].emplace_array().emplace_back("All");
    const auto path = co_await impl_->path_of(gvk, ns, name);
    try {
        (void)co_await impl_->send(body_request("DELETE", path, "application/json", body));
    } catch (const StatusError& error) {
        if (error.code() != 404) throw;
        co_return false;
    }
    co_return true;
}

}  // namespace kled::kube
