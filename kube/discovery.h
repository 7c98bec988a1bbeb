/// Which kinds a server serves and where: its discovery documents, read.
#pragma once

#include "kube/client.h"
#include "kube/object.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kled::kube {

/// Mappings in the server's order: of a group, the preferred version first. Throws nothing for
/// documents that are not as expected: what they do not say is not served.
class Discovery {
public:
    /// An `APIGroupDiscoveryList` (apidiscovery.k8s.io/v2), from /api or /apis.
    void add_aggregated(const json::value& list);
    /// An `APIResourceList` of one version, from /api/v1 or /apis/<group>/<version>.
    void add_version(std::string_view api_version, const json::value& list);

    [[nodiscard]] std::optional<Mapping> find(const GroupVersionKind& gvk) const;
    /// The first version that has the kind.
    [[nodiscard]] std::optional<Mapping> find(std::string_view group, std::string_view kind) const;
    [[nodiscard]] const std::vector<Mapping>& all() const noexcept { return mappings_; }

private:
    void add(Mapping mapping);
    std::vector<Mapping> mappings_;
};

/// The api versions an `APIGroupList` (/apis) or `APIVersions` (/api) names, preferred ones first
/// within their group.
[[nodiscard]] std::vector<std::string> listed_versions(const json::value& document);

}  // namespace kled::kube
