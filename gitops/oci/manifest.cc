#include "gitops/oci/manifest.h"

#include "base/encoding.h"
#include "base/error.h"
#include "gitops/oci/reference.h"
#include "kube/object.h"

#include <algorithm>

namespace kled::gitops::oci {

namespace json = boost::json;

namespace {

constexpr std::size_t json_depth = 64;
constexpr std::size_t error_limit = 300;

json::object object_of(std::string_view body) {
    auto value = kube::parse_json(body, json_depth);
    if (!value.is_object()) throw Error{ErrorKind::invalid, "the answer is no JSON object"};
    return std::move(value.get_object());
}

std::map<std::string, std::string> annotations_of(const json::object& fields) {
    std::map<std::string, std::string> result;
    const auto* annotations = fields.if_contains("annotations");
    if (annotations == nullptr || !annotations->is_object()) return result;
    for (const auto& item : annotations->get_object()) {
        if (item.value().is_string()) result.emplace(item.key(), item.value().get_string());
    }
    return result;
}

Descriptor descriptor_of(const json::value& value, const std::string& where) {
    const auto bad = [&](const std::string& what) {
        return Error{ErrorKind::invalid, "manifest: " + where + what};
    };
    if (!value.is_object()) throw bad(" is no object");
    const auto& fields = value.get_object();
    Descriptor result;
    result.media_type = kube::find_string(fields, {"mediaType"});
    result.digest = kube::find_string(fields, {"digest"});
    if (!is_digest(result.digest)) throw bad(".digest is no sha256 digest");
    const auto* size = fields.if_contains("size");
    if (size == nullptr || !size->is_int64() || size->get_int64() < 0)
        throw bad(".size is no number of bytes");
    result.size = static_cast<std::uint64_t>(size->get_int64());
    result.artifact_type = kube::find_string(fields, {"artifactType"});
    result.annotations = annotations_of(fields);
    if (const auto* platform = fields.if_contains("platform");
        platform != nullptr && platform->is_object()) {
        result.platform = std::string{kube::find_string(platform->get_object(), {"os"})} + "/" +
                          std::string{kube::find_string(platform->get_object(), {"architecture"})};
    }
    return result;
}

}  // namespace

Manifest Manifest::parse(std::string_view body, std::string_view content_type) {
    const auto fields = object_of(body);
    auto type = std::string{kube::find_string(fields, {"mediaType"})};
    if (type.empty()) type = content_type.substr(0, content_type.find(';'));
    Manifest result;
    result.index = type.ends_with(".image.index.v1+json") ||
                   type.ends_with(".manifest.list.v2+json") ||
                   (!fields.contains("layers") && fields.contains("manifests"));
    const std::string_view name = result.index ? "manifests" : "layers";
    const auto* list = fields.if_contains(name);
    if (list == nullptr || !list->is_array())
        throw Error{ErrorKind::invalid, "manifest: has neither layers nor manifests"};
    if (list->get_array().size() > layer_limit) {
        throw Error{ErrorKind::exhausted,
                    "manifest: has more than " + std::to_string(layer_limit) + " layers"};
    }
    for (std::size_t i = 0; i < list->get_array().size(); ++i) {
        result.layers.push_back(
            descriptor_of(list->get_array()[i], std::string{name} + "[" + std::to_string(i) + "]"));
    }
    result.annotations = annotations_of(fields);
    return result;
}

const Descriptor& Manifest::default_image() const {
    constexpr std::string_view wanted = "linux/amd64";
    constexpr std::size_t shown = 10;
    std::string others;
    for (std::size_t i = 0; i < layers.size(); ++i) {
        const auto& platform = layers[i].platform;
        if (platform.empty() || platform == wanted) return layers[i];
        if (i < shown) others += (others.empty() ? "" : ", ") + platform.substr(0, 40);
    }
    throw Error{ErrorKind::not_found,
                "it is a list of images for several platforms, and none of "
                "them is for " +
                    std::string{wanted} + (others.empty() ? "" : ": " + others)};
}

std::vector<std::string> parse_tags(std::string_view body) {
    const auto fields = object_of(body);
    const auto* list = fields.if_contains("tags");
    std::vector<std::string> result;
    if (list == nullptr || list->is_null()) return result;  // a repository without any
    if (!list->is_array()) throw Error{ErrorKind::invalid, "the answer has no list of tags"};
    for (const auto& item : list->get_array()) {
        if (!item.is_string()) continue;
        const auto& text = item.get_string();
        if (is_tag({text.data(), text.size()})) result.emplace_back(text);
    }
    return result;
}

std::string next_link(std::string_view link) {
    while (true) {
        const auto begin = link.find('<');
        const auto end = begin == std::string_view::npos ? begin : link.find('>', begin);
        if (end == std::string_view::npos) return {};
        const auto target = link.substr(begin + 1, end - begin - 1);
        link.remove_prefix(end + 1);
        // Up to the next link: its parameters.
        const auto parameters = link.substr(0, link.find('<'));
        std::string compact;
        for (const char c : parameters) {
            if (c != ' ' && c != '\t' && c != '"')
                compact += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
        }
        compact += ';';
        if (compact.find(";rel=next;") != std::string::npos ||
            compact.find(";rel=next,") != std::string::npos)
            return std::string{target};
    }
}

std::string error_text(std::string_view body) {
    std::string result;
    try {
        const auto fields = object_of(body);
        const auto* list = fields.if_contains("errors");
        if (list != nullptr && list->is_array() && !list->get_array().empty() &&
            list->get_array().front().is_object()) {
            const auto& first = list->get_array().front().get_object();
            const auto message = kube::find_string(first, {"message"});
            result = kube::find_string(first, {"code"});
            if (!message.empty()) result += (result.empty() ? "" : ": ") + std::string{message};
        } else {
            result = kube::find_string(fields, {"details"});
        }
    } catch (const Error&) {  // a proxy's page
    }
    result.resize(std::min(result.size(), error_limit));
    std::ranges::replace_if(
        result, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7f; }, ' ');
    while (!is_utf8(result)) result.pop_back();
    return result;
}

}  // namespace kled::gitops::oci
