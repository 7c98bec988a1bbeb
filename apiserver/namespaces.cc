#include "apiserver/namespaces.h"

#include "apiserver/call.h"
#include "base/log.h"

#include <algorithm>
#include <utility>

namespace kled::api {

namespace asio = boost::asio;

namespace {
constexpr std::string_view collection = "namespaces";
}

Namespaces::Namespaces(asio::any_io_executor executor, Api& api)
    : api_{api},
      wake_{executor},
      subscription_{api.storage(), "", [this](const Change& change) { changed(change); }} {
    for (const auto& [key, stored] : api_.storage().collection(collection)) {
        if (parse_object(stored.bytes).deleting()) terminating_.insert(key.name);
    }
    if (!terminating_.empty()) wake_.notify();
}

void Namespaces::changed(const Change& change) {
    if (change.collection == collection) {
        if (change.removed) {
            terminating_.erase(change.key.name);
        } else if (parse_object(change.object).deleting() &&
                   terminating_.insert(change.key.name).second) {
            wake_.notify();
        }
    } else if (terminating_.contains(change.key.ns)) {
        wake_.notify();  // perhaps the last that was held
    }
}

asio::awaitable<void> Namespaces::bootstrap() {
    for (const auto* name : {"default", "kube-system", "kube-public", "kube-node-lease"}) {
        if (api_.storage().find(collection, Key{"", name}) != nullptr) continue;
        kube::Object object;
        object.fields()["apiVersion"] = "v1";
        object.fields()["kind"] = "Namespace";
        object.set_name(name);
        co_await api_.create(api_.registry().of_collection(collection), std::move(object));
    }
}

asio::awaitable<void> Namespaces::run() {
    for (;;) {
        co_await wake_.wait();
        const auto names = terminating_;
        for (const auto& name : names) {
            try {
                co_await finalize(name);
            } catch (const Error& error) {
                log::error("api", "namespace not finalised",
                           {{"namespace", name}, {"error", error.what()}});
            }
        }
    }
}

asio::awaitable<void> Namespaces::finalize(std::string name) {
    auto& storage = api_.storage();
    auto kinds = api_.registry().collections(true);
    std::ranges::stable_partition(
        kinds, [](const ResourcePtr& kind) { return kind->collection == "pods"; });
    // A write that began before the namespace was marked may still add something.
    while (storage.writing("", name)) co_await storage.any_unlocked();
    std::size_t held = 0;
    for (const auto& kind : kinds) {
        std::vector<Key> keys;
        const auto& objects = storage.collection(kind->collection);
        for (auto it = objects.lower_bound(Key{name, ""});
             it != objects.end() && it->first.ns == name; ++it)
            keys.push_back(it->first);
        for (const auto& key : keys) {
            co_await api_.remove(kind, key);
            held += storage.find(kind->collection, key) != nullptr ? 1 : 0;
        }
    }
    if (held > 0) co_return;  // their owners let go by an update, which wakes us
    const Api::Mutate let_go = [](kube::Object& object) {
        auto* spec = object.fields().if_contains("spec");
        if (spec == nullptr || !spec->is_object()) return true;
        auto* list = spec->get_object().if_contains("finalizers");
        if (list == nullptr || !list->is_array()) return true;
        auto& finalizers = list->get_array();
        const auto ours = std::ranges::find(finalizers, json::value("kubernetes"));
        if (ours != finalizers.end()) finalizers.erase(ours);
        return true;
    };
    const Key key{"", std::move(name)};
    co_await api_.modify(api_.registry().of_collection(collection), key, let_go);
}

}  // namespace kled::api
