#include "gitops/store/file_store.h"

#include "base/error.h"
#include "base/log.h"
#include "base/retry.h"
#include "crypto/hash.h"
#include "gitops/objects/annotations.h"
#include "gitops/objects/source_kinds.h"
#include "gitops/pipeline/pipeline.h"
#include "kube/names.h"
#include "kube/watch.h"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <cctype>
#include <random>
#include <utility>

namespace kled::gitops {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

constexpr std::string_view state_prefix = "kled-gitops.";
const kube::GroupVersionKind config_map{.group = "", .version = "v1", .kind = "ConfigMap"};
const kube::GroupVersionKind namespace_kind{.group = "", .version = "v1", .kind = "Namespace"};
constexpr std::size_t name_limit = 253;

std::string lower(std::string text) {
    std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::tolower(c); });
    return text;
}

kube::Object root(std::string_view api_version, std::string_view kind, const std::string& ns,
                  const std::string& name, json::object spec) {
    json::object metadata;
    metadata["name"] = name;
    metadata["namespace"] = ns;
    json::object fields;
    fields["apiVersion"] = api_version;
    fields["kind"] = kind;
    fields["metadata"] = std::move(metadata);
    fields["spec"] = std::move(spec);
    return kube::Object{std::move(fields)};
}

void set(json::object& object, std::string_view key, const std::string& value) {
    if (!value.empty()) object[key] = value;
}

bool same_spec(const kube::Object& a, const kube::Object& b) {
    const auto* x = a.spec();
    const auto* y = b.spec();
    return (x == nullptr) == (y == nullptr) && (x == nullptr || *x == *y);
}

}  // namespace

namespace {

/// Without a copy: the inventory in it may be large.
std::string text_of(kube::Object& object) {
    struct Borrowed {
        explicit Borrowed(json::object& fields) : owner{fields}, value(std::move(fields)) {}
        ~Borrowed() { owner = std::move(value.get_object()); }
        Borrowed(const Borrowed&) = delete;
        Borrowed& operator=(const Borrowed&) = delete;
        json::object& owner;
        json::value value;
    };
    const Borrowed borrowed{object.fields()};
    return kube::to_json(borrowed.value);
}

/// What is asked for by the annotations of the ConfigMap.
std::map<std::string, std::string> wishes_of(const kube::Object& state) {
    auto wishes = own_annotations_of(state);
    if (const auto request = state.annotation(requested_at); !request.empty())
        wishes.emplace(requested_at, request);
    return wishes;
}

/// The same in the object itself.
void wish(kube::Object& object, const std::map<std::string, std::string>& wishes) {
    for (const auto& [key, value] : wishes) {
        if (key != suspend_annotation) {
            object.set_annotation(key, value);
            continue;
        }
        auto* spec = object.fields().if_contains("spec");
        if (value == "true" && spec != nullptr && spec->is_object())
            spec->get_object()["suspend"] = true;
    }
}

}  // namespace

std::optional<kube::Object> kept_object(const kube::Object& state) {
    try {
        auto object = kube::Object::from(
            kube::parse_json(kube::find_string(state.fields(), {"data", "object"})));
        wish(object, wishes_of(state));
        return object;
    } catch (const Error&) {
        return std::nullopt;
    }
}

FileStore::FileStore(kube::Client& client, Options options)
    : client_{client}, options_{std::move(options)} {
    states_.ns = options_.state_namespace;
    states_.label_selector = std::string{state_label} + "=true";
}

bool FileStore::keeps(const kube::ObjectId& id) const {
    return (is_own_source_kind(id.kind) && id.group == source_group) ||
           (id.kind == "Kustomization" && id.group == kustomize_group) ||
           (id.kind == pipeline_kind && id.group == pipeline_group) ||
           options_.target_kinds.contains(id.kind);
}

std::string FileStore::state_name(const Key& key) const {
    auto name = std::string{state_prefix} + lower(key.kind) + "." + key.ns + "." + key.name;
    if (name.size() > name_limit)
        name = std::string{state_prefix} + crypto::sha256_hex(key.to_string()).substr(0, 40);
    return name;
}

bool FileStore::is_state(const Manifest& manifest) const {
    return manifest.gvk() == config_map && manifest.id.ns == options_.state_namespace &&
           (manifest.id.name.starts_with(state_prefix) ||
            !manifest.decode().label(state_label).empty());
}

asio::awaitable<void> FileStore::run(Listener& listener) {
    listener_ = &listener;
    asio::steady_timer timer{co_await asio::this_coro::executor};
    const Backoff::Options often{.first = Duration{500}, .limit = Duration{10'000}};
    Backoff backoff{often, std::random_device{}()};
    bool first = true;
    for (bool read = false; !read;) {
        try {
            const auto states = co_await client_.list(config_map, states_);
            kept_.clear();
            for (const auto& state : states.items) load(state);
            read = true;
        } catch (const Error& error) {
            // The API of this very process is a moment later than we are. What is there and cannot
            // be read somebody has to mend, through that API: so this waits for it.
            const bool bad = error.kind() == ErrorKind::invalid;
            const auto other = std::exchange(first, false) ? log::Level::debug : log::Level::warn;
            log::write(bad ? log::Level::error : other, "gitops",
                       std::string{"reading the state: "} + error.what());
        }
        if (read) break;
        timer.expires_after(backoff.next());
        co_await timer.async_wait(asio::use_awaitable);
    }
    begin();
    co_await watch();
}

void FileStore::load(const kube::Object& state) {
    const std::string text{kube::find_string(state.fields(), {"data", "object"})};
    try {
        auto object = kube::Object::from(kube::parse_json(text));
        const auto key = key_of(object);
        kept_.insert_or_assign(
            key, Kept{.object = std::move(object),
                      .wishes = wishes_of(state),
                      .owner = std::string{kube::find_string(state.fields(), {"data", "owner"})},
                      .stored = text});
    } catch (const Error& error) {
        // To begin anew would be to forget what was brought, and never to prune it.
        throw Error{
            ErrorKind::invalid,
            "ConfigMap " + options_.state_namespace + "/" + std::string{state.name()} +
                ", where kled keeps what it knows, cannot be read: data.object: " + error.what() +
                "; put it right, or delete it: what Git has dropped since then stays"};
    }
}

void FileStore::begin() {
    json::object repository;
    repository["url"] = options_.url;
    repository["interval"] = format_duration(options_.interval);
    json::object ref;
    set(ref, "branch", options_.reference.branch);
    set(ref, "tag", options_.reference.tag);
    set(ref, "name", options_.reference.name);
    set(ref, "commit", options_.reference.commit);
    repository["ref"] = std::move(ref);
    if (!options_.secret_name.empty()) repository["secretRef"] = {{"name", options_.secret_name}};
    json::object kustomization;
    kustomization["interval"] = "10m";
    kustomization["path"] = options_.path;
    kustomization["prune"] = true;
    kustomization["sourceRef"] = {{"kind", "GitRepository"}, {"name", options_.name}};
    auto source = root("source.toolkit.fluxcd.io/v1", "GitRepository", options_.ns, options_.name,
                       std::move(repository));
    auto work = root("kustomize.toolkit.fluxcd.io/v1", "Kustomization", options_.ns, options_.name,
                     std::move(kustomization));
    for (auto* object : {&source, &work}) {
        const auto key = key_of(*object);
        take(key, std::move(*object), "");
    }
    // Those from before go on while the repository is looked at again.
    for (const auto& [key, kept] : kept_) tell(key);
    const auto told = [this](std::string_view kind) {
        listener_->known(kind);
        listener_->listed(kind, {});
    };
    for (const auto kind : own_source_kinds) told(kind);
    told("Kustomization");
    for (const auto& kind : options_.target_kinds) told(kind);
}

/// Sees the annotations by which users ask for something.
class FileStore::Wishes : public kube::WatchHandler {
public:
    explicit Wishes(FileStore& store) : store_{store} {}
    void list_page(std::vector<kube::Object> items, bool) override {
        for (const auto& item : items) store_.read_wishes(item);
    }
    void list_complete() override {}
    void changed(kube::Object object) override { store_.read_wishes(object); }
    void deleted(kube::Object) override {}

private:
    FileStore& store_;
};

asio::awaitable<void> FileStore::watch() {
    Wishes wishes{*this};
    kube::WatchOptions options;
    options.list = states_;
    co_await kube::watch(client_, config_map, options, wishes);
}

bool FileStore::take(const Key& key, kube::Object object, const std::string& owner) {
    auto& kept = kept_[key];
    const auto generation = kept.object.generation();
    const bool same = same_spec(kept.object, object) && !kept.object.deleting() && generation > 0;
    const std::string created{
        kube::find_string(kept.object.fields(), {"metadata", "creationTimestamp"})};
    object.metadata()["creationTimestamp"] =
        created.empty() ? to_rfc3339(std::chrono::system_clock::now()) : created;
    object.metadata()["generation"] = same ? generation : generation + 1;
    if (const auto* status = kept.object.fields().if_contains("status"))
        object.fields()["status"] = *status;
    kept.owner = owner;
    const bool changed = !(kept.object == object);
    kept.object = std::move(object);
    return changed;
}

asio::awaitable<void> FileStore::store(const Key& key) {
    const auto found = kept_.find(key);
    if (found == kept_.end()) co_return;
    auto text = text_of(found->second.object);
    if (text == found->second.stored) co_return;
    json::object labels;
    labels[state_label] = "true";
    json::object metadata;
    metadata["name"] = state_name(key);
    metadata["namespace"] = options_.state_namespace;
    metadata["labels"] = std::move(labels);
    json::object data;
    data["object"] = text;
    data["owner"] = found->second.owner;
    json::object fields;
    fields["apiVersion"] = "v1";
    fields["kind"] = "ConfigMap";
    fields["metadata"] = std::move(metadata);
    fields["data"] = std::move(data);
    const kube::Object state{std::move(fields)};
    kube::ApplyOptions apply;
    apply.field_manager = "kled-gitops";
    std::optional<kube::StatusError> refused;
    try {
        co_await client_.apply(state, apply);
    } catch (const kube::StatusError& error) {
        if (error.kind() != ErrorKind::not_found) throw;
        refused = error;
    }
    if (refused) {  // the namespace is not there yet
        json::object ns_metadata;
        ns_metadata["name"] = options_.state_namespace;
        json::object ns_fields;
        ns_fields["apiVersion"] = "v1";
        ns_fields["kind"] = "Namespace";
        ns_fields["metadata"] = std::move(ns_metadata);
        const kube::Object ns{std::move(ns_fields)};
        co_await client_.apply(ns, apply);
        co_await client_.apply(state, apply);
    }
    if (const auto again = kept_.find(key); again != kept_.end())
        again->second.stored = std::move(text);
}

/// What the target says, with the one condition that is ours beside it.
void FileStore::show_report(const Key& key, kube::Object& object) const {
    const auto found = reported_.find(key);
    if (found == reported_.end()) return;
    auto status = found->second;
    auto conditions = Conditions::from_status(&status);
    const auto ours = Conditions::from_status(object.status());
    if (const auto* rendered = ours.find("Rendered")) conditions.put(*rendered);
    status["conditions"] = conditions.to_json();
    object.fields()["status"] = std::move(status);
}

void FileStore::tell(const Key& key) {
    const auto found = kept_.find(key);
    if (found == kept_.end()) return;
    show_report(key, found->second.object);
    auto object = found->second.object;
    wish(object, found->second.wishes);
    listener_->changed(std::move(object));
}

void FileStore::read_wishes(const kube::Object& state) {
    const auto found = std::ranges::find_if(
        kept_, [&](const auto& entry) { return state_name(entry.first) == state.name(); });
    if (found == kept_.end()) return;
    auto& [key, kept] = *found;
    auto wishes = wishes_of(state);
    if (kept.wishes == wishes) return;
    kept.wishes = std::move(wishes);
    tell(key);
}

asio::awaitable<void> FileStore::drop(const Key& key) {
    kept_.erase(key);
    reported_.erase(key);
    listener_->removed(key);
    const kube::DeleteOptions options;
    const auto name = state_name(key);
    co_await client_.remove(config_map, options_.state_namespace, name, options);
}

asio::awaitable<void> FileStore::write_status(kube::Object object) {
    const auto key = key_of(object);
    const auto found = kept_.find(key);
    if (found == kept_.end()) throw Error{ErrorKind::not_found, key.to_string() + " is gone"};
    if (auto* status = object.fields().if_contains("status"))
        found->second.object.fields()["status"] = std::move(*status);
    co_await store(key);
}

asio::awaitable<void> FileStore::annotate(const kube::Object& object,
                                          const std::map<std::string, std::string>& annotations) {
    const auto key = key_of(object);
    const auto name = state_name(key);
    const std::string whole;
    const json::value patch(annotation_patch(annotations));
    co_await client_.patch(config_map, options_.state_namespace, name, kube::PatchType::merge,
                           patch, whole);
    // The object may be told of again before the watch tells of this.
    if (const auto found = kept_.find(key); found != kept_.end())
        for (const auto& [wish, value] : annotations)
            found->second.wishes.insert_or_assign(wish, value);
}

void FileStore::report(const Key& key, json::object status) {
    auto& known = reported_[key];
    if (known == status) return;
    known = std::move(status);
    if (listener_ != nullptr) tell(key);
}

asio::awaitable<void> FileStore::hold(const kube::Object&) { co_return; }

asio::awaitable<void> FileStore::release(const kube::Object& object) {
    const auto key = key_of(object);
    const auto found = kept_.find(key);
    if (found == kept_.end()) co_return;
    if (found->second.object.deleting()) {
        co_await drop(key);
    } else {
        // It was declared again meanwhile: it begins anew.
        auto& fields = found->second.object.fields();
        if (const auto* status = fields.find("status"); status != fields.end())
            fields.stable_erase(status);
        listener_->removed(key);
        tell(key);
    }
}

asio::awaitable<void> FileStore::declare(const Key& owner, Manifests& objects) {
    const Key root_source{.kind = "GitRepository", .ns = options_.ns, .name = options_.name};
    const Key root_work{.kind = "Kustomization", .ns = options_.ns, .name = options_.name};
    const auto owner_text = owner.to_string();
    std::set<Key> declared;
    Manifests rest;
    std::vector<kube::Object> wanted;
    for (auto& manifest : objects) {
        if (is_state(*manifest)) {
            throw Error{
                ErrorKind::invalid,
                manifest->place + ": ConfigMap " + manifest->id.ns + "/" + manifest->id.name +
                    " is where kled keeps what it knows, and no file's: take another name" +
                    " or namespace, and leave the label " + std::string{state_label} + " away"};
        }
        if (!keeps(manifest->id)) {
            rest.push_back(std::move(manifest));
            continue;
        }
        auto object = manifest->decode();
        if (object.ns().empty()) object.set_namespace(options_.ns);
        const auto key = key_of(object);
        // Both become parts of file names and of ConfigMap names.
        for (const auto& name : {key.ns, key.name}) {
            if (const auto problems = kube::check_dns1123_subdomain(name); !problems.empty()) {
                throw Error{ErrorKind::invalid, manifest->place + ": metadata: '" + name +
                                                    "' is no name: " + problems.front()};
            }
        }
        if (key == root_source || key == root_work) continue;  // this is how we got here
        const auto other = kept_.find(key);
        if (other != kept_.end() && other->second.owner != owner_text &&
            !other->second.object.deleting()) {
            throw Error{ErrorKind::invalid, manifest->place + ": " + key.to_string() +
                                                " comes from " + other->second.owner + " already"};
        }
        declared.insert(key);
        wanted.push_back(std::move(object));
    }
    objects = std::move(rest);

    std::vector<Key> gone;
    for (const auto& [key, kept] : kept_) {
        if (kept.owner == owner_text && !declared.contains(key) && !kept.object.deleting())
            gone.push_back(key);
    }
    for (auto& object : wanted) {
        const auto key = key_of(object);
        if (!take(key, std::move(object), owner_text)) continue;
        co_await store(key);
        tell(key);
    }
    for (const auto& key : gone) {
        if (is_source_kind(key.kind) ||
            key.kind == pipeline_kind) {  // has brought nothing that must be taken away
            co_await drop(key);
            continue;
        }
        const auto found = kept_.find(key);
        if (found == kept_.end()) continue;
        found->second.object.metadata()["deletionTimestamp"] =
            to_rfc3339(std::chrono::system_clock::now());
        co_await store(key);
        tell(key);
    }
}

}  // namespace kled::gitops
