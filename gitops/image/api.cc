#include "gitops/image/api.h"

#include "base/error.h"
#include "gitops/objects/fields.h"

#include <re2/re2.h>

#include <algorithm>
#include <optional>
#include <utility>

namespace kled::gitops {

namespace json = boost::json;

namespace {

constexpr std::size_t exclusion_limit = 25;  // as Flux's schema has it
constexpr std::string_view default_exclusion = "^.*\\.sig$";

/// Statuses are merged into what is stored: what is not there any more is null.
void put_whole(json::object& status, std::string_view name, json::object fields) {
    if (const auto* before = status.if_contains(name); before != nullptr && before->is_object()) {
        for (const auto& field : before->get_object()) {
            if (!fields.contains(field.key())) fields[field.key()] = nullptr;
        }
    }
    status[name] = std::move(fields);
}

json::object to_json(const ImageRef& ref) {
    json::object result;
    result["name"] = ref.name;
    result["tag"] = ref.tag;
    if (!ref.digest.empty()) result["digest"] = ref.digest;
    return result;
}

void put_ref(json::object& status, std::string_view name, const ImageRef& ref) {
    if (!ref.empty()) {
        put_whole(status, name, to_json(ref));
    } else if (const auto* before = status.find(name); before != status.end()) {
        status.stable_erase(before);
    }
}

ImageRef ref_from(const json::value* value) {
    if (value == nullptr || !value->is_object()) return {};
    const auto text = [&](std::string_view name) {
        return std::string{kube::find_string(value->get_object(), {name})};
    };
    return {.name = text("name"), .tag = text("tag"), .digest = text("digest")};
}

ImageRef ref_in(const kube::Object& object, std::string_view name) {
    return object.status() == nullptr ? ImageRef{} : ref_from(object.status()->if_contains(name));
}

std::vector<std::string> texts_in(const kube::Object& object,
                                  std::initializer_list<std::string_view> path) {
    std::vector<std::string> result;
    const auto* list = object.status() == nullptr ? nullptr : kube::find(*object.status(), path);
    if (list == nullptr || !list->is_array()) return result;
    for (const auto& item : list->get_array()) {
        if (item.is_string()) result.emplace_back(item.get_string());
    }
    return result;
}

json::array to_json(const std::vector<std::string>& texts) {
    json::array result;
    for (const auto& text : texts) result.emplace_back(text);
    return result;
}

/// "key=value" of each; a key without value alone, as `git push --push-option` takes both.
std::vector<std::string> options_of(const Reader& push) {
    std::vector<std::string> result;
    for (const auto& [key, value] : push.texts("options"))
        result.push_back(value.empty() ? key : key + "=" + value);
    return result;
}

/// nullopt: it is no name of an image, as the scan will say.
std::optional<oci::Reference> address_of(const std::string& image) {
    try {
        return oci::Reference::parse(image);
    } catch (const Error&) {
        return std::nullopt;
    }
}

Duration required_interval(const Reader& spec) {
    const auto interval = spec.duration("interval", {});
    if (interval <= Duration{}) throw spec.bad("interval", "is required, and more than 0");
    return interval;
}

}  // namespace

ImageRepository ImageRepository::from_object(kube::Object object) {
    ImageRepository result;
    const Reader spec{object.spec()};
    result.image = spec.required("image");
    if (result.image.find("://") != std::string::npos)
        throw spec.bad("image", "has no scheme: registry.example.org/team/app");
    result.interval = required_interval(spec);
    // As Flux: as long as the interval, and a second at least.
    result.timeout = std::max(spec.duration("timeout", result.interval), Duration{1'000});
    result.insecure = spec.flag("insecure");
    result.suspend = spec.flag("suspend");
    auto exclusions = spec.array("exclusionList");
    if (exclusions.empty()) exclusions.emplace_back(default_exclusion);
    if (exclusions.size() > exclusion_limit)
        throw spec.bad("exclusionList", "has more than " + std::to_string(exclusion_limit));
    int size = 0;
    for (const auto& item : exclusions) {
        if (!item.is_string()) throw spec.bad("exclusionList", "not a list of patterns");
        auto pattern = compile_pattern(std::string{item.get_string()}, "spec.exclusionList");
        size += pattern->ProgramSize();
        result.exclusions.push_back(std::move(pattern));
    }
    if (size > pattern_size_limit)
        throw spec.bad("exclusionList", "its patterns are too large together");
    const auto access = spec.object("accessFrom");
    for (const auto& item : access.array("namespaceSelectors")) {
        if (!item.is_object()) throw access.bad("namespaceSelectors", "not a list of selectors");
        result.access_from.push_back(kube::LabelSelector::from_object(item.get_object()));
    }
    result.secrets = registry_secrets_in(spec, object.ns(), "image", address_of(result.image),
                                         result.unsupported);
    result.object = std::move(object);
    return result;
}

ImageRepositoryStatus ImageRepositoryStatus::from_object(const kube::Object& object) {
    ImageRepositoryStatus result;
    result.read_common(object);
    result.canonical_name = text_in(object, {"canonicalImageName"});
    result.observed_exclusions = texts_in(object, {"observedExclusionList"});
    result.revision = text_in(object, {"lastScanResult", "revision"});
    result.scan_time = text_in(object, {"lastScanResult", "scanTime"});
    result.latest_tags = texts_in(object, {"lastScanResult", "latestTags"});
    if (object.status() != nullptr) {
        const auto* count = kube::find(*object.status(), {"lastScanResult", "tagCount"});
        if (count != nullptr && count->is_int64()) result.tag_count = count->get_int64();
    }
    return result;
}

void ImageRepositoryStatus::write_to(kube::Object& object) const {
    auto& status = write_common(object);
    set_or_erase(status, "canonicalImageName", canonical_name);
    if (scan_time.empty()) return;
    status["observedExclusionList"] = to_json(observed_exclusions);
    json::object scan;
    scan["latestTags"] = to_json(latest_tags);
    scan["revision"] = revision;
    scan["scanTime"] = scan_time;
    scan["tagCount"] = tag_count;
    status["lastScanResult"] = std::move(scan);
}

ImagePolicy ImagePolicy::from_object(kube::Object object) {
    ImagePolicy result;
    const Reader spec{object.spec()};
    const auto repository = spec.object("imageRepositoryRef");
    result.repository = {.kind = "ImageRepository",
                         .ns = repository.text("namespace"),
                         .name = repository.required("name")};
    if (result.repository.ns.empty()) result.repository.ns = object.ns();
    result.choice = TagChoice::from_spec(spec);
    const auto digest = spec.text("digestReflectionPolicy");
    const auto interval = spec.duration("interval", {});
    if (digest == "Always") {
        result.digest = Digest::always;
        if (interval <= Duration{})
            throw spec.bad("interval", "is required with digestReflectionPolicy: Always");
        result.interval = interval;
    } else if (digest == "IfNotPresent") {
        result.digest = Digest::if_not_present;
    } else if (!digest.empty() && digest != "Never") {
        throw spec.bad("digestReflectionPolicy",
                       "'" + digest + "' is none of Always, IfNotPresent and Never");
    }
    if (result.digest != Digest::always && interval != Duration{})
        throw spec.bad("interval", "goes with digestReflectionPolicy: Always only");
    result.suspend = spec.flag("suspend");
    result.object = std::move(object);
    return result;
}

ImagePolicyStatus ImagePolicyStatus::from_object(const kube::Object& object) {
    ImagePolicyStatus result;
    result.read_common(object);
    result.latest = ref_in(object, "latestRef");
    result.previous = ref_in(object, "observedPreviousRef");
    return result;
}

void ImagePolicyStatus::write_to(kube::Object& object) const {
    auto& status = write_common(object);
    put_ref(status, "latestRef", latest);
    put_ref(status, "observedPreviousRef", previous);
}

ImageUpdateAutomation ImageUpdateAutomation::from_object(kube::Object object) {
    ImageUpdateAutomation result;
    const Reader spec{object.spec()};
    result.source = repository_named(spec, object.ns());
    if (spec.field("git") == nullptr) throw spec.bad("git", "is required");
    const auto git = spec.object("git");
    if (git.field("checkout") != nullptr) {
        const auto ref = git.object("checkout").object("ref");
        result.checkout = git::Reference{.branch = ref.text("branch"),
                                         .tag = ref.text("tag"),
                                         .name = ref.text("name"),
                                         .commit = ref.text("commit"),
                                         .semver = ref.text("semver")};
    }
    const auto commit = git.object("commit");
    const auto author = commit.object("author");
    result.author = {.name = author.text("name"), .email = author.required("email")};
    result.message_template = commit.text("messageTemplate");
    result.values = commit.texts("messageTemplateValues");
    if (commit.field("signingKey") != nullptr) {
        const auto key = commit.object("signingKey");
        result.signing_secret_name = key.object("secretRef").required("name");
        if (const auto type = key.text("type"); !type.empty() && type != "gpg")
            result.unsupported.push_back({key.path() + ".type: " + type});
    }
    const auto push = git.object("push");
    result.push_branch = push.text("branch");
    result.push_refspec = push.text("refspec");
    result.push_options = options_of(push);
    const auto update = spec.object("update");
    if (const auto strategy = update.text("strategy"); !strategy.empty() && strategy != "Setters")
        throw update.bad("strategy", "'" + strategy + "' is not Setters");
    result.path = update.text("path");
    if (const auto* selector = spec.field("policySelector")) {
        if (!selector->is_object()) throw spec.bad("policySelector", "not a mapping");
        try {
            result.policies = kube::LabelSelector::from_object(selector->get_object());
        } catch (const Error& error) {
            throw spec.bad("policySelector", error.what());
        }
    }
    result.interval = required_interval(spec);
    result.suspend = spec.flag("suspend");
    result.object = std::move(object);
    return result;
}

ImageUpdateAutomationStatus ImageUpdateAutomationStatus::from_object(const kube::Object& object) {
    ImageUpdateAutomationStatus result;
    result.read_common(object);
    result.last_run = text_in(object, {"lastAutomationRunTime"});
    result.last_push_commit = text_in(object, {"lastPushCommit"});
    result.last_push_time = text_in(object, {"lastPushTime"});
    result.observed_source_revision = text_in(object, {"observedSourceRevision"});
    const auto* observed =
        object.status() == nullptr ? nullptr : object.status()->if_contains("observedPolicies");
    if (observed != nullptr && observed->is_object()) {
        for (const auto& item : observed->get_object()) {
            if (item.value().is_object())
                result.observed_policies.emplace(item.key(), ref_from(&item.value()));
        }
    }
    return result;
}

void ImageUpdateAutomationStatus::write_to(kube::Object& object) const {
    auto& status = write_common(object);
    set_or_erase(status, "lastAutomationRunTime", last_run);
    set_or_erase(status, "lastPushCommit", last_push_commit);
    set_or_erase(status, "lastPushTime", last_push_time);
    set_or_erase(status, "observedSourceRevision", observed_source_revision);
    json::object policies;
    for (const auto& [name, ref] : observed_policies) {
        auto fields = to_json(ref);
        if (ref.digest.empty()) fields["digest"] = nullptr;
        policies[name] = std::move(fields);
    }
    put_whole(status, "observedPolicies", std::move(policies));
}

ImageRef latest_ref(const kube::Object& policy) {
    auto ref = ref_in(policy, "latestRef");
    return is_image_ref(ref) ? ref : ImageRef{};
}

}  // namespace kled::gitops
