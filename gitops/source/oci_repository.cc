#include "gitops/source/oci_repository.h"

#include "base/error.h"
#include "gitops/objects/fields.h"
#include "gitops/objects/pattern.h"

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>
#include <re2/re2.h>

#include <algorithm>
#include <optional>

namespace kled::gitops {

namespace {

oci::Reference repository_in(const Reader& spec, const std::string& url) {
    constexpr std::string_view scheme = "oci://";
    if (!url.starts_with(scheme)) throw spec.bad("url", "'" + url + "' does not begin with oci://");
    auto result = [&] {
        try {
            return oci::Reference::parse(std::string_view{url}.substr(scheme.size()));
        } catch (const Error& error) {
            throw spec.bad("url", error.what());
        }
    }();
    if (!result.tag.empty() || !result.digest.empty())
        throw spec.bad("url", "'" + url + "' names a tag or a digest: spec.ref says which");
    return result;
}

OciRepository::Ref ref_in(const Reader& ref) {
    OciRepository::Ref result;
    result.digest = ref.text("digest");
    if (!result.digest.empty() && !oci::is_digest(result.digest))
        throw ref.bad("digest", "'" + result.digest + "' is not sha256:<64 hex digits>");
    result.tag = ref.text("tag");
    if (!result.tag.empty() && !oci::is_tag(result.tag))
        throw ref.bad("tag", "'" + result.tag + "' is no tag");
    result.semver = ref.text("semver");
    if (!result.semver.empty()) {
        try {
            result.range = git::VersionRange::parse(result.semver);
        } catch (const Error& error) {
            throw ref.bad("semver", error.what());
        }
    }
    if (const auto filter = ref.text("semverFilter"); !filter.empty())
        result.filter = compile_pattern(filter, ref.path() + ".semverFilter");
    return result;
}

OciRepository::LayerSelector layer_in(const Reader& selector) {
    OciRepository::LayerSelector result;
    result.media_type = selector.text("mediaType");
    const auto operation = selector.text("operation");
    result.copy = operation == "copy";
    if (!operation.empty() && operation != "extract" && !result.copy)
        throw selector.bad("operation", "'" + operation + "' is neither extract nor copy");
    return result;
}

/// Keys in a Secret; other ways to know a signature are not supported.
void read_verify(const Reader& verify, OciRepository& result) {
    result.verify = verify.object("secretRef").text("name");
    if (const auto provider = verify.text("provider"); !provider.empty() && provider != "cosign")
        result.unsupported.push_back({"spec.verify.provider: " + provider});
    if (verify.field("matchOIDCIdentity") != nullptr)
        result.unsupported.push_back({"spec.verify.matchOIDCIdentity"});
    if (result.verify.empty() && result.unsupported.empty())
        result.unsupported.push_back({"spec.verify without secretRef"});
}

}  // namespace

OciRepository OciRepository::from_object(kube::Object object) {
    OciRepository result;
    const Reader spec{object.spec()};
    result.url = spec.required("url");
    result.repository = repository_in(spec, result.url);
    result.ref = ref_in(spec.object("ref"));
    result.layer_given = spec.field("layerSelector") != nullptr;
    result.layer = layer_in(spec.object("layerSelector"));
    result.ignore = spec.text("ignore");
    result.insecure = spec.flag("insecure");
    result.interval = spec.duration("interval", {});
    if (result.interval <= Duration{}) throw spec.bad("interval", "is required, and more than 0");
    result.timeout = spec.duration("timeout", Duration{60'000});
    result.suspend = spec.flag("suspend");
    if (spec.field("verify") != nullptr) read_verify(spec.object("verify"), result);
    result.secrets =
        registry_secrets_in(spec, object.ns(), "url", result.repository, result.unsupported);
    result.object = std::move(object);
    return result;
}

std::string OciRepository::Ref::choose(const std::vector<std::string>& tags,
                                       const std::stop_token& stop) const {
    const std::string* best = nullptr;
    std::optional<git::Version> best_version;
    for (const auto& candidate : tags) {
        if (stop.stop_requested())
            throw boost::system::system_error{boost::asio::error::operation_aborted};
        if (filter && !re2::RE2::PartialMatch(candidate, *filter)) continue;
        const auto version = git::Version::parse(candidate);
        if (!version || !range.contains(*version)) continue;
        // "1.0.0" and "v1.0.0" are one version: whatever their order, the same is chosen.
        if (best != nullptr &&
            (*version < *best_version || (*version == *best_version && candidate > *best)))
            continue;
        best = &candidate;
        best_version = version;
    }
    if (best == nullptr) {
        throw Error{ErrorKind::not_found, "none of " + std::to_string(tags.size()) +
                                              " tags fits spec.ref.semver '" + semver + "'" +
                                              (filter ? " and semverFilter" : "")};
    }
    return *best;
}

oci::Descriptor OciRepository::LayerSelector::select(const oci::Manifest& manifest) const {
    if (manifest.layers.empty()) throw Error{ErrorKind::not_found, "the artifact has no layers"};
    if (media_type.empty()) return manifest.layers.front();
    const auto found = std::ranges::find(manifest.layers, media_type, &oci::Descriptor::media_type);
    if (found == manifest.layers.end()) {
        throw Error{ErrorKind::not_found,
                    "the artifact has no layer of spec.layerSelector's "
                    "mediaType '" +
                        media_type + "'"};
    }
    return *found;
}

kube::json::object OciRepository::LayerSelector::to_json() const {
    kube::json::object result;
    if (!media_type.empty()) result["mediaType"] = media_type;
    result["operation"] = copy ? "copy" : "extract";
    return result;
}

}  // namespace kled::gitops
