// create, update, patch, delete, deletecollection.
#include "apiserver/call.h"
#include "apiserver/custom_schema.h"
#include "apiserver/definitions.h"
#include "apiserver/objects.h"
#include "apiserver/ownership.h"
#include "apiserver/typed.h"
#include "base/log.h"
#include "kube/patch.h"
#include "kube/yaml.h"

#include <algorithm>
#include <array>
#include <utility>

namespace kled::api {

namespace asio = boost::asio;

namespace {

constexpr std::string_view json_patch_type = "application/json-patch+json";
constexpr std::string_view merge_patch_type = "application/merge-patch+json";
constexpr std::string_view strategic_patch_type = "application/strategic-merge-patch+json";
constexpr std::string_view apply_patch_type = "application/apply-patch+yaml";

constexpr std::string_view crd_finalizer = "customresourcecleanup.apiextensions.k8s.io";

/// Namespaces upstream never lets go (plugin/namespace/lifecycle).
constexpr std::array<std::string_view, 3> lasting_namespaces{"default", "kube-system",
                                                             "kube-public"};

std::string_view media_type(std::string_view content_type) {
    auto type = content_type.substr(0, content_type.find(';'));
    while (!type.empty() && type.back() == ' ') type.remove_suffix(1);
    return type;
}

Refusal unknown_format(std::string_view accepted) {
    return unsupported_media_type(
        "the body of the request was in an unknown format - accepted media types include: " +
        std::string{accepted});
}

std::string joined(const std::vector<std::string>& parts) {
    std::string text;
    for (const auto& part : parts) text += (text.empty() ? "" : ", ") + part;
    return text;
}

bool held(const kube::Object& object, const Resource& resource) {
    if (has_finalizers(object)) return true;
    if (resource.collection != "namespaces") return false;
    const auto* finalizers = kube::find(object.fields(), {"spec", "finalizers"});
    return finalizers != nullptr && finalizers->is_array() && !finalizers->get_array().empty();
}

void mark_deleted(kube::Object& object, const Resource& resource) {
    auto& metadata = object.metadata();
    metadata["deletionTimestamp"] = to_rfc3339(std::chrono::system_clock::now());
    if (resource.collection == "namespaces") {
        auto& status = object.fields()["status"];
        if (!status.is_object()) status = json::object{};
        status.as_object()["phase"] = "Terminating";
        return;
    }
    metadata["deletionGracePeriodSeconds"] = 0;
    if (object.generation() > 0) metadata["generation"] = object.generation() + 1;
}

void check_version(const Subject& subject, const kube::Object& object,
                   const kube::Object& current) {
    if (!object.uid().empty() && object.uid() != current.uid()) {
        throw conflict(subject,
                       "Precondition failed: UID in precondition: " + std::string{object.uid()} +
                           ", UID in object meta: " + std::string{current.uid()});
    }
    const auto version = object.resource_version();
    if (!version.empty() && version != "0" && version != current.resource_version())
        throw modified(subject);
}

Answer deleted_answer(const Subject& subject, std::string_view uid) {
    json::object details;
    details["name"] = subject.name;
    if (!subject.group.empty()) details["group"] = subject.group;
    details["kind"] = subject.resource;
    details["uid"] = uid;
    json::object status;
    status["kind"] = "Status";
    status["apiVersion"] = "v1";
    status["metadata"] = json::object{};
    status["status"] = "Success";
    status["details"] = std::move(details);
    return json_answer(200, kube::to_json(status));
}

}  // namespace

json::value Api::parse_body(const Call& call, std::vector<std::string>& problems) {
    const auto type = media_type(call.request.headers.get("Content-Type"));
    const auto& body = call.request.body;
    if (type == "application/yaml" || type == apply_patch_type) {
        const auto start = body.find_first_not_of(" \t\r\n");
        if (start == std::string::npos || body[start] != '{') {
            kube::YamlOptions options;
            options.dialect = kube::YamlDialect::configuration;
            return kube::parse_yaml(body, options);
        }
    } else if (type == "application/vnd.kubernetes.protobuf") {
        throw unsupported_media_type(
            "the body of the request was in an unknown format - this server does not read "
            "application/vnd.kubernetes.protobuf yet; accepted media types include: "
            "application/json, application/yaml");
    } else if (type != "application/json" && !type.empty() && type != json_patch_type &&
               type != merge_patch_type && type != strategic_patch_type) {
        throw unknown_format("application/json, application/yaml");
    }
    auto value = kube::parse_json(body);
    problems = duplicate_fields(body);
    return value;
}

kube::Object Api::decode(Call& call, json::value value, const WriteOptions& options,
                         std::vector<std::string> problems) {
    if (!value.is_object()) throw bad_request("the body of the request is not an object");
    auto object = kube::Object::from(std::move(value));
    const auto& resource = *call.resource;
    match_path(object, resource, call.path.ns, call.path.name);
    auto unknown = resource.custom ? resource.custom->schema->prune(object.fields())
                                   : conform(object.fields(), resource.gvk());
    problems.insert(problems.end(), unknown.begin(), unknown.end());
    if (!problems.empty()) {
        if (options.validation == FieldValidation::strict) {
            throw bad_request(resource.kind + " in version \"" + resource.gvr.version +
                              "\" cannot be handled as a " + resource.kind +
                              ": strict decoding error: " + joined(problems));
        }
        if (options.validation == FieldValidation::warn)
            call.warnings.insert(call.warnings.end(), problems.begin(), problems.end());
    }
    if (resource.custom) {
        resource.custom->schema->fill_defaults(object.fields());
    } else {
        fill_defaults(object.fields(), resource.gvk());
    }
    return object;
}

void Api::check(const Call& call, const kube::Object& object, const kube::Object* current) {
    const auto& resource = *call.resource;
    std::vector<FieldError> errors;
    if (call.path.subresource.empty()) {
        errors = metadata_errors(object, resource);
        if (current != nullptr) {
            auto more = update_errors(object, *current);
            errors.insert(errors.end(), more.begin(), more.end());
        }
    }
    if (resource.custom) {
        auto more = resource.custom->schema->validate(object.fields());
        errors.insert(errors.end(), more.begin(), more.end());
    } else if (resource.collection == definition_collection) {
        auto more = definition_errors(object);
        errors.insert(errors.end(), more.begin(), more.end());
    }
    if (!errors.empty()) throw invalid(resource.kind, resource.gvr.group, object.name(), errors);
}

asio::awaitable<void> Api::admit(Call& call, kube::Operation operation, kube::Object& object,
                                 const kube::Object* current, bool dry_run) {
    if (!admission_) co_return;
    kube::AdmissionRequest request;
    request.operation = operation;
    request.object = object;
    if (current != nullptr) request.old_object = *current;
    request.user = call.user.name;
    request.groups = call.user.groups;
    request.dry_run = dry_run;
    auto verdict = co_await admission_->judge(request);
    if (!verdict.allowed) throw forbidden(call.resource->subject(object.name()), verdict.message);
    std::ranges::move(verdict.warnings, std::back_inserter(call.warnings));
    if (verdict.mutated) object = std::move(*verdict.mutated);
}

void Api::require_namespace(const Resource& resource, const std::string& ns,
                            const std::string& name) {
    if (!resource.namespaced()) return;
    const auto* stored = storage_.find("namespaces", Key{"", ns});
    if (stored == nullptr) throw not_found({"", "namespaces", ns});
    if (!parse_object(stored->bytes).deleting()) return;
    const auto subject = resource.subject(name);
    auto refusal = forbidden(subject, "unable to create new content in namespace " + ns +
                                          " because it is being terminated");
    auto details = refusal.details();
    details.causes.push_back(
        {"NamespaceTerminating", "namespace " + ns + " is being terminated", "metadata.namespace"});
    throw Refusal{403, "Forbidden", refusal.what(), std::move(details)};
}

Api::Reply Api::create(Call& call) {
    const auto options = write_options(call.target, call.request.headers.get("User-Agent"));
    std::vector<std::string> problems;
    auto body = parse_body(call, problems);
    auto object = decode(call, std::move(body), options, std::move(problems));
    if (!object.resource_version().empty()) {
        throw bad_request("resourceVersion should not be set on objects to be created");
    }
    co_return co_await create_object(call, std::move(object), options, false);
}

Api::Reply Api::create_object(Call& call, kube::Object object, const WriteOptions& options,
                              bool apply) {
    const auto& resource = *call.resource;
    prepare_create(object, resource, std::chrono::system_clock::now());
    if (!apply) track_owner(kube::Object{}, object, resource, {options.field_manager, ""});
    check(call, object, nullptr);
    co_await admit(call, kube::Operation::create, object, nullptr, options.dry_run);
    object.fields()["apiVersion"] = resource.storage_version;
    const auto name = std::string{object.name()};
    auto lock = co_await storage_.lock(resource.collection, call.key_of(object));
    require_namespace(resource, call.path.ns, name);
    if (storage_.find(resource.collection, call.key_of(object)) != nullptr)
        throw already_exists(resource.subject(name));
    if (options.dry_run) {
        object.metadata().erase("resourceVersion");
        const auto bytes = std::make_shared<const std::string>(kube::to_json(object.fields()));
        co_return object_answer(201, bytes, call.resource, call.form);
    }
    const auto encoded = [&](Version version) { return encode(object.fields(), version); };
    const auto stored = co_await storage_.write(std::move(lock), encoded, false);
    co_return object_answer(201, stored.bytes, call.resource, call.form);
}

Api::Reply Api::replace(Call& call, const WriteOptions& options, bool apply, const Next& next) {
    const auto& resource = *call.resource;
    auto lock = co_await storage_.lock(resource.collection, call.key());
    const auto* found = storage_.find(resource.collection, call.key());
    if (found == nullptr) throw not_found(call.subject());
    const auto stored = *found;
    auto current = parse_object(stored.bytes);
    current.fields()["apiVersion"] = resource.gvr.api_version();

    auto object = next(current);
    check_version(call.subject(), object, current);
    const auto& sub = call.path.subresource;
    prepare_update(object, current, resource,
                   sub == "status"     ? Part::status
                   : sub == "finalize" ? Part::finalizers
                                       : Part::all_but_status);
    if (!apply) track_owner(current, object, resource, {options.field_manager, sub});
    check(call, object, &current);
    co_await admit(call, kube::Operation::update, object, &current, options.dry_run);
    if (same_content(object, current))
        co_return object_answer(200, stored.bytes, call.resource, call.form);

    object.fields()["apiVersion"] = resource.storage_version;
    if (options.dry_run) {
        const auto bytes =
            std::make_shared<const std::string>(encode(object.fields(), stored.version));
        co_return object_answer(200, bytes, call.resource, call.form);
    }
    const auto encoded = [&](Version version) { return encode(object.fields(), version); };
    const bool last = current.deleting() && !held(object, resource);
    const auto written = co_await storage_.write(std::move(lock), encoded, last);
    co_return object_answer(200, written.bytes, call.resource, call.form);
}

Api::Reply Api::update(Call& call) {
    const auto options = write_options(call.target, call.request.headers.get("User-Agent"));
    std::vector<std::string> problems;
    auto body = parse_body(call, problems);
    const auto object = decode(call, std::move(body), options, std::move(problems));
    if (call.resource->custom && object.resource_version().empty()) {
        throw invalid(call.resource->kind, call.resource->gvr.group, object.name(),
                      {{FieldError::Type::invalid, "metadata.resourceVersion", "0x0",
                        "must be specified for an update"}});
    }
    const Next next = [&](const kube::Object&) { return object; };
    co_return co_await replace(call, options, false, next);
}

Api::Reply Api::patch(Call& call) {
    auto options = write_options(call.target, call.request.headers.get("User-Agent"));
    const auto& resource = *call.resource;
    const auto type = std::string{media_type(call.request.headers.get("Content-Type"))};
    const bool typed = !resource.custom;
    const bool known = type == json_patch_type || type == merge_patch_type ||
                       type == apply_patch_type || (type == strategic_patch_type && typed);
    if (!known) {
        throw unknown_format(
            typed ? "application/json-patch+json, application/merge-patch+json, "
                    "application/strategic-merge-patch+json, application/apply-patch+yaml"
                  : "application/json-patch+json, application/merge-patch+json, "
                    "application/apply-patch+yaml");
    }
    std::vector<std::string> problems;
    const auto body = parse_body(call, problems);

    if (type == apply_patch_type) {
        if (!call.target.parameter("fieldManager") ||
            call.target.parameter("fieldManager")->empty()) {
            throw invalid(
                "PatchOptions", "meta.k8s.io", "",
                {{FieldError::Type::required, "fieldManager", "", "is required for apply patch"}});
        }
        if (!body.is_object()) throw bad_request("the applied configuration is not an object");
        auto config = kube::Object::from(body);
        match_path(config, resource, call.path.ns, call.path.name);
        if (!problems.empty()) {
            if (options.validation == FieldValidation::strict)
                throw bad_request("error strict decoding YAML: " + joined(problems));
            if (options.validation == FieldValidation::warn) call.warnings = problems;
        }
        const auto merged = [&](const kube::Object& live) {
            auto object =
                apply_owned(live, config, resource, {options.field_manager, call.path.subresource},
                            options.force);
            return decode(call, json::value(std::move(object.fields())), options, {});
        };
        if (storage_.find(resource.collection, call.key()) == nullptr &&
            call.path.subresource.empty()) {
            if (!config.uid().empty()) {
                throw conflict(call.subject(), "uid mismatch: the provided object specified uid " +
                                                   std::string{config.uid()} +
                                                   ", and no existing object was found");
            }
            std::optional<Refusal> raced;
            try {
                auto object = merged(kube::Object{});
                co_return co_await create_object(call, std::move(object), options, true);
            } catch (const Refusal& refusal) {
                if (refusal.reason() != "AlreadyExists") throw;
                raced = refusal;  // someone made it meanwhile: then it is an update
            }
        }
        const Next next = merged;
        co_return co_await replace(call, options, true, next);
    }

    const Next next = [&](const kube::Object& current) {
        json::value value = current.fields();
        try {
            if (type == json_patch_type) {
                kube::apply_json_patch(value, body);
            } else if (type == merge_patch_type) {
                kube::apply_merge_patch(value, body);
            } else {
                kube::apply_strategic_merge_patch(value, body, resource.gvk());
            }
        } catch (const Error& error) {
            if (error.kind() == ErrorKind::invalid) throw bad_request(error.what());
            // A stock server says no more than this; the reason is in the log.
            log::debug("api", "patch refused", {{"error", error.what()}});
            throw Refusal{422,
                          "Invalid",
                          "the server rejected our request due to an error in our request",
                          {}};
        }
        return decode(call, std::move(value), options, problems);
    };
    co_return co_await replace(call, options, false, next);
}

Api::Removal Api::removal(Call& call) {
    Removal removal;
    removal.dry_run = write_options(call.target, "").dry_run;
    removal.propagation = std::string{call.target.parameter("propagationPolicy").value_or("")};
    if (!call.request.body.empty()) {
        std::vector<std::string> problems;
        const auto body = parse_body(call, problems);
        if (!body.is_object()) throw bad_request("the DeleteOptions are not an object");
        const auto& options = body.get_object();
        removal.uid = kube::find_string(options, {"preconditions", "uid"});
        removal.version = kube::find_string(options, {"preconditions", "resourceVersion"});
        if (const auto policy = kube::find_string(options, {"propagationPolicy"}); !policy.empty())
            removal.propagation = policy;
        if (const auto* dry = kube::find(options, {"dryRun"}); dry && dry->is_array())
            removal.dry_run = removal.dry_run || !dry->get_array().empty();
    }
    if (removal.propagation == "Foreground") {
        call.warnings.emplace_back(
            "this server has no garbage collector: dependents are not deleted first");
    }
    return removal;
}

asio::awaitable<std::optional<Api::Removed>> Api::remove_object(ResourcePtr resource, Key key,
                                                                Removal removal, Call* call) {
    const auto subject = resource->subject(key.name);
    auto lock = co_await storage_.lock(resource->collection, key);
    const auto* found = storage_.find(resource->collection, key);
    if (found == nullptr) co_return std::nullopt;
    const auto stored = *found;
    auto object = parse_object(stored.bytes);
    if (!removal.uid.empty() && removal.uid != object.uid()) {
        throw conflict(subject, "Precondition failed: UID in precondition: " + removal.uid +
                                    ", UID in object meta: " + std::string{object.uid()});
    }
    if (!removal.version.empty() && removal.version != object.resource_version()) {
        throw conflict(
            subject,
            "Precondition failed: ResourceVersion in precondition: " + removal.version +
                ", ResourceVersion in object meta: " + std::string{object.resource_version()});
    }
    if (resource->collection == "namespaces" &&
        std::ranges::find(lasting_namespaces, key.name) != lasting_namespaces.end())
        throw forbidden(subject, "this namespace may not be deleted");
    if (call != nullptr) {
        auto admitted = object;
        co_await admit(*call, kube::Operation::remove, admitted, nullptr, removal.dry_run);
    }
    if (resource->collection == definition_collection && !object.deleting()) {
        auto& finalizers = object.metadata()["finalizers"];
        if (!finalizers.is_array()) finalizers = json::array{};
        const json::value ours(crd_finalizer);
        if (std::ranges::find(finalizers.get_array(), ours) == finalizers.get_array().end())
            finalizers.get_array().push_back(ours);
    }
    const bool stays = held(object, *resource);
    Removed removed{.last = stored, .gone = !stays};
    if (stays && object.deleting()) co_return removed;
    if (stays) mark_deleted(object, *resource);
    if (removal.dry_run) co_return removed;
    const auto encoded = [&](Version version) { return encode(object.fields(), version); };
    removed.last = co_await storage_.write(std::move(lock), encoded, !stays);
    co_return removed;
}

Api::Reply Api::remove(Call& call) {
    auto options = removal(call);
    const auto removed =
        co_await remove_object(call.resource, call.key(), std::move(options), &call);
    if (!removed) throw not_found(call.subject());
    if (!removed->gone) co_return object_answer(200, removed->last.bytes, call.resource, call.form);
    co_return deleted_answer(call.subject(), parse_object(removed->last.bytes).uid());
}

Api::Reply Api::remove_collection(Call& call) {
    const auto options = list_options(call.target, false);
    const Filter filter{*call.resource, options};
    const auto how = removal(call);
    std::vector<Key> keys;
    const auto& objects = storage_.collection(call.resource->collection);
    for (auto it = objects.lower_bound(Key{call.path.ns, ""}); it != objects.end(); ++it) {
        if (!call.path.ns.empty() && it->first.ns != call.path.ns) break;
        if (filter.matches(it->second.bytes)) keys.push_back(it->first);
    }
    std::vector<Bytes> items;
    for (const auto& key : keys) {
        auto removed = co_await remove_object(call.resource, key, how, &call);
        if (removed) items.push_back(removed->last.bytes);
    }
    const ListMeta meta{.version = storage_.version(), .continue_token = {}, .remaining = {}};
    const Renderer renderer{call.resource, call.form};
    co_return json_answer(200, renderer.list(items, meta, std::chrono::system_clock::now()));
}

asio::awaitable<void> Api::create(ResourcePtr resource, kube::Object object) {
    Call call;
    call.resource = std::move(resource);
    call.path.ns = object.ns();
    call.user.name = "system:apiserver";
    WriteOptions options;
    options.field_manager = "kled";
    match_path(object, *call.resource, call.path.ns, "");
    co_await create_object(call, std::move(object), options, false);
}

asio::awaitable<bool> Api::remove(ResourcePtr resource, Key key) {
    const Removal plainly;
    const auto removed =
        co_await remove_object(std::move(resource), std::move(key), plainly, nullptr);
    co_return removed.has_value();
}

asio::awaitable<bool> Api::modify(ResourcePtr resource, Key key, Mutate mutate) {
    auto lock = co_await storage_.lock(resource->collection, key);
    const auto* found = storage_.find(resource->collection, key);
    if (found == nullptr) co_return false;
    const auto current = parse_object(found->bytes);
    auto object = current;
    if (!mutate(object)) co_return true;
    const auto encoded = [&](Version version) { return encode(object.fields(), version); };
    const bool last = object.deleting() && !held(object, *resource);
    if (last || !same_content(object, current))
        co_await storage_.write(std::move(lock), encoded, last);
    co_return true;
}

}  // namespace kled::api
