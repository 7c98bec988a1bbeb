#include "apiserver/render.h"

#include "apiserver/objects.h"
#include "kube/yaml.h"

#include <utility>

namespace kled::api {

namespace {

json::object partial(const kube::Object& object) {
    json::object result;
    result["kind"] = "PartialObjectMetadata";
    result["apiVersion"] = "meta.k8s.io/v1";
    const auto* metadata = object.metadata();
    result["metadata"] = metadata != nullptr ? *metadata : json::object{};
    return result;
}

json::object list_metadata(const ListMeta& meta) {
    json::object metadata;
    metadata["resourceVersion"] = std::to_string(meta.version);
    if (!meta.continue_token.empty()) metadata["continue"] = meta.continue_token;
    if (meta.remaining) metadata["remainingItemCount"] = *meta.remaining;
    return metadata;
}

kube::Object parsed(const Bytes& bytes) { return kube::Object::from(kube::parse_json(*bytes)); }

}  // namespace

std::string Renderer::finish(std::string text) const {
    if (!form_.yaml) return text;
    return kube::to_yaml(kube::parse_json(text));
}

std::string Renderer::content_type() const {
    return form_.yaml ? "application/yaml" : "application/json";
}

const kube::TablePrinter& Renderer::printer() const {
    return resource_->custom ? resource_->custom->printer
                             : kube::TablePrinter::of(resource_->gvk());
}

json::object Renderer::table(const std::vector<Bytes>& items, const ListMeta& meta, bool headers,
                             WallTime now) const {
    auto table = printer().table(list_metadata(meta), headers);
    json::array rows;
    rows.reserve(items.size());
    for (const auto& bytes : items) {
        auto object = parsed(bytes);
        object.fields()["apiVersion"] = resource_->gvr.api_version();
        rows.push_back(printer().row(object, form_.include, now));
    }
    table["rows"] = std::move(rows);
    return table;
}

std::string Renderer::object(const Bytes& bytes, WallTime now) const {
    switch (form_.as) {
        case Form::As::object: return finish(as_served(bytes, *resource_));
        case Form::As::partial: return finish(kube::to_json(partial(parsed(bytes))));
        case Form::As::table: break;
    }
    ListMeta meta;
    const auto version = parsed(bytes).resource_version();
    auto result = table({bytes}, meta, true, now);
    result["metadata"].as_object()["resourceVersion"] = std::string{version};
    return finish(kube::to_json(result));
}

std::string Renderer::list(const std::vector<Bytes>& items, const ListMeta& meta,
                           WallTime now) const {
    if (form_.as == Form::As::table) return finish(kube::to_json(table(items, meta, true, now)));
    const bool whole = form_.as == Form::As::object;
    std::string text = R"({"kind":")";
    text += whole ? resource_->list_kind : "PartialObjectMetadataList";
    text += R"(","apiVersion":")";
    text += whole ? resource_->gvr.api_version() : "meta.k8s.io/v1";
    text += R"(","metadata":)" + kube::to_json(list_metadata(meta)) + R"(,"items":[)";
    std::size_t size = text.size() + 2;
    for (const auto& bytes : items) size += bytes->size() + 1;
    text.reserve(size);
    bool first = true;
    for (const auto& bytes : items) {
        if (!std::exchange(first, false)) text += ',';
        text += whole ? as_served(bytes, *resource_) : kube::to_json(partial(parsed(bytes)));
    }
    text += "]}";
    return finish(std::move(text));
}

void Renderer::event(std::string& out, std::string_view type, const Bytes& original,
                     std::optional<Version> version, WallTime now) {
    auto bytes = original;
    if (version)
        bytes = std::make_shared<const std::string>(encode(parsed(bytes).fields(), *version));
    out += R"({"type":")";
    out += type;
    out += R"(","object":)";
    switch (form_.as) {
        case Form::As::object: out += as_served(bytes, *resource_); break;
        case Form::As::partial: out += kube::to_json(partial(parsed(bytes))); break;
        case Form::As::table: {
            auto one = table({bytes}, {}, !std::exchange(headers_sent_, true), now);
            one["metadata"].as_object()["resourceVersion"] =
                std::string{parsed(bytes).resource_version()};
            out += kube::to_json(one);
            break;
        }
    }
    out += "}\n";
}

void Renderer::bookmark(std::string& out, Version version, bool initial_end) const {
    json::object object;
    json::object metadata;
    metadata["resourceVersion"] = std::to_string(version);
    switch (form_.as) {
        case Form::As::object:
            object["kind"] = resource_->kind;
            object["apiVersion"] = resource_->gvr.api_version();
            metadata["creationTimestamp"] = nullptr;
            break;
        case Form::As::partial:
            object["kind"] = "PartialObjectMetadata";
            object["apiVersion"] = "meta.k8s.io/v1";
            metadata["creationTimestamp"] = nullptr;
            break;
        case Form::As::table:
            object["kind"] = "Table";
            object["apiVersion"] = "meta.k8s.io/v1";
            object["columnDefinitions"] = nullptr;
            object["rows"] = json::array{};
            break;
    }
    if (initial_end) {
        json::object annotations;
        annotations["k8s.io/initial-events-end"] = "true";
        metadata["annotations"] = std::move(annotations);
    }
    object["metadata"] = std::move(metadata);
    out += R"({"type":"BOOKMARK","object":)" + kube::to_json(object) + "}\n";
}

}  // namespace kled::api
