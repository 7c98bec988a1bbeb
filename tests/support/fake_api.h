/// A Kubernetes API in memory that behaves (resourceVersions, pages, watches, conflicts) and can be
/// told to misbehave. For tests of what talks to an API server.
#pragma once

#include "base/error.h"
#include "base/signal.h"
#include "kube/object.h"
#include "kube/patch.h"
#include "kube/transport.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <algorithm>
#include <charconv>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace kled::test {

namespace asio = boost::asio;
namespace json = boost::json;

/// Serves v1 ConfigMap, Event and Namespace, apps/v1 Deployment, and kinds that are defined.
class FakeApi final : public kube::Transport {
public:
    explicit FakeApi(asio::any_io_executor executor) : executor_{std::move(executor)} {}

    // ---- what the test does to it

    /// The next requests get these answers instead; status 0: the connection breaks.
    void answer_next(unsigned status, std::string body = {}, net::Headers headers = {}) {
        net::Response response;
        response.status = status;
        response.headers = std::move(headers);
        response.body = std::move(body);
        canned_.push_back(std::move(response));
    }
    /// All watches break in the middle of a line, or end as a server ends them.
    void tear() { end_streams(true); }
    void end() { end_streams(false); }
    /// Forgets all events: an older resourceVersion is "too old".
    void compact() {
        oldest_ = version_;
        events_.clear();
    }
    /// Sends a bookmark to the watches.
    void bookmark() {
        json::object object;
        object["metadata"].emplace_object()["resourceVersion"] = std::to_string(version_);
        record("BOOKMARK", "", std::move(object), version_);
    }
    void put(const std::string& path, json::object object) { store(path, std::move(object)); }
    /// A CustomResourceDefinition. Its kind is served by and by: `serve`, or at once.
    void define(std::string group, std::string resource, std::string kind, bool served = true) {
        json::object names;
        names["kind"] = kind;
        json::object spec;
        spec["group"] = group;
        spec["names"] = std::move(names);
        json::object definition;
        definition["spec"] = std::move(spec);
        const auto path =
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/" + resource + "." + group;
        defined_.push_back({std::move(group), std::move(resource), std::move(kind)});
        if (served) serve();
        put(path, std::move(definition));
    }
    void serve() {
        for (auto& entry : std::exchange(defined_, {})) served_.push_back(std::move(entry));
    }
    /// Custom kinds are not served any more.
    void undefine() { served_.clear(); }
    void erase(const std::string& path) {
        const auto entry = objects_.find(path);
        if (entry == objects_.end()) return;
        auto object = std::move(entry->second);
        objects_.erase(entry);
        object["metadata"].get_object()["resourceVersion"] = std::to_string(++version_);
        record("DELETED", path, std::move(object), version_);
    }
    [[nodiscard]] const json::object& at(const std::string& path) const {
        return objects_.at(path);
    }
    [[nodiscard]] bool has(const std::string& path) const { return objects_.contains(path); }
    [[nodiscard]] std::size_t watches() const {
        return static_cast<std::size_t>(
            std::ranges::count_if(streams_, [](const auto& s) { return !s.expired(); }));
    }
    /// "GET /api/v1/configmaps?limit=2", in order.
    std::vector<std::string> requests;
    std::vector<net::Request> bodies;

    // ---- Transport

    asio::awaitable<net::Response> send(net::Request request) override {
        co_return answer(request);
    }
    asio::awaitable<net::StreamResponse> open(net::Request request) override {
        const auto target = net::parse_target(request.target);
        net::StreamResponse stream;
        const auto version = std::string{target.parameter("resourceVersion").value_or("")};
        const bool too_old = !version.empty() && number(version) < oldest_;
        if (!canned_.empty() || !target.parameter("watch") || too_old) {
            auto response = canned_.empty() && too_old
                                ? failure(410, "Expired", "too old resource version: " + version)
                                : answer(request);
            stream.status = response.status;
            stream.headers = response.headers;
            stream.body = std::make_unique<Canned>(std::move(response.body));
            co_return stream;
        }
        requests.push_back(request.method + " " + request.target);
        auto watch = std::make_shared<Watch>(executor_);
        watch->path = target.path;
        watch->next = number(version) + 1;
        streams_.push_back(watch);
        stream.body = std::make_unique<Live>(*this, std::move(watch));
        co_return stream;
    }

    [[nodiscard]] static net::Response failure(unsigned status, std::string reason,
                                               std::string message) {
        json::object body;
        body["kind"] = "Status";
        body["apiVersion"] = "v1";
        body["status"] = "Failure";
        body["message"] = std::move(message);
        body["reason"] = std::move(reason);
        body["code"] = status;
        net::Response response;
        response.status = status;
        response.body = kube::to_json(body);
        return response;
    }

private:
    struct Event {
        std::uint64_t version;
        std::string path;  // of the object; empty: for every watch
        std::string line;
    };
    struct Watch {
        explicit Watch(const asio::any_io_executor& executor) : wake{executor} {}
        Signal wake;
        std::string path;
        std::uint64_t next = 0;
        bool torn = false;
        bool ended = false;
    };
    class Canned final : public net::BodyStream {
    public:
        explicit Canned(std::string body) : body_{std::move(body)} {}
        asio::awaitable<std::optional<std::string>> next() override {
            if (body_.empty()) co_return std::nullopt;
            co_return std::exchange(body_, {});
        }

    private:
        std::string body_;
    };
    class Live final : public net::BodyStream {
    public:
        Live(FakeApi& api, std::shared_ptr<Watch> watch) : api_{api}, watch_{std::move(watch)} {}
        asio::awaitable<std::optional<std::string>> next() override {
            const auto watch = watch_;
            if (!rest_.empty()) co_return std::exchange(rest_, {});
            for (bool waiting = true; waiting;) {
                if (watch->ended) co_return std::nullopt;
                if (watch->torn) throw Error{ErrorKind::unavailable, "connection reset by peer"};
                for (const auto& event : api_.events_) {
                    const bool ours = event.path.empty() || belongs(event.path, watch->path);
                    if (!ours || event.version < watch->next) continue;
                    watch->next = event.version + 1;
                    // In two pieces, as a network may.
                    rest_ = event.line.substr(event.line.size() / 2);
                    co_return event.line.substr(0, event.line.size() / 2);
                }
                co_await watch->wake.wait();
            }
            co_return std::nullopt;
        }

    private:
        FakeApi& api_;
        std::shared_ptr<Watch> watch_;
        std::string rest_;
    };

    static std::uint64_t number(std::string_view text) {
        std::uint64_t value = 0;
        std::from_chars(text.data(), text.data() + text.size(), value);
        return value;
    }
    static std::string collection(const std::string& path) {
        return path.substr(0, path.rfind('/'));
    }
    /// Whether `path` is an object's of the collection `of`: all namespaces, or one.
    static bool belongs(const std::string& path, const std::string& of) {
        const auto in = collection(path);
        if (in == of) return true;
        const auto split = of.rfind('/');
        const auto& root = of.substr(0, split);
        return in.starts_with(root + "/namespaces/") && in.ends_with(of.substr(split)) &&
               of.find("/namespaces/") == std::string::npos;
    }

    net::Response answer(const net::Request& request) {
        requests.push_back(request.method + " " + request.target);
        bodies.push_back(request);
        if (!canned_.empty()) {
            auto response = std::move(canned_.front());
            canned_.pop_front();
            if (response.status == 0)
                throw Error{ErrorKind::unavailable, "fake: connection refused"};
            return response;
        }
        const auto target = net::parse_target(request.target);
        if (auto document = discovery(target.path)) return ok(*std::move(document));
        if (request.method == "GET") return get(target);
        auto path = target.path;
        for (const auto* subresource : {"/status"}) {
            if (path.ends_with(subresource))
                path.resize(path.size() - std::string_view{subresource}.size());
        }
        if (request.method == "DELETE") {
            if (!has(path)) return failure(404, "NotFound", path + " not found");
            erase(path);
            return ok(json::object{{"kind", "Status"}, {"status", "Success"}});
        }
        auto body = kube::parse_json(request.body).get_object();
        if (request.method == "POST") {
            path += "/" + std::string{kube::find_string(body, {"metadata", "name"})};
            if (has(path)) return failure(409, "AlreadyExists", path + " already exists");
            return ok(store(path, std::move(body)), 201);
        }
        const auto wanted = kube::find_string(body, {"metadata", "resourceVersion"});
        if (has(path) && !wanted.empty() &&
            wanted != kube::find_string(at(path), {"metadata", "resourceVersion"}))
            return failure(409, "Conflict", "the object has been modified");
        if (request.method == "PUT") {
            if (!has(path)) return failure(404, "NotFound", path + " not found");
            return ok(store(path, std::move(body)));
        }
        json::value merged = has(path) ? at(path) : json::object{};
        kube::apply_merge_patch(merged, json::value(std::move(body)));
        return ok(store(path, std::move(merged.get_object())));
    }

    net::Response get(const net::Target& target) {
        if (has(target.path)) return ok(at(target.path));
        const auto last = target.path.substr(target.path.rfind('/') + 1);
        const bool custom =
            std::ranges::any_of(served_, [&](const auto& entry) { return entry.resource == last; });
        if (last != "configmaps" && last != "namespaces" && last != "deployments" &&
            last != "customresourcedefinitions" && !custom)
            return failure(404, "NotFound", target.path + " not found");
        const auto limit = number(target.parameter("limit").value_or("0"));
        const std::string after{target.parameter("continue").value_or("")};
        json::array items;
        std::string next;
        for (const auto& [path, object] : objects_) {
            if (!belongs(path, target.path) || path <= after) continue;
            if (limit > 0 && items.size() == limit) {
                next = kube::find_string(items.back().get_object(), {"path"});
                break;
            }
            auto item = object;
            item.erase("kind");  // as typed lists do
            item.erase("apiVersion");
            item["path"] = path;
            items.emplace_back(std::move(item));
        }
        json::object list;
        list["kind"] = "List";
        auto& metadata = list["metadata"].emplace_object();
        metadata["resourceVersion"] = std::to_string(version_);
        if (!next.empty()) metadata["continue"] = next;
        list["items"] = std::move(items);
        return ok(std::move(list));
    }

    [[nodiscard]] std::optional<json::object> discovery(std::string_view path) const {
        constexpr std::string_view core = R"({"items":[{"metadata":{"name":""},"versions":[
            {"version":"v1","resources":[
              {"resource":"configmaps","responseKind":{"kind":"ConfigMap"},"scope":"Namespaced"},
              {"resource":"events","responseKind":{"kind":"Event"},"scope":"Namespaced"},
              {"resource":"namespaces","responseKind":{"kind":"Namespace"},"scope":"Cluster"}]}]}]})";
        constexpr std::string_view groups = R"({"items":[{"metadata":{"name":"apps"},"versions":[
            {"version":"v1","resources":[
              {"resource":"deployments","responseKind":{"kind":"Deployment"},"scope":"Namespaced"}]}]},
          {"metadata":{"name":"apiextensions.k8s.io"},"versions":[{"version":"v1","resources":[
              {"resource":"customresourcedefinitions","responseKind":{"kind":"CustomResourceDefinition"},
               "scope":"Cluster"}]}]}]})";
        if (path == "/api") return kube::parse_json(core).get_object();
        if (path != "/apis") return std::nullopt;
        auto list = kube::parse_json(groups).get_object();
        for (const auto& entry : served_) {
            list["items"].get_array().push_back(
                kube::parse_json(R"({"metadata":{"name":")" + entry.group +
                                 R"("},"versions":[{"version":"v1","resources":[)"
                                 R"({"resource":")" +
                                 entry.resource + R"(","responseKind":{"kind":")" + entry.kind +
                                 R"("},"scope":"Cluster"}]}]})"));
        }
        return list;
    }

    static net::Response ok(json::object body, unsigned status = 200) {
        net::Response response;
        response.status = status;
        response.headers.set("Content-Type", "application/json");
        response.body = kube::to_json(body);
        return response;
    }

    json::object store(const std::string& path, json::object object) {
        const bool is_new = !has(path);
        auto& metadata = object["metadata"];
        if (!metadata.is_object()) metadata.emplace_object();
        metadata.get_object()["resourceVersion"] = std::to_string(++version_);
        if (is_new) {
            metadata.get_object()["uid"] = "uid-" + std::to_string(version_);
        } else {
            metadata.get_object()["uid"] = kube::find_string(at(path), {"metadata", "uid"});
        }
        objects_[path] = object;
        record(is_new ? "ADDED" : "MODIFIED", path, object, version_);
        return object;
    }

    void record(std::string type, std::string path, json::object object, std::uint64_t version) {
        json::object event;
        event["type"] = std::move(type);
        event["object"] = std::move(object);
        events_.push_back(Event{version, std::move(path), kube::to_json(event) + "\n"});
        for (const auto& stream : streams_) {
            if (const auto watch = stream.lock()) watch->wake.notify();
        }
    }

    void end_streams(bool torn) {
        for (const auto& stream : std::exchange(streams_, {})) {
            const auto watch = stream.lock();
            if (!watch) continue;
            (torn ? watch->torn : watch->ended) = true;
            watch->wake.notify();
        }
    }

    struct Defined {
        std::string group;
        std::string resource;
        std::string kind;
    };

    asio::any_io_executor executor_;
    std::vector<Defined> defined_;  // and not served yet
    std::vector<Defined> served_;
    std::map<std::string, json::object> objects_;  // by path
    std::deque<Event> events_;
    std::deque<net::Response> canned_;
    std::vector<std::weak_ptr<Watch>> streams_;
    std::uint64_t version_ = 10;
    std::uint64_t oldest_ = 0;
};

}  // namespace kled::test
