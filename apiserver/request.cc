#include "apiserver/request.h"

#include "base/encoding.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace kled::api {

namespace {

std::string_view trim(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> parts;
    for (;;) {
        const auto end = text.find(separator);
        parts.push_back(text.substr(0, end));
        if (end == std::string_view::npos) return parts;
        text.remove_prefix(end + 1);
    }
}

template <typename Number>
std::optional<Number> number(std::string_view text) {
    Number value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

struct MediaRange {
    std::string_view type;
    std::vector<std::pair<std::string_view, std::string_view>> parameters;
    [[nodiscard]] std::string_view parameter(std::string_view name) const {
        for (const auto& [key, value] : parameters) {
            if (key == name) return value;
        }
        return {};
    }
};

std::vector<MediaRange> media_ranges(std::string_view accept) {
    std::vector<MediaRange> ranges;
    for (const auto part : split(accept, ',')) {
        const auto pieces = split(part, ';');
        MediaRange range;
        range.type = trim(pieces[0]);
        for (std::size_t i = 1; i < pieces.size(); ++i) {
            const auto equals = pieces[i].find('=');
            if (equals == std::string_view::npos) continue;
            range.parameters.emplace_back(trim(pieces[i].substr(0, equals)),
                                          trim(pieces[i].substr(equals + 1)));
        }
        if (!range.type.empty()) ranges.push_back(std::move(range));
    }
    if (ranges.empty()) ranges.push_back({"*/*", {}});
    return ranges;
}

bool is_json(std::string_view type) {
    return type == "application/json" || type == "*/*" || type == "application/*";
}

bool flag(const net::Target& target, std::string_view name) {
    const auto value = target.parameter(name);
    return value && (*value == "true" || *value == "1");
}

/// What beside metadata.name and metadata.namespace a kind can be selected by (upstream's
/// registry/*/strategy.go and apis/*/conversion.go).
struct Selectable {
    std::string_view collection;
    std::string_view field;
};
constexpr std::array selectable_fields{
    Selectable{"pods", "spec.nodeName"},
    Selectable{"pods", "spec.restartPolicy"},
    Selectable{"pods", "spec.schedulerName"},
    Selectable{"pods", "spec.serviceAccountName"},
    Selectable{"pods", "spec.hostNetwork"},
    Selectable{"pods", "status.phase"},
    Selectable{"pods", "status.podIP"},
    Selectable{"pods", "status.nominatedNodeName"},
    Selectable{"events", "involvedObject.kind"},
    Selectable{"events", "involvedObject.namespace"},
    Selectable{"events", "involvedObject.name"},
    Selectable{"events", "involvedObject.uid"},
    Selectable{"events", "involvedObject.apiVersion"},
    Selectable{"events", "involvedObject.resourceVersion"},
    Selectable{"events", "involvedObject.fieldPath"},
    Selectable{"events", "reason"},
    Selectable{"events", "reportingComponent"},
    Selectable{"events", "source"},
    Selectable{"events", "type"},
    Selectable{"secrets", "type"},
    Selectable{"services", "spec.clusterIP"},
    Selectable{"services", "spec.type"},
    Selectable{"nodes", "spec.unschedulable"},
    Selectable{"namespaces", "status.phase"},
    Selectable{"replicationcontrollers", "status.replicas"},
    Selectable{"replicasets.apps", "status.replicas"},
    Selectable{"jobs.batch", "status.successful"},
    Selectable{"certificatesigningrequests.certificates.k8s.io", "spec.signerName"},
};

/// What an absent field compares as.
std::string_view absent_value(std::string_view path) {
    if (path == "spec.unschedulable" || path == "spec.hostNetwork") return "false";
    if (path == "status.replicas" || path == "status.successful") return "0";
    return "";
}

std::string field_value(const kube::Object& object, std::string_view path) {
    const json::value* value = nullptr;
    const auto* level = &object.fields();
    for (const auto step : split(path, '.')) {
        if (level == nullptr) return std::string{absent_value(path)};
        value = level->if_contains(step);
        if (value == nullptr) return std::string{absent_value(path)};
        level = value->if_object();
    }
    if (const auto* text = value->if_string()) return std::string{*text};
    if (value->is_object() || value->is_array() || value->is_null())
        return std::string{absent_value(path)};
    return kube::to_json(*value);
}

}  // namespace

bool User::in_group(std::string_view group) const noexcept {
    return std::ranges::find(groups, group) != groups.end();
}

std::optional<ResourcePath> parse_resource_path(std::string_view path) {
    std::vector<std::string_view> parts;
    for (const auto part : split(path, '/')) {
        if (!part.empty()) parts.push_back(part);
    }
    ResourcePath result;
    std::size_t at = 0;
    const auto take = [&] { return std::string{parts[at++]}; };
    const auto left = [&] { return parts.size() - at; };
    if (left() >= 3 && parts[0] == "api") {
        at = 1;
        result.version = take();
    } else if (left() >= 4 && parts[0] == "apis") {
        at = 1;
        result.group = take();
        result.version = take();
    } else {
        return std::nullopt;
    }
    if (parts[at] == "watch") {
        result.watch_prefix = true;
        if (++at == parts.size()) return std::nullopt;
    }
    // /namespaces/NAME and its own subresources are the namespace; anything deeper is in it.
    if (parts[at] == "namespaces" && left() >= 3 && parts[at + 2] != "status" &&
        parts[at + 2] != "finalize") {
        ++at;
        result.ns = take();
    }
    result.resource = take();
    if (left() > 0) result.name = take();
    if (left() > 0) result.subresource = take();
    if (left() > 0) return std::nullopt;
    return result;
}

Verb verb_of(std::string_view method, const ResourcePath& path, bool watch) {
    const bool collection = path.name.empty();
    if (method == "GET" || method == "HEAD") {
        if (path.subresource.empty() && (watch || path.watch_prefix)) return Verb::watch;
        return collection ? Verb::list : Verb::get;
    }
    if (method == "POST" && collection) return Verb::create;
    if (method == "PUT" && !collection) return Verb::update;
    if (method == "PATCH" && !collection) return Verb::patch;
    if (method == "DELETE") return collection ? Verb::remove_collection : Verb::remove;
    throw Refusal{405,
                  "MethodNotAllowed",
                  "the server does not allow this method on the requested resource",
                  {}};
}

Form negotiate(std::string_view accept, const net::Target& target) {
    Form form;
    if (const auto include = target.parameter("includeObject")) {
        if (*include == "None") form.include = kube::IncludeObject::none;
        if (*include == "Object") form.include = kube::IncludeObject::object;
    }
    for (const auto& range : media_ranges(accept)) {
        const bool yaml = range.type == "application/yaml";
        if (!yaml && !is_json(range.type)) continue;
        const auto as = range.parameter("as");
        if (!as.empty()) {
            if (range.parameter("g") != "meta.k8s.io" || range.parameter("v") != "v1") continue;
            if (as == "Table") {
                form.as = Form::As::table;
            } else if (as == "PartialObjectMetadata" || as == "PartialObjectMetadataList") {
                form.as = Form::As::partial;
            } else {
                continue;
            }
        }
        form.yaml = yaml;
        return form;
    }
    throw not_acceptable("application/json, application/yaml");
}

std::string aggregated_discovery_version(std::string_view accept) {
    for (const auto& range : media_ranges(accept)) {
        if (!is_json(range.type)) continue;
        const auto as = range.parameter("as");
        if (as.empty()) return {};
        const auto version = range.parameter("v");
        if (as == "APIGroupDiscoveryList" && range.parameter("g") == "apidiscovery.k8s.io" &&
            (version == "v2" || version == "v2beta1"))
            return std::string{version};
    }
    return {};
}

ListOptions list_options(const net::Target& target, bool watch) {
    const auto text = [&](std::string_view name) {
        return std::string{target.parameter(name).value_or("")};
    };
    ListOptions options;
    options.label_text = text("labelSelector");
    options.field_text = text("fieldSelector");
    options.labels = kube::LabelSelector::parse(options.label_text);
    options.fields = kube::parse_field_selector(options.field_text);
    options.continue_token = text("continue");
    options.version_match = text("resourceVersionMatch");
    options.bookmarks = flag(target, "allowWatchBookmarks");

    if (const auto limit = text("limit"); !limit.empty()) {
        const auto value = number<std::int64_t>(limit);
        if (!value || *value < 0)
            throw bad_request("limit: \"" + limit + "\" is not a number of objects");
        options.limit = static_cast<std::size_t>(*value);
    }
    if (const auto version = text("resourceVersion"); !version.empty()) {
        options.version = number<Version>(version);
        if (!options.version) {
            throw invalid("ListOptions", "meta.k8s.io", "",
                          {{FieldError::Type::invalid, "resourceVersion", '"' + version + '"',
                            "strconv.ParseUint: parsing \"" + version + "\": invalid syntax"}});
        }
    }
    if (const auto timeout = text("timeoutSeconds"); !timeout.empty()) {
        const auto value = number<std::int64_t>(timeout);
        if (!value || *value < 0 || *value > 1'000'000'000)
            throw bad_request("timeoutSeconds: \"" + timeout + "\" is not a number of seconds");
        options.timeout = std::chrono::seconds{*value};
    }
    if (const auto initial = text("sendInitialEvents"); !initial.empty())
        options.send_initial_events = initial == "true" || initial == "1";

    std::vector<FieldError> errors;
    const auto forbid = [&](std::string field, std::string why) {
        errors.push_back({FieldError::Type::forbidden, std::move(field), "", std::move(why)});
    };
    const bool initial_set = options.send_initial_events.has_value();
    if (!options.version_match.empty()) {
        if (!watch && !options.version)
            forbid("resourceVersionMatch",
                   "resourceVersionMatch is forbidden unless resourceVersion is provided");
        if (!options.continue_token.empty())
            forbid("resourceVersionMatch",
                   "resourceVersionMatch is forbidden when continue is provided");
        if (watch && !initial_set)
            forbid(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
        if (options.version_match != "Exact" && options.version_match != "NotOlderThan") {
            errors.push_back({FieldError::Type::not_supported, "resourceVersionMatch",
                              '"' + options.version_match + '"',
                              "supported values: \"Exact\", \"NotOlderThan\""});
        } else if (options.version_match == "Exact" && options.version == Version{0}) {
            forbid("resourceVersionMatch",
                   "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
        } else if (watch && initial_set && options.version_match != "NotOlderThan") {
            errors.push_back({FieldError::Type::not_supported, "resourceVersionMatch",
                              '"' + options.version_match + '"',
                              "supported values: \"NotOlderThan\""});
        }
    }
    if (initial_set) {
        if (!watch)
            forbid("sendInitialEvents", "sendInitialEvents is forbidden for list");
        else if (options.version_match.empty())
            forbid("resourceVersionMatch",
                   "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
    }
    if (!errors.empty()) throw invalid("ListOptions", "meta.k8s.io", "", errors);
    return options;
}

WriteOptions write_options(const net::Target& target, std::string_view user_agent) {
    WriteOptions options;
    for (const auto& [name, value] : target.query) {
        if (name != "dryRun" || value.empty()) continue;
        if (value != "All") {
            throw invalid("CreateOptions", "meta.k8s.io", "",
                          {{FieldError::Type::not_supported, "dryRun", '"' + value + '"',
                            "supported values: \"All\""}});
        }
        options.dry_run = true;
    }
    options.force = flag(target, "force");
    options.field_manager = std::string{target.parameter("fieldManager").value_or("")};
    if (options.field_manager.size() > 128) {
        throw invalid(
            "PatchOptions", "meta.k8s.io", "",
            {{FieldError::Type::too_long, "fieldManager", "", "may not be more than 128 bytes"}});
    }
    if (options.field_manager.empty()) {
        options.field_manager = std::string{user_agent.substr(0, user_agent.find_first_of("/ "))};
        options.field_manager.resize(std::min<std::size_t>(options.field_manager.size(), 128));
        if (options.field_manager.empty()) options.field_manager = "unknown";
    }
    if (const auto validation = target.parameter("fieldValidation");
        validation && !validation->empty()) {
        if (*validation == "Strict") {
            options.validation = FieldValidation::strict;
        } else if (*validation == "Ignore") {
            options.validation = FieldValidation::ignore;
        } else if (*validation != "Warn") {
            throw invalid("PatchOptions", "meta.k8s.io", "",
                          {{FieldError::Type::not_supported, "fieldValidation",
                            '"' + std::string{*validation} + '"',
                            "supported values: \"\", \"Ignore\", \"Strict\", \"Warn\""}});
        }
    }
    return options;
}

Filter::Filter(const Resource& resource, const ListOptions& options)
    : labels_{options.labels}, fields_{options.fields} {
    for (const auto& field : fields_) {
        if (field.path == "metadata.name") continue;
        if (field.path == "metadata.namespace" && resource.namespaced()) continue;
        const bool builtin = std::ranges::any_of(selectable_fields, [&](const Selectable& s) {
            return s.collection == resource.collection && s.field == field.path;
        });
        const bool custom =
            resource.custom && std::ranges::find(resource.custom->selectable_fields, field.path) !=
                                   resource.custom->selectable_fields.end();
        if (!builtin && !custom) {
            const bool plain =
                !resource.custom &&
                std::ranges::find(selectable_fields, resource.collection,
                                  &Selectable::collection) == selectable_fields.end();
            const auto why = plain
                                 ? '"' + field.path +
                                       "\" is not a known field selector: only \"metadata.name\", "
                                       "\"metadata.namespace\""
                                 : "field label not supported: " + field.path;
            throw bad_request(why);
        }
    }
}

bool Filter::matches(const kube::Object& object) const {
    for (const auto& field : fields_) {
        if ((field_value(object, field.path) == field.value) != field.equal) return false;
    }
    return labels_.matches(object);
}

bool Filter::matches(const Bytes& bytes) const {
    if (all()) return true;
    return matches(kube::Object::from(kube::parse_json(*bytes)));
}

std::string Continue::encode() const {
    json::object token;
    token["v"] = "kled/v1";
    token["rv"] = version;
    token["ns"] = after.ns;
    token["name"] = after.name;
    return to_base64url(kube::to_json(token));
}

Continue Continue::decode(std::string_view token) {
    try {
        const auto text = from_base64url(token);
        const auto value = text ? kube::parse_json(*text) : json::value{};
        const auto& fields = value.as_object();
        const auto string = [&](std::string_view key) {
            return std::string{fields.at(key).as_string()};
        };
        if (string("v") != "kled/v1") throw bad_request("version");
        return {.version = fields.at("rv").to_number<Version>(),
                .after = {string("ns"), string("name")}};
    } catch (const std::exception&) {
        throw bad_request("continue key is not valid: it is not one this server gave out");
    }
}

}  // namespace kled::api
