// The scale subresource: replicas seen and set as an autoscaling/v1 Scale, whatever the kind.
#include "apiserver/call.h"
#include "kube/patch.h"

#include <utility>

namespace kled::api {

namespace {

CustomKind::Scale paths_of(const Resource& resource) {
    if (resource.custom && resource.custom->scale) return *resource.custom->scale;
    return {".spec.replicas", ".status.replicas", ""};
}

std::vector<std::string> steps_of(std::string_view path) {
    std::vector<std::string> steps;
    while (!path.empty()) {
        if (path.front() == '.') path.remove_prefix(1);
        const auto end = path.find('.');
        steps.emplace_back(path.substr(0, end));
        path.remove_prefix(end == std::string_view::npos ? path.size() : end);
    }
    return steps;
}

const json::value* at(const json::object& root, std::string_view path) {
    const auto* level = &root;
    const json::value* value = nullptr;
    for (const auto& step : steps_of(path)) {
        if (level == nullptr) return nullptr;
        value = level->if_contains(step);
        if (value == nullptr) return nullptr;
        level = value->if_object();
    }
    return value;
}

void set(json::object& root, std::string_view path, json::value wanted) {
    const auto steps = steps_of(path);
    auto* level = &root;
    for (std::size_t i = 0; i + 1 < steps.size(); ++i) {
        auto& next = (*level)[steps[i]];
        if (!next.is_object()) next = json::object{};
        level = &next.get_object();
    }
    (*level)[steps.back()] = std::move(wanted);
}

std::int64_t count(const json::value* value) {
    return value != nullptr && value->is_int64() ? value->get_int64() : 0;
}

json::object scale_of(const kube::Object& object, const Resource& resource) {
    const auto paths = paths_of(resource);
    json::object metadata;
    for (const auto* key : {"name", "namespace", "uid", "resourceVersion", "creationTimestamp"}) {
        if (const auto* value = object.metadata()->if_contains(key)) metadata[key] = *value;
    }
    json::object spec;
    if (const auto replicas = count(at(object.fields(), paths.spec_replicas)); replicas != 0)
        spec["replicas"] = replicas;
    json::object status;
    status["replicas"] = count(at(object.fields(), paths.status_replicas));
    if (!resource.custom) {
        if (const auto* selector = kube::find(object.fields(), {"spec", "selector"});
            selector && selector->is_object())
            status["selector"] =
                kube::LabelSelector::from_object(selector->get_object()).to_string();
    } else if (!paths.label_selector.empty()) {
        if (const auto* selector = at(object.fields(), paths.label_selector);
            selector && selector->is_string())
            status["selector"] = *selector;
    }
    json::object scale;
    scale["kind"] = "Scale";
    scale["apiVersion"] = "autoscaling/v1";
    scale["metadata"] = std::move(metadata);
    scale["spec"] = std::move(spec);
    scale["status"] = std::move(status);
    return scale;
}

}  // namespace

Api::Reply Api::scale(Call& call) {
    const auto* stored = storage_.find(call.resource->collection, call.key());
    if (stored == nullptr) throw not_found(call.subject());
    const auto& method = call.request.method;
    call.form = Form{};
    if (method == "GET" || method == "HEAD")
        co_return json_answer(200,
                              kube::to_json(scale_of(parse_object(stored->bytes), *call.resource)));
    if (method != "PUT" && method != "PATCH")
        throw method_not_supported(call.subject(), "this method");

    const auto options = write_options(call.target, call.request.headers.get("User-Agent"));
    std::vector<std::string> problems;
    const auto body = parse_body(call, problems);
    const auto type = call.request.headers.get("Content-Type");
    const Next next = [&](const kube::Object& current) {
        json::value wanted = body;
        if (method == "PATCH") {
            wanted = scale_of(current, *call.resource);
            if (type.starts_with("application/json-patch+json")) {
                kube::apply_json_patch(wanted, body);
            } else {
                kube::apply_merge_patch(wanted, body);  // Scale has no lists
            }
        }
        if (!wanted.is_object()) throw bad_request("the body of the request is not a Scale");
        const auto* replicas = kube::find(wanted, {"spec", "replicas"});
        if (count(replicas) < 0 || (replicas != nullptr && !replicas->is_int64())) {
            throw invalid("Scale", "autoscaling", call.path.name,
                          {{FieldError::Type::invalid, "spec.replicas", kube::to_json(*replicas),
                            "must be greater than or equal to 0"}});
        }
        auto object = current;
        set(object.fields(), paths_of(*call.resource).spec_replicas, json::value(count(replicas)));
        const auto version =
            kube::find_string(wanted.get_object(), {"metadata", "resourceVersion"});
        if (!version.empty()) object.metadata()["resourceVersion"] = version;
        return object;
    };
    auto answer = co_await replace(call, options, false, next);
    const auto object = kube::Object::from(kube::parse_json(answer.body));
    answer.body = kube::to_json(scale_of(object, *call.resource));
    co_return answer;
}

}  // namespace kled::api
