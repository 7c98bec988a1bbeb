#include "gitops/notify/alert.h"

#include "base/error.h"
#include "gitops/image/group.h"
#include "gitops/objects/fields.h"

#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

namespace kled::gitops {

namespace json = boost::json;

namespace {

constexpr std::array message_types{"generic", "generic-hmac", "slack", "msteams", "alertmanager"};
constexpr std::array status_types{"github", "gitlab", "gitea"};

std::vector<Alert::Pattern> patterns(const Reader& spec, std::string_view field) {
    constexpr std::int64_t memory = 1U << 20U;
    re2::RE2::Options options;
    options.set_log_errors(false);
    options.set_max_mem(memory);
    std::vector<Alert::Pattern> result;
    for (const auto& item : spec.array(field)) {
        if (!item.is_string()) throw spec.bad(field, "not a list of patterns");
        auto pattern = std::make_shared<const re2::RE2>(std::string{item.get_string()}, options);
        if (!pattern->ok())
            throw spec.bad(field, "'" + pattern->pattern() + "': " + pattern->error());
        result.push_back(std::move(pattern));
    }
    return result;
}

bool found_in(const std::vector<Alert::Pattern>& patterns, const std::string& text) {
    return std::ranges::any_of(
        patterns, [&](const auto& pattern) { return re2::RE2::PartialMatch(text, *pattern); });
}

std::string lower(std::string_view text) {
    std::string result{text};
    std::ranges::transform(result, result.begin(), [](unsigned char c) { return std::tolower(c); });
    return result;
}

}  // namespace

Provider Provider::from_object(kube::Object object) {
    Provider result;
    const Reader spec{object.spec()};
    result.type = spec.required("type");
    const bool known = std::ranges::count(message_types, result.type) != 0 ||
                       std::ranges::count(status_types, result.type) != 0;
    if (!known) result.unsupported.push_back({"spec.type: " + result.type});
    result.address = spec.text("address");
    result.channel = spec.text("channel");
    result.username = spec.text("username");
    result.proxy = spec.text("proxy");
    result.secret_name = spec.object("secretRef").text("name");
    result.certificate_secret_name = spec.object("certSecretRef").text("name");
    result.proxy_secret_name = spec.object("proxySecretRef").text("name");
    result.timeout = spec.duration("timeout", Duration{15'000});
    if (result.timeout <= Duration{}) throw spec.bad("timeout", "is not more than 0");
    result.suspend = spec.flag("suspend");
    append(result.unsupported, spec.unsupported({"serviceAccountName", "commitStatusExpr"}));
    result.object = std::move(object);
    return result;
}

bool Provider::sets_commit_status() const { return std::ranges::count(status_types, type) != 0; }

std::string_view Notification::controller() const {
    if (api_version.starts_with(source_group)) return "source-controller";
    if (api_version.starts_with(kustomize_group)) return "kustomize-controller";
    if (api_version.starts_with(image_group)) {
        return kind == "ImageUpdateAutomation" ? "image-automation-controller"
                                               : "image-reflector-controller";
    }
    return "kled";
}

std::string Notification::title() const { return lower(kind) + "/" + name + "." + ns; }

json::object Notification::to_json() const {
    json::object about;
    about["kind"] = kind;
    about["namespace"] = ns;
    about["name"] = name;
    about["uid"] = uid;
    about["apiVersion"] = api_version;
    json::object result;
    result["involvedObject"] = std::move(about);
    result["severity"] = severity();
    result["timestamp"] = to_rfc3339(time);
    result["message"] = message;
    result["reason"] = reason;
    if (!metadata.empty()) result["metadata"] = json::value_from(metadata);
    result["reportingController"] = controller();
    return result;
}

Alert Alert::from_object(kube::Object object) {
    Alert result;
    const Reader spec{object.spec()};
    result.provider = spec.object("providerRef").required("name");
    const auto severity = spec.text("eventSeverity");
    if (!severity.empty() && severity != "info" && severity != "error")
        throw spec.bad("eventSeverity", "'" + severity + "' is neither info nor error");
    result.errors_only = severity == "error";
    for (const auto& item : spec.objects("eventSources")) {
        Source source{.kind = item.required("kind"),
                      .ns = item.text("namespace"),
                      .name = item.required("name"),
                      .labels = item.texts("matchLabels")};
        if (source.ns.empty()) source.ns = object.ns();
        result.sources.push_back(std::move(source));
    }
    if (result.sources.empty()) throw spec.bad("eventSources", "is required");
    result.included = patterns(spec, "inclusionList");
    result.excluded = patterns(spec, "exclusionList");
    result.metadata = spec.texts("eventMetadata");
    result.summary = spec.text("summary");
    result.suspend = spec.flag("suspend");
    result.object = std::move(object);
    return result;
}

bool Alert::wants(const Event& event, bool no_cross_namespace_refs) const {
    if (suspend || (errors_only && !event.warning)) return false;
    const auto fits = [&](const Source& source) {
        if (source.kind != event.about.kind() || source.ns != event.about.ns()) return false;
        if (no_cross_namespace_refs && source.ns != object.ns()) return false;
        if (source.name != "*") return source.name == event.about.name();
        return std::ranges::all_of(source.labels, [&](const auto& label) {
            return kube::find_string(event.about.fields(), {"metadata", "labels", label.first}) ==
                   label.second;
        });
    };
    if (!std::ranges::any_of(sources, fits)) return false;
    if (!included.empty() && !found_in(included, event.message)) return false;
    return !found_in(excluded, event.message);
}

Notification Alert::notification(const Event& event) const {
    Notification result{.api_version = std::string{event.about.api_version()},
                        .kind = std::string{event.about.kind()},
                        .ns = std::string{event.about.ns()},
                        .name = std::string{event.about.name()},
                        .uid = std::string{event.about.uid()},
                        .error = event.warning,
                        .time = event.time,
                        .reason = event.reason,
                        .message = event.message,
                        .metadata = {}};
    const auto* annotations = kube::find(event.about.fields(), {"metadata", "annotations"});
    if (annotations != nullptr && annotations->is_object()) {
        for (const auto& item : annotations->get_object()) {
            const std::string_view key{item.key()};
            if (key.starts_with(event_annotations) && item.value().is_string()) {
                result.metadata.insert_or_assign(std::string{key.substr(event_annotations.size())},
                                                 std::string{item.value().get_string()});
            }
        }
    }
    for (const auto& [key, value] : metadata) result.metadata.insert_or_assign(key, value);
    if (!summary.empty()) result.metadata.insert_or_assign("summary", summary);
    if (!event.revision.empty()) result.metadata.insert_or_assign("revision", event.revision);
    // By which commits are told: no one else's to say.
    result.metadata.erase("originRevision");
    if (!event.origin.empty()) result.metadata.emplace("originRevision", event.origin);
    return result;
}

}  // namespace kled::gitops
