#include "kube/informer.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace kled::kube {

namespace asio = boost::asio;

namespace {

/// What nobody reads here: managedFields is often half of an object.
void strip(Object& object, bool metadata_only) {
    auto& fields = object.fields();
    if (auto* const metadata = fields.if_contains("metadata");
        metadata != nullptr && metadata->is_object())
        metadata->get_object().stable_erase("managedFields");
    if (!metadata_only) return;
    json::object kept;
    for (const auto* name : {"apiVersion", "kind", "metadata"}) {
        if (auto* const value = fields.if_contains(name)) kept[name] = std::move(*value);
    }
    fields = std::move(kept);
}

Object decode(const std::string& encoded) { return Object::from(parse_json(encoded)); }

}  // namespace

std::string object_key(std::string_view ns, std::string_view name) {
    std::string key{ns};
    key += '/';
    return key.append(name);
}

std::string object_key(const Object& object) { return object_key(object.ns(), object.name()); }

Informer::Informer(asio::any_io_executor executor, Client& client, GroupVersionKind gvk,
                   InformerOptions options)
    : client_{client},
      gvk_{std::move(gvk)},
      options_{std::move(options)},
      synced_timer_{std::move(executor), asio::steady_timer::time_point::max()} {}

asio::awaitable<void> Informer::run() { return watch(client_, gvk_, options_.watch, *this); }

asio::awaitable<void> Informer::wait_until_synced() {
    while (!synced_) co_await synced_timer_.async_wait(asio::as_tuple(asio::use_awaitable));
}

void Informer::list_page(std::vector<Object> items, bool first) {
    if (first) ++lists_;
    for (auto& item : items) store(std::move(item));
}

void Informer::list_complete() {
    for (auto entry = entries_.begin(); entry != entries_.end();)
        entry = entry->second.seen == lists_ ? std::next(entry) : remove(entry);
    synced_ = true;
    synced_timer_.cancel();
}

void Informer::changed(Object object) { store(std::move(object)); }

void Informer::deleted(Object object) {
    const auto entry = entries_.find(object_key(object));
    if (entry != entries_.end()) remove(entry);
}

void Informer::store(Object object) {
    const auto key = object_key(object);
    const auto entry = entries_.try_emplace(key).first;
    auto& held = entry->second;
    held.seen = lists_;
    if (!held.version.empty() && held.version == object.resource_version()) return;
    strip(object, options_.metadata_only);
    auto encoded = to_json(object.fields());
    encoded.shrink_to_fit();
    bytes_ += encoded.size();
    bytes_ -= held.encoded.size();
    if (bytes_ > options_.limit_bytes) {
        throw Error{ErrorKind::exhausted, "the cache of " + gvk_.to_string() + " would pass " +
                                              std::to_string(options_.limit_bytes) + " bytes"};
    }
    const auto previous = std::exchange(held.encoded, std::move(encoded));
    held.version = object.resource_version();
    tell(previous.empty() ? Change::Kind::added : Change::Kind::updated, key, object, previous);
}

Informer::Entries::iterator Informer::remove(Entries::iterator entry) {
    const auto key = entry->first;
    const auto last = std::move(entry->second.encoded);
    bytes_ -= last.size();
    const auto next = entries_.erase(entry);
    if (!handlers_.empty()) tell(Change::Kind::removed, key, decode(last), last);
    return next;
}

void Informer::tell(Change::Kind kind, const std::string& key, const Object& object,
                    const std::string& previous) {
    const Change change{.kind = kind, .key = key, .object = object, .previous = previous};
    for (const auto& handler : handlers_) handler(change);
}

std::optional<Object> Informer::get(std::string_view ns, std::string_view name) const {
    const auto entry = entries_.find(object_key(ns, name));
    if (entry == entries_.end()) return std::nullopt;
    return decode(entry->second.encoded);
}

template <typename Visit>
void Informer::each(std::string_view ns, Visit visit) const {
    const auto prefix = ns.empty() ? std::string{} : object_key(ns, {});
    for (auto entry = entries_.lower_bound(prefix);
         entry != entries_.end() && entry->first.starts_with(prefix); ++entry)
        visit(*entry);
}

std::vector<Object> Informer::list(std::string_view ns) const {
    std::vector<Object> objects;
    each(ns, [&](const auto& entry) { objects.push_back(decode(entry.second.encoded)); });
    return objects;
}

std::vector<std::string> Informer::keys(std::string_view ns) const {
    std::vector<std::string> all;
    each(ns, [&](const auto& entry) { all.push_back(entry.first); });
    return all;
}

}  // namespace kled::kube
