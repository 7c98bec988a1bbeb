#include "apiserver/openapi.h"

#include "apiserver/api.h"
#include "apiserver/call.h"
#include "base/encoding.h"
#include "crypto/hash.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

namespace kled::api {

namespace {

using Kind = kube::TypeSchema::Kind;

constexpr std::string_view described_version = "v1.34.4";

json::object of_type(std::string_view type, std::string_view format = {}) {
    json::object schema;
    schema["type"] = type;
    if (!format.empty()) schema["format"] = format;
    return schema;
}

json::array one(json::value value) {
    json::array array;
    array.push_back(std::move(value));
    return array;
}

json::object gvk_object(const kube::GroupVersionKind& gvk) {
    json::object object;
    object["group"] = gvk.group;
    object["kind"] = gvk.kind;
    object["version"] = gvk.version;
    return object;
}

/// The components of one document: each named type once, with all it refers to.
class Components {
public:
    json::object reference(const kube::TypeSchema& type) {
        const auto name = std::string{type.name()};
        if (seen_.insert(name).second) schemas_[name] = object(type);
        json::object target;
        target["$ref"] = "#/components/schemas/" + name;
        json::object schema;
        schema["allOf"] = one(std::move(target));
        return schema;
    }
    /// The schema of a kind under its own name, marked with what it is.
    std::string kind(const kube::TypeSchema& type, const kube::GroupVersionKind& gvk) {
        reference(type);
        auto name = std::string{type.name()};
        schemas_[name].as_object()["x-kubernetes-group-version-kind"] = one(gvk_object(gvk));
        return name;
    }
    void add(const std::string& name, json::object schema) { schemas_[name] = std::move(schema); }
    [[nodiscard]] json::object take() { return std::move(schemas_); }

private:
    json::object schema(const kube::TypeSchema& type) {
        switch (type.kind()) {
            case Kind::any: return type.is_atomic() ? of_type("object") : json::object{};
            case Kind::string:
            case Kind::quantity:
            case Kind::duration: return of_type("string");
            case Kind::bytes: return of_type("string", "byte");
            case Kind::boolean: return of_type("boolean");
            case Kind::int32: return of_type("integer", "int32");
            case Kind::int64: return of_type("integer", "int64");
            case Kind::number: return of_type("number", "double");
            case Kind::time:
            case Kind::micro_time: return of_type("string", "date-time");
            case Kind::int_or_string: return of_type("string", "int-or-string");
            case Kind::object: return reference(type);
            case Kind::list: {
                auto list = of_type("array");
                list["items"] = schema(type.element());
                if (type.list_type() == kube::ListType::none) return list;
                list["x-kubernetes-list-type"] = type.list_type() == kube::ListType::map ? "map"
                                                 : type.list_type() == kube::ListType::set
                                                     ? "set"
                                                     : "atomic";
                json::array keys;
                for (const auto key : type.map_keys()) keys.push_back(json::value(key));
                if (!keys.empty()) list["x-kubernetes-list-map-keys"] = std::move(keys);
                return list;
            }
            case Kind::map: {
                auto map = of_type("object");
                map["additionalProperties"] = schema(type.element());
                return map;
            }
        }
        return {};
    }

    json::object object(const kube::TypeSchema& type) {
        auto object = of_type("object");
        json::object properties;
        for (std::size_t i = 0; i < type.field_count(); ++i) {
            const auto field = type.field_at(i);
            auto property = schema(field.type);
            std::string strategy;
            if (field.patch_merge) strategy = "merge";
            if (field.patch_replace) strategy += strategy.empty() ? "replace" : ",replace";
            if (field.patch_retain_keys)
                strategy += strategy.empty() ? "retainKeys" : ",retainKeys";
            if (!strategy.empty()) property["x-kubernetes-patch-strategy"] = strategy;
            if (!field.patch_merge_key.empty())
                property["x-kubernetes-patch-merge-key"] = field.patch_merge_key;
            if (!field.default_json.empty())
                property["default"] = kube::parse_json(field.default_json);
            properties[field.name] = std::move(property);
        }
        if (!properties.empty()) object["properties"] = std::move(properties);
        if (type.is_atomic()) object["x-kubernetes-map-type"] = "atomic";
        return object;
    }

    json::object schemas_;
    std::set<std::string> seen_;
};

/// "edge.kled.io/v1", "EdgeNode" → "io.kled.edge.v1.EdgeNode".
std::string component_name(const kube::GroupVersionKind& gvk) {
    std::string name;
    std::string_view left = gvk.group;
    while (!left.empty()) {
        const auto dot = left.rfind('.');
        name += std::string{left.substr(dot == std::string_view::npos ? 0 : dot + 1)} + ".";
        left = left.substr(0, dot == std::string_view::npos ? 0 : dot);
    }
    return name + gvk.version + "." + gvk.kind;
}

json::object operation(std::string_view action, const kube::GroupVersionKind& gvk,
                       std::string_view component) {
    json::object operation;
    operation["x-kubernetes-action"] = action;
    operation["x-kubernetes-group-version-kind"] = gvk_object(gvk);
    json::object reference;
    reference["$ref"] = "#/components/schemas/" + std::string{component};
    json::object content;
    content["schema"] = std::move(reference);
    json::object types;
    types["application/json"] = std::move(content);
    json::object ok;
    ok["description"] = "OK";
    ok["content"] = std::move(types);
    json::object responses;
    responses["200"] = std::move(ok);
    operation["responses"] = std::move(responses);
    if (action == "get" || action == "list" || action == "delete") return operation;
    json::array parameters;
    for (const auto* name : {"dryRun", "fieldManager", "fieldValidation"}) {
        json::object parameter;
        parameter["name"] = name;
        parameter["in"] = "query";
        parameter["schema"] = of_type("string");
        parameters.push_back(std::move(parameter));
    }
    operation["parameters"] = std::move(parameters);
    return operation;
}

void add_paths(json::object& paths, const Resource& resource, std::string_view component) {
    const auto& gvr = resource.gvr;
    auto base =
        gvr.group.empty() ? "/api/" + gvr.version : "/apis/" + gvr.group + "/" + gvr.version;
    if (resource.namespaced()) base += "/namespaces/{namespace}";
    const auto gvk = resource.gvk();
    json::object collection;
    collection["get"] = operation("list", gvk, component);
    collection["post"] = operation("post", gvk, component);
    paths[base + "/" + gvr.resource] = std::move(collection);
    json::object item;
    item["get"] = operation("get", gvk, component);
    item["put"] = operation("put", gvk, component);
    item["patch"] = operation("patch", gvk, component);
    item["delete"] = operation("delete", gvk, component);
    paths[base + "/" + gvr.resource + "/{name}"] = std::move(item);
}

std::string path_of(std::string_view group, std::string_view version) {
    return group.empty() ? "api/" + std::string{version}
                         : "apis/" + std::string{group} + "/" + std::string{version};
}

}  // namespace

std::string OpenApi::document(std::string_view group_name, std::string_view version_name) const {
    Components components;
    json::object paths;
    const auto* group = registry_.group(group_name);
    const auto version = std::ranges::find(group->versions, version_name, &Registry::Version::name);
    for (const auto& [plural, resource] : version->resources) {
        const auto gvk = resource->gvk();
        std::string name;
        if (resource->custom) {
            name = component_name(gvk);
            auto schema = resource->custom->open_api;
            auto& properties = schema["properties"];
            if (!properties.is_object()) properties = json::object{};
            auto& fields = properties.as_object();
            fields["apiVersion"] = of_type("string");
            fields["kind"] = of_type("string");
            fields["metadata"] = components.reference(
                kube::schema_of({"", "v1", "ConfigMap"})->field("metadata")->type);
            schema["x-kubernetes-group-version-kind"] = one(gvk_object(gvk));
            components.add(name, std::move(schema));
        } else if (const auto type = kube::schema_of(gvk)) {
            name = components.kind(*type, gvk);
        } else {
            continue;
        }
        add_paths(paths, *resource, name);
    }
    json::object document;
    document["openapi"] = "3.0.0";
    json::object info;
    info["title"] = "Kubernetes";
    info["version"] = described_version;
    document["info"] = std::move(info);
    document["paths"] = std::move(paths);
    json::object schemas;
    schemas["schemas"] = components.take();
    document["components"] = std::move(schemas);
    return kube::to_json(document);
}

namespace {

/// kubectl asks the older document for a kind that it did not find in the newer ones, and says
/// nothing of that kind when there is none. So it is there, and describes nothing.
Answer nothing_in_v2(const net::Request& request) {
    const std::string title{"Kubernetes"};
    if (request.headers.get("Accept").find("protobuf") == std::string_view::npos) {
        json::object document{{"swagger", "2.0"},
                              {"info", {{"title", title}, {"version", described_version}}},
                              {"paths", json::object{}}};
        return json_answer(200, kube::to_json(document));
    }
    // Short fields of text and messages (gnostic, openapiv2.proto): number and type, length, bytes.
    const auto field = [](char number, std::string_view bytes) {
        std::string text{static_cast<char>(number << 3 | 2), static_cast<char>(bytes.size())};
        return text += bytes;
    };
    Answer answer;
    answer.headers.set("Content-Type",
                       "application/com.github.proto-openapi.spec.v2.v1.0+protobuf");
    answer.body = field(1, "2.0") + field(2, field(1, title) + field(2, described_version));
    return answer;
}

}  // namespace

const std::string& OpenApi::hash(std::string_view group, std::string_view version) {
    auto& hash = hashes_[path_of(group, version)];
    if (hash.empty()) hash = crypto::sha256_hex(document(group, version));
    return hash;
}

std::string OpenApi::index() {
    json::object paths;
    for (const auto& group : registry_.groups()) {
        for (const auto& version : group.versions) {
            const auto path = path_of(group.name, version.name);
            json::object entry;
            entry["serverRelativeURL"] =
                "/openapi/v3/" + path + "?hash=" + hash(group.name, version.name);
            paths[path] = std::move(entry);
        }
    }
    json::object index;
    index["paths"] = std::move(paths);
    return kube::to_json(index);
}

Answer OpenApi::answer(const net::Target& target, const net::Request& request) {
    if (revision_ != registry_.revision()) {
        hashes_.clear();
        revision_ = registry_.revision();
    }
    std::string_view path = target.path;
    if (path == "/openapi/v2") return nothing_in_v2(request);
    if (path == "/openapi/v3" || path == "/openapi/v3/") return json_answer(200, index());
    for (const auto& group : registry_.groups()) {
        for (const auto& version : group.versions) {
            if (path != "/openapi/v3/" + path_of(group.name, version.name)) continue;
            const auto current = hash(group.name, version.name);
            const auto etag = '"' + current + '"';
            if (request.headers.get("If-None-Match") == etag) {
                auto same = json_answer(304, {});
                same.headers.set("Etag", etag);
                return same;
            }
            auto result = json_answer(200, document(group.name, version.name));
            result.headers.set("Etag", etag);
            if (target.parameter("hash") == current)
                result.headers.set("Cache-Control", "public, immutable");
            return result;
        }
    }
    throw unknown_path();
}

}  // namespace kled::api
