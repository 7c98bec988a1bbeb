/// Flux's objects of image.toolkit.fluxcd.io as kled reads them, and what it writes back.
#pragma once

#include "gitops/access/registry_access.h"
#include "gitops/git/change.h"
#include "gitops/git/revision.h"
#include "gitops/image/choice.h"
#include "gitops/image/group.h"
#include "gitops/image/setters.h"
#include "gitops/objects/api.h"
#include "kube/selector.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace kled::gitops {

struct ImageRepository {
    kube::Object object;
    std::string image;
    Duration interval{};
    Duration timeout{};
    RegistrySecrets secrets;
    bool insecure = false;
    bool suspend = false;
    /// Of `exclusionList`; a tag in which one of them is found does not count.
    std::vector<std::shared_ptr<const re2::RE2>> exclusions;
    /// Labels of other namespaces whose policies may use it (`accessFrom`), any of them; none: no
    /// other namespace.
    std::vector<kube::LabelSelector> access_from;
    std::vector<Unsupported> unsupported;

    /// Error(invalid) "spec.image: …".
    static ImageRepository from_object(kube::Object object);
};

struct ImageRepositoryStatus : CommonStatus {
    std::string canonical_name;
    std::vector<std::string> observed_exclusions;
    // lastScanResult
    std::string revision;  ///< of the tags; empty: never scanned
    std::int64_t tag_count = 0;
    std::vector<std::string> latest_tags;
    std::string scan_time;

    static ImageRepositoryStatus from_object(const kube::Object& object);
    void write_to(kube::Object& object) const;
    bool operator==(const ImageRepositoryStatus&) const = default;
};

struct ImagePolicy {
    enum class Digest { never, if_not_present, always };
    kube::Object object;
    Key repository;
    TagChoice choice;
    Digest digest = Digest::never;
    Duration interval{};  ///< of `always`
    bool suspend = false;
    std::vector<Unsupported> unsupported;

    static ImagePolicy from_object(kube::Object object);
};

struct ImagePolicyStatus : CommonStatus {
    ImageRef latest;    ///< empty: nothing elected yet
    ImageRef previous;  ///< observedPreviousRef

    static ImagePolicyStatus from_object(const kube::Object& object);
    void write_to(kube::Object& object) const;
    bool operator==(const ImagePolicyStatus&) const = default;
};

struct ImageUpdateAutomation {
    kube::Object object;
    Key source;
    std::optional<git::Reference> checkout;  ///< none: that of the GitRepository
    git::Author author;
    std::string signing_secret_name;  ///< of a PGP key; empty: commits are not signed
    std::string message_template;
    std::map<std::string, std::string> values;  ///< messageTemplateValues
    std::string push_branch;
    std::string push_refspec;
    std::vector<std::string> push_options;  ///< "key=value", "key"
    std::string path;                       ///< spec.update.path
    kube::LabelSelector policies;
    Duration interval{};
    bool suspend = false;
    std::vector<Unsupported> unsupported;

    static ImageUpdateAutomation from_object(kube::Object object);
};

struct ImageUpdateAutomationStatus : CommonStatus {
    std::string last_run;  ///< lastAutomationRunTime
    std::string last_push_commit;
    std::string last_push_time;
    std::map<std::string, ImageRef> observed_policies;
    std::string observed_source_revision;

    static ImageUpdateAutomationStatus from_object(const kube::Object& object);
    void write_to(kube::Object& object) const;
    bool operator==(const ImageUpdateAutomationStatus&) const = default;
};

/// `status.latestRef` of an ImagePolicy, whoever wrote it; empty: it has none, or no valid one.
[[nodiscard]] ImageRef latest_ref(const kube::Object& policy);

}  // namespace kled::gitops
