#include "apiserver/definitions.h"

#include "apiserver/call.h"
#include "apiserver/custom_schema.h"
#include "base/log.h"

#include <boost/system/system_error.hpp>

#include <algorithm>
#include <utility>

namespace kled::api {

namespace asio = boost::asio;

namespace {

constexpr std::string_view finalizer = "customresourcecleanup.apiextensions.k8s.io";

std::string text(const json::object& object, std::initializer_list<std::string_view> path) {
    return std::string{kube::find_string(object, path)};
}

std::vector<std::string> texts(const json::object& object,
                               std::initializer_list<std::string_view> path) {
    std::vector<std::string> all;
    const auto* list = kube::find(object, path);
    if (list == nullptr || !list->is_array()) return all;
    for (const auto& one : list->get_array()) {
        if (one.is_string()) all.emplace_back(one.get_string());
    }
    return all;
}

bool truth(const json::object& object, std::initializer_list<std::string_view> path) {
    const auto* value = kube::find(object, path);
    return value != nullptr && value->is_bool() && value->get_bool();
}

/// The entries of spec.versions that are objects.
std::vector<const json::object*> versions_of(const kube::Object& definition) {
    std::vector<const json::object*> all;
    const auto* list = kube::find(definition.fields(), {"spec", "versions"});
    if (list == nullptr || !list->is_array()) return all;
    for (const auto& one : list->get_array()) {
        if (one.is_object()) all.push_back(&one.get_object());
    }
    return all;
}

kube::TablePrinter printer_of(const json::object& version) {
    const auto* columns = kube::find(version, {"additionalPrinterColumns"});
    return kube::TablePrinter::of_custom_resource(
        columns != nullptr && columns->is_array() ? columns->get_array() : json::array{});
}

std::shared_ptr<const CustomKind> custom_kind(const kube::GroupVersionKind& gvk,
                                              const json::object& version, bool preserve) {
    auto custom = std::make_shared<CustomKind>();
    if (const auto* schema = kube::find(version, {"schema", "openAPIV3Schema"});
        schema && schema->is_object())
        custom->open_api = schema->get_object();
    custom->schema = std::make_shared<const CustomSchema>(gvk, custom->open_api, preserve);
    custom->printer = printer_of(version);
    if (const auto* fields = kube::find(version, {"selectableFields"});
        fields && fields->is_array()) {
        for (const auto& one : fields->get_array()) {
            if (!one.is_object()) continue;
            auto path = text(one.get_object(), {"jsonPath"});
            if (path.starts_with('.')) path.erase(0, 1);
            custom->selectable_fields.push_back(std::move(path));
        }
    }
    if (const auto* scale = kube::find(version, {"subresources", "scale"});
        scale && scale->is_object()) {
        custom->scale =
            CustomKind::Scale{.spec_replicas = text(scale->get_object(), {"specReplicasPath"}),
                              .status_replicas = text(scale->get_object(), {"statusReplicasPath"}),
                              .label_selector = text(scale->get_object(), {"labelSelectorPath"})};
    }
    return custom;
}

/// Sets a condition; true when it changed.
bool set_condition(json::object& status, std::string_view type, bool value, std::string_view reason,
                   std::string_view message) {
    auto& list = status["conditions"];
    if (!list.is_array()) list = json::array{};
    auto& conditions = list.get_array();
    auto found = std::ranges::find_if(conditions, [&](const json::value& one) {
        return one.is_object() && kube::find_string(one.get_object(), {"type"}) == type;
    });
    const std::string_view wanted = value ? "True" : "False";
    if (found != conditions.end()) {
        const auto& condition = found->get_object();
        if (kube::find_string(condition, {"status"}) == wanted &&
            kube::find_string(condition, {"reason"}) == reason &&
            kube::find_string(condition, {"message"}) == message)
            return false;
    } else {
        conditions.emplace_back(json::object{});
        found = conditions.end() - 1;
    }
    json::object condition;
    condition["type"] = type;
    condition["status"] = wanted;
    condition["lastTransitionTime"] = to_rfc3339(std::chrono::system_clock::now());
    condition["reason"] = reason;
    condition["message"] = message;
    *found = std::move(condition);
    return true;
}

std::string storage_version_of(const kube::Object& definition) {
    for (const auto* version : versions_of(definition)) {
        if (truth(*version, {"storage"})) return text(*version, {"name"});
    }
    return {};
}

}  // namespace

std::vector<FieldError> definition_errors(const kube::Object& definition) {
    std::vector<FieldError> errors;
    using Type = FieldError::Type;
    const auto& fields = definition.fields();
    const auto group = text(fields, {"spec", "group"});
    const auto plural = text(fields, {"spec", "names", "plural"});
    const auto kind = text(fields, {"spec", "names", "kind"});
    const auto scope = text(fields, {"spec", "scope"});
    const auto quote = [](const std::string& value) { return '"' + value + '"'; };
    if (definition.name() != plural + "." + group) {
        errors.push_back({Type::invalid, "metadata.name", quote(std::string{definition.name()}),
                          "must be spec.names.plural+\".\"+spec.group"});
    }
    if (group.empty()) errors.push_back({Type::required, "spec.group", "", ""});
    if (!group.empty() && group.find('.') == std::string::npos)
        errors.push_back({Type::invalid, "spec.group", quote(group),
                          "should be a domain with at least one dot"});
    if (plural.empty()) errors.push_back({Type::required, "spec.names.plural", "", ""});
    if (kind.empty()) errors.push_back({Type::required, "spec.names.kind", "", ""});
    if (scope != "Namespaced" && scope != "Cluster") {
        errors.push_back(scope.empty()
                             ? FieldError{Type::required, "spec.scope", "", ""}
                             : FieldError{Type::not_supported, "spec.scope", quote(scope),
                                          "supported values: \"Cluster\", \"Namespaced\""});
    }
    const auto versions = versions_of(definition);
    std::size_t stored = 0;
    for (std::size_t i = 0; i < versions.size(); ++i) {
        const auto path = "spec.versions[" + std::to_string(i) + "]";
        const auto name = text(*versions[i], {"name"});
        if (name.empty()) errors.push_back({Type::required, path + ".name", "", ""});
        stored += truth(*versions[i], {"storage"}) ? 1 : 0;
        const auto* schema = kube::find(*versions[i], {"schema", "openAPIV3Schema"});
        if (schema == nullptr || !schema->is_object()) {
            errors.push_back(
                {Type::required, path + ".schema.openAPIV3Schema", "", "schemas are required"});
            continue;
        }
        try {
            const CustomSchema compiled{{group, name, kind}, schema->get_object(), false};
        } catch (const Error& error) {
            errors.push_back(
                {Type::invalid, path + ".schema.openAPIV3Schema", "\"\"", error.what()});
        }
    }
    if (versions.empty() || stored != 1) {
        errors.push_back({Type::invalid, "spec.versions", "[]",
                          "must have exactly one version marked as storage version"});
    }
    if (text(fields, {"spec", "conversion", "strategy"}) == "Webhook") {
        errors.push_back({Type::not_supported, "spec.conversion.strategy", "\"Webhook\"",
                          "supported values: \"None\""});
    }
    return errors;
}

std::vector<Resource> resources_of(const kube::Object& definition) {
    const auto& fields = definition.fields();
    std::vector<Resource> resources;
    const auto group = text(fields, {"spec", "group"});
    const auto stored = storage_version_of(definition);
    for (const auto* version : versions_of(definition)) {
        if (!truth(*version, {"served"})) continue;
        Resource resource;
        resource.gvr = {group, text(*version, {"name"}), text(fields, {"spec", "names", "plural"})};
        resource.kind = text(fields, {"spec", "names", "kind"});
        resource.list_kind = text(fields, {"spec", "names", "listKind"});
        resource.singular = text(fields, {"spec", "names", "singular"});
        resource.short_names = texts(fields, {"spec", "names", "shortNames"});
        resource.categories = texts(fields, {"spec", "names", "categories"});
        resource.scope = text(fields, {"spec", "scope"}) == "Cluster" ? kube::Scope::cluster
                                                                      : kube::Scope::namespaced;
        resource.verbs = {"delete", "deletecollection", "get",    "list",
                          "patch",  "create",           "update", "watch"};
        resource.has_status = kube::find(*version, {"subresources", "status"}) != nullptr;
        resource.has_scale = kube::find(*version, {"subresources", "scale"}) != nullptr;
        resource.collection = std::string{definition.name()};
        resource.storage_version = group + "/" + stored;
        resource.custom =
            custom_kind(resource.gvk(), *version, truth(fields, {"spec", "preserveUnknownFields"}));
        resources.push_back(std::move(resource));
    }
    return resources;
}

Definitions::Definitions(asio::any_io_executor executor, Api& api)
    : api_{api},
      wake_{executor},
      subscription_{api.storage(), std::string{definition_collection},
                    [this](const Change& change) { changed(change); }} {
    for (const auto& [key, stored] : api_.storage().collection(definition_collection)) {
        serve(parse_object(stored.bytes));
        served_[key.name] = stored.version;
    }
    wake_.notify();
}

void Definitions::changed(const Change& change) {
    if (change.removed) {
        api_.registry().remove(change.key.name);
        served_.erase(change.key.name);
        return;
    }
    wake_.notify();
}

void Definitions::serve(const kube::Object& definition) {
    auto& registry = api_.registry();
    try {
        auto resources = resources_of(definition);
        registry.remove(definition.name());
        for (auto& resource : resources) registry.add(std::move(resource));
    } catch (const Error& error) {
        // Only a store written by another version can hold a schema that does not compile here.
        log::error("api", "a CustomResourceDefinition is not served",
                   {{"name", definition.name()}, {"error", error.what()}});
    }
}

asio::awaitable<void> Definitions::run() {
    for (;;) {
        co_await wake_.wait();
        std::vector<Key> keys;
        for (const auto& [key, stored] : api_.storage().collection(definition_collection))
            keys.push_back(key);
        for (const auto& key : keys) {
            const auto* stored = api_.storage().find(definition_collection, key);
            if (stored == nullptr) continue;
            const auto definition = parse_object(stored->bytes);
            try {
                if (definition.deleting()) {
                    co_await finalize(key);
                } else if (served_[key.name] != stored->version) {
                    co_await establish(key);
                }
            } catch (const Error& error) {
                log::error("api", "CustomResourceDefinition",
                           {{"name", key.name}, {"error", error.what()}});
            }
        }
    }
}

/// Serve first, then say so: who waits for Established finds the kind.
asio::awaitable<void> Definitions::establish(Key key) {
    const auto resource = api_.registry().of_collection(definition_collection);
    const auto* stored = api_.storage().find(definition_collection, key);
    const auto definition = parse_object(stored->bytes);

    // Names that another definition of the group has are not accepted.
    std::string taken;
    for (const auto& other : api_.registry().collections(false)) {
        if (other->collection == key.name ||
            other->gvr.group != text(definition.fields(), {"spec", "group"}))
            continue;
        if (other->kind == text(definition.fields(), {"spec", "names", "kind"}))
            taken = other->kind;
    }
    if (taken.empty()) serve(definition);
    served_[key.name] = stored->version;
    const Api::Mutate write_status = [&](kube::Object& object) {
        auto& value = object.fields()["status"];
        if (!value.is_object()) value = json::object{};
        auto& status = value.get_object();
        const auto before = status;
        if (taken.empty()) {
            if (const auto* names = kube::find(object.fields(), {"spec", "names"}))
                status["acceptedNames"] = *names;
            const json::value newest(storage_version_of(object));
            auto& versions = status["storedVersions"];
            if (!versions.is_array()) versions = json::array{};
            if (std::ranges::find(versions.get_array(), newest) == versions.get_array().end())
                versions.get_array().push_back(newest);
            set_condition(status, "NamesAccepted", true, "NoConflicts", "no conflicts found");
            set_condition(status, "Established", true, "InitialNamesAccepted",
                          "the initial names have been accepted");
        } else {
            set_condition(status, "NamesAccepted", false, "KindConflict",
                          "\"" + taken + "\" is already in use");
            set_condition(status, "Established", false, "NotAccepted",
                          "not all names are accepted");
        }
        return status != before;
    };
    co_await api_.modify(resource, key, write_status);
    if (const auto* now = api_.storage().find(definition_collection, key))
        served_[key.name] = now->version;
}

/// All its objects go; when the last is gone, so does the definition.
asio::awaitable<void> Definitions::finalize(Key key) {
    const auto resource = api_.registry().of_collection(key.name);
    auto& storage = api_.storage();
    if (resource) {
        std::vector<Key> keys;
        for (const auto& [one, stored] : storage.collection(key.name)) keys.push_back(one);
        for (const auto& one : keys) co_await api_.remove(resource, one);
        while (storage.writing(key.name, "")) co_await storage.any_unlocked();
        if (!storage.collection(key.name).empty()) co_return;  // finalizers hold some
    }
    const Api::Mutate let_go = [](kube::Object& object) {
        auto* list = object.metadata().if_contains("finalizers");
        if (list == nullptr || !list->is_array()) return true;
        auto& finalizers = list->get_array();
        const auto ours = std::ranges::find(finalizers, json::value(finalizer));
        if (ours != finalizers.end()) finalizers.erase(ours);
        return true;
    };
    co_await api_.modify(api_.registry().of_collection(definition_collection), key, let_go);
}

}  // namespace kled::api
