#include "apiserver/objects.h"

#include "base/encoding.h"
#include "crypto/hash.h"
#include "kube/names.h"

#include <algorithm>
#include <array>
#include <utility>

namespace kled::api {

namespace {

constexpr std::array first_keys{"apiVersion", "kind", "metadata"};

/// Kinds whose strategy keeps metadata.generation; custom resources always do.
constexpr std::array<std::string_view, 21> with_generation{
    "pods",
    "replicationcontrollers",
    "daemonsets.apps",
    "deployments.apps",
    "replicasets.apps",
    "statefulsets.apps",
    "jobs.batch",
    "cronjobs.batch",
    "ingresses.networking.k8s.io",
    "ingressclasses.networking.k8s.io",
    "networkpolicies.networking.k8s.io",
    "poddisruptionbudgets.policy",
    "priorityclasses.scheduling.k8s.io",
    "customresourcedefinitions.apiextensions.k8s.io",
    "mutatingwebhookconfigurations.admissionregistration.k8s.io",
    "validatingwebhookconfigurations.admissionregistration.k8s.io",
    "validatingadmissionpolicies.admissionregistration.k8s.io",
    "validatingadmissionpolicybindings.admissionregistration.k8s.io",
    "flowschemas.flowcontrol.apiserver.k8s.io",
    "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io",
    "endpointslices.discovery.k8s.io",
};

bool keeps_generation(const Resource& resource) {
    return resource.custom ||
           std::ranges::find(with_generation, resource.collection) != with_generation.end();
}

std::string in_quotes(std::string_view text) {
    return kube::to_json(json::value(json::string{text}));
}

void erase(json::object& object, std::string_view key) {
    if (const auto found = object.find(key); found != object.end()) object.stable_erase(found);
}

/// `key` of `from`, or its absence.
void copy_field(json::object& to, const json::object& from, std::string_view key) {
    if (const auto* value = from.if_contains(key)) {
        to[key] = *value;
    } else {
        erase(to, key);
    }
}

/// All that generation speaks of: everything but metadata and status.
bool same_spec(const kube::Object& a, const kube::Object& b) {
    const auto count = [](const kube::Object& object) {
        return std::ranges::count_if(object.fields(), [](const auto& field) {
            return field.key() != "metadata" && field.key() != "status" &&
                   field.key() != "apiVersion";
        });
    };
    if (count(a) != count(b)) return false;
    return std::ranges::all_of(a.fields(), [&](const auto& field) {
        if (field.key() == "metadata" || field.key() == "status" || field.key() == "apiVersion")
            return true;
        const auto* other = b.fields().if_contains(field.key());
        return other != nullptr && *other == field.value();
    });
}

/// Strategies that give a new object a first status (upstream registry/core/*/strategy.go).
void first_status(kube::Object& object, const Resource& resource) {
    const auto phase = resource.collection == "namespaces"               ? "Active"
                       : resource.collection == "pods"                   ? "Pending"
                       : resource.collection == "persistentvolumes"      ? "Pending"
                       : resource.collection == "persistentvolumeclaims" ? "Pending"
                                                                         : nullptr;
    if (phase == nullptr) return;
    json::object status;
    status["phase"] = phase;
    object.fields()["status"] = std::move(status);
}

void prepare_namespace(kube::Object& object) {
    object.set_label("kubernetes.io/metadata.name", object.name());
    auto& spec = object.fields()["spec"];
    if (!spec.is_object()) spec = json::object{};
    auto& finalizers = spec.as_object()["finalizers"];
    if (!finalizers.is_array()) finalizers = json::array{};
    const json::value ours("kubernetes");
    if (std::ranges::find(finalizers.as_array(), ours) == finalizers.as_array().end())
        finalizers.as_array().push_back(ours);
}

/// stringData is for writing only (core/v1 conversion of Secret).
void prepare_secret(kube::Object& object) {
    const auto* given = object.fields().if_contains("stringData");
    if (given == nullptr) return;
    if (const auto* texts = given->if_object()) {
        const auto copy = *texts;
        auto& data = object.fields()["data"];
        if (!data.is_object()) data = json::object{};
        for (const auto& [key, value] : copy) {
            if (const auto* text = value.if_string())
                data.get_object()[key] = to_base64(std::string_view{*text});
        }
    }
    erase(object.fields(), "stringData");
}

void prepare_definition(kube::Object& object) {
    auto* spec = object.fields().if_contains("spec");
    if (spec == nullptr || !spec->is_object()) return;
    auto& fields = spec->get_object();
    if (!fields.contains("conversion")) fields["conversion"] = json::object{{"strategy", "None"}};
    auto* names = fields.if_contains("names");
    if (names == nullptr || !names->is_object()) return;
    auto& known = names->get_object();
    const auto kind = std::string{kube::find_string(known, {"kind"})};
    if (kube::find_string(known, {"listKind"}).empty()) known["listKind"] = kind + "List";
    if (kube::find_string(known, {"singular"}).empty()) {
        auto singular = kind;
        for (auto& c : singular) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
        known["singular"] = singular;
    }
}

/// What the types of a few kinds fill in on every write.
void normalise(kube::Object& object, const Resource& resource) {
    if (resource.collection == "secrets") prepare_secret(object);
    if (resource.collection == "customresourcedefinitions.apiextensions.k8s.io")
        prepare_definition(object);
}

}  // namespace

std::string encode(const json::object& object, Version version) {
    json::object ordered;
    ordered.reserve(object.size());
    for (const auto* key : first_keys) {
        if (const auto* value = object.if_contains(key)) ordered[key] = *value;
    }
    for (const auto& field : object) {
        if (std::ranges::find(first_keys, field.key()) == first_keys.end())
            ordered[field.key()] = field.value();
    }
    ordered["metadata"].as_object()["resourceVersion"] = std::to_string(version);
    return kube::to_json(ordered);
}

std::string as_served(const Bytes& bytes, const Resource& resource) {
    constexpr std::string_view opening = R"({"apiVersion":")";
    const auto wanted = resource.gvr.api_version();
    const auto end = bytes->find('"', opening.size());
    if (std::string_view{*bytes}.substr(opening.size(), end - opening.size()) == wanted)
        return *bytes;
    return std::string{opening} + wanted + bytes->substr(end);
}

void match_path(kube::Object& object, const Resource& resource, std::string_view ns,
                std::string_view name) {
    const auto wanted = resource.gvr.api_version();
    if (object.api_version().empty()) {
        object.fields()["apiVersion"] = wanted;
    } else if (object.api_version() != wanted) {
        throw bad_request("the API version in the data (" + std::string{object.api_version()} +
                          ") does not match the expected API version (" + wanted + ")");
    }
    if (object.kind().empty()) {
        object.fields()["kind"] = resource.kind;
    } else if (object.kind() != resource.kind) {
        throw bad_request(std::string{object.kind()} + " in version \"" + resource.gvr.version +
                          "\" cannot be handled as a " + resource.kind + ": converting (" +
                          std::string{object.kind()} + ") to (" + resource.kind +
                          "): unknown conversion");
    }
    object.metadata();
    if (resource.namespaced()) {
        if (object.ns().empty()) {
            object.set_namespace(ns);
        } else if (object.ns() != ns) {
            throw bad_request(
                "the namespace of the provided object does not match the namespace "
                "sent on the request");
        }
    } else {
        erase(object.metadata(), "namespace");
    }
    if (name.empty()) return;
    if (object.name().empty()) {
        object.set_name(name);
    } else if (object.name() != name) {
        throw bad_request("the name of the object (" + std::string{object.name()} +
                          ") does not match the name on the URL (" + std::string{name} + ")");
    }
}

std::string random_suffix() {
    constexpr std::string_view alphabet = "bcdfghjklmnpqrstvwxz2456789";
    std::string suffix;
    while (suffix.size() < 5) {
        for (const auto byte : crypto::random_bytes(8)) {
            // 243 = 9 · 27: each character is as likely as the others.
            const auto value = static_cast<unsigned char>(byte);
            if (value < 243 && suffix.size() < 5) suffix += alphabet[value % alphabet.size()];
        }
    }
    return suffix;
}

void prepare_create(kube::Object& object, const Resource& resource, WallTime now) {
    auto& metadata = object.metadata();
    for (const auto* key : {"deletionTimestamp", "deletionGracePeriodSeconds", "selfLink",
                            "resourceVersion", "generation", "uid", "creationTimestamp"})
        erase(metadata, key);
    if (object.name().empty()) {
        if (const auto base = kube::find_string(metadata, {"generateName"}); !base.empty())
            object.set_name(std::string{base.substr(0, 58)} + random_suffix());
    }
    metadata["uid"] = crypto::uuid4();
    metadata["creationTimestamp"] = to_rfc3339(now);
    if (keeps_generation(resource)) metadata["generation"] = 1;
    if (resource.has_status) {
        erase(object.fields(), "status");
        if (!resource.custom) first_status(object, resource);
    }
    if (resource.collection == "namespaces") prepare_namespace(object);
    normalise(object, resource);
}

void prepare_update(kube::Object& object, const kube::Object& current, const Resource& resource,
                    Part part) {
    const auto& old_metadata = *current.metadata();
    if (part != Part::all_but_status) {
        kube::Object next{current.fields()};
        copy_field(next.metadata(), object.metadata(), "managedFields");
        if (part == Part::status) {
            copy_field(next.fields(), object.fields(), "status");
        } else {
            json::value finalizers = json::array{};
            if (const auto* wanted = kube::find(object.fields(), {"spec", "finalizers"}))
                finalizers = *wanted;
            next.fields()["spec"].as_object()["finalizers"] = std::move(finalizers);
        }
        next.fields()["apiVersion"] = object.fields()["apiVersion"];
        object = std::move(next);
    } else {
        normalise(object, resource);
        auto& metadata = object.metadata();
        for (const auto* key : {"uid", "creationTimestamp", "deletionTimestamp",
                                "deletionGracePeriodSeconds", "generation", "generateName"})
            copy_field(metadata, old_metadata, key);
        erase(metadata, "selfLink");
        if (resource.has_status) copy_field(object.fields(), current.fields(), "status");
        if (resource.collection == "namespaces") {
            // Only /finalize changes these.
            copy_field(object.fields(), current.fields(), "spec");
            object.set_label("kubernetes.io/metadata.name", object.name());
        }
        if (keeps_generation(resource) && !same_spec(object, current))
            metadata["generation"] = current.generation() + 1;
    }
    object.metadata()["resourceVersion"] = std::string{current.resource_version()};
}

std::vector<std::string> name_problems(const Resource& resource, std::string_view name) {
    if (resource.gvr.group == "rbac.authorization.k8s.io") {  // api/validation/path
        if (name == "." || name == "..") return {"may not be '" + std::string{name} + "'"};
        std::vector<std::string> problems;
        for (const auto* illegal : {"/", "%"}) {
            if (name.find(illegal) != std::string_view::npos)
                problems.push_back("may not contain '" + std::string{illegal} + "'");
        }
        return problems;
    }
    if (resource.collection == "namespaces") return kube::check_dns1123_label(name);
    if (resource.collection == "services") return kube::check_dns1035_label(name);
    return kube::check_dns1123_subdomain(name);
}

std::vector<FieldError> metadata_errors(const kube::Object& object, const Resource& resource) {
    std::vector<FieldError> errors;
    using Type = FieldError::Type;
    const auto& metadata = *object.metadata();
    const auto add = [&](std::string field, std::string_view value,
                         const std::vector<std::string>& problems) {
        for (const auto& problem : problems)
            errors.push_back({Type::invalid, field, in_quotes(value), problem});
    };
    if (object.name().empty()) {
        errors.push_back({Type::required, "metadata.name", "", "name or generateName is required"});
    } else {
        add("metadata.name", object.name(), name_problems(resource, object.name()));
    }
    const auto each_pair = [&](std::string_view of, const auto& check) {
        const auto* pairs = kube::find(metadata, {of});
        if (pairs == nullptr || !pairs->is_object()) return;
        for (const auto& [key, value] : pairs->get_object())
            check(std::string{key}, value.is_string() ? std::string_view{value.get_string()} : "");
    };
    each_pair("labels", [&](const std::string& key, std::string_view value) {
        add("metadata.labels", key, kube::check_qualified_name(key));
        add("metadata.labels", value, kube::check_label_value(value));
    });
    std::size_t annotations_size = 0;
    each_pair("annotations", [&](const std::string& key, std::string_view value) {
        auto folded = key;  // upper case is allowed in the prefix here
        for (auto& c : folded) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
        add("metadata.annotations", key, kube::check_qualified_name(folded));
        annotations_size += key.size() + value.size();
    });
    if (annotations_size > 256U << 10U) {
        errors.push_back(
            {Type::too_long, "metadata.annotations", "", "may not be more than 262144 bytes"});
    }
    if (const auto* list = kube::find(metadata, {"finalizers"}); list && list->is_array()) {
        for (const auto& finalizer : list->get_array()) {
            if (finalizer.is_string())
                add("metadata.finalizers", finalizer.get_string(),
                    kube::check_qualified_name(finalizer.get_string()));
        }
    }
    return errors;
}

std::vector<FieldError> update_errors(const kube::Object& object, const kube::Object& current) {
    std::vector<FieldError> errors;
    if (!current.deleting()) return errors;
    const auto list = [](const kube::Object& of) {
        const auto* finalizers = kube::find(*of.metadata(), {"finalizers"});
        return finalizers != nullptr && finalizers->is_array() ? finalizers->get_array()
                                                               : json::array{};
    };
    const auto before = list(current);
    std::string added;
    for (const auto& finalizer : list(object)) {
        if (std::ranges::find(before, finalizer) != before.end()) continue;
        if (!added.empty()) added += ", ";
        added += kube::to_json(finalizer);
    }
    if (!added.empty()) {
        errors.push_back(
            {FieldError::Type::forbidden, "metadata.finalizers", "",
             "no new finalizers can be added if the object is being deleted, found new "
             "finalizers []string{" +
                 added + "}"});
    }
    return errors;
}

bool same_content(const kube::Object& a, const kube::Object& b) {
    const auto bare = [](const kube::Object& object) {
        auto fields = object.fields();
        auto& metadata = fields["metadata"].as_object();
        erase(metadata, "resourceVersion");
        if (auto* managers = metadata.if_contains("managedFields");
            managers && managers->is_array()) {
            for (auto& manager : managers->get_array()) {
                if (auto* entry = manager.if_object()) erase(*entry, "time");
            }
        }
        return fields;
    };
    return bare(a) == bare(b);
}

bool has_finalizers(const kube::Object& object) {
    const auto* finalizers = kube::find(object.fields(), {"metadata", "finalizers"});
    return finalizers != nullptr && finalizers->is_array() && !finalizers->get_array().empty();
}

}  // namespace kled::api
