/// What a request asks for: its path and query as the Kubernetes API reads them, and the forms of
/// answer it accepts.
#pragma once

#include "apiserver/registry.h"
#include "apiserver/storage.h"
#include "kube/selector.h"
#include "net/http.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kled::api {

struct User {
    std::string name;
    std::vector<std::string> groups;
    [[nodiscard]] bool in_group(std::string_view group) const noexcept;
};

enum class Verb { get, list, watch, create, update, patch, remove, remove_collection };

/// A path below /api/v1 or /apis/GROUP/VERSION.
struct ResourcePath {
    std::string group;
    std::string version;
    std::string resource;
    std::string ns;             ///< empty: cluster-scoped, or all namespaces
    std::string name;           ///< empty: the collection
    std::string subresource;    ///< "status", "scale", "finalize"
    bool watch_prefix = false;  ///< the old /watch/ form
};
/// nullopt: no path of a resource (discovery, health).
[[nodiscard]] std::optional<ResourcePath> parse_resource_path(std::string_view path);
/// Refusal 405 for a method that has no verb here.
[[nodiscard]] Verb verb_of(std::string_view method, const ResourcePath& path, bool watch);

/// How objects are to be sent, from the Accept header.
struct Form {
    enum class As { object, table, partial } as = As::object;
    bool yaml = false;
    kube::IncludeObject include = kube::IncludeObject::metadata;  ///< in a table's rows
};
/// The first media range that can be served; Refusal 406 when there is none.
[[nodiscard]] Form negotiate(std::string_view accept, const net::Target& target);
/// "v2" or "v2beta1" when aggregated discovery is asked for and preferred, else empty.
[[nodiscard]] std::string aggregated_discovery_version(std::string_view accept);

/// metav1.ListOptions.
struct ListOptions {
    kube::LabelSelector labels;
    std::vector<kube::FieldRequirement> fields;
    std::string label_text;
    std::string field_text;
    std::size_t limit = 0;
    std::string continue_token;
    std::optional<Version> version;  ///< absent and "0" differ
    std::string version_match;       ///< "", "Exact", "NotOlderThan"
    bool bookmarks = false;
    std::optional<bool> send_initial_events;
    std::optional<std::chrono::seconds> timeout;
};
/// Refusal 400, or 422 for a combination upstream forbids (internalversion/validation).
[[nodiscard]] ListOptions list_options(const net::Target& target, bool watch);

enum class FieldValidation { ignore, warn, strict };

/// Of create, update, patch, delete.
struct WriteOptions {
    bool dry_run = false;
    bool force = false;
    std::string field_manager;  ///< from the query, else the first part of the User-Agent
    FieldValidation validation = FieldValidation::warn;
};
[[nodiscard]] WriteOptions write_options(const net::Target& target, std::string_view user_agent);

/// Decides on objects by labels and fields.
class Filter {
public:
    Filter() = default;
    /// Refusal 400 for a field that `resource` cannot be selected by.
    Filter(const Resource& resource, const ListOptions& options);
    [[nodiscard]] bool all() const noexcept { return labels_.empty() && fields_.empty(); }
    [[nodiscard]] bool matches(const kube::Object& object) const;
    /// The same for encoded bytes, parsed only where that decides.
    [[nodiscard]] bool matches(const Bytes& bytes) const;

private:
    kube::LabelSelector labels_;
    std::vector<kube::FieldRequirement> fields_;
};

/// Where a list goes on: opaque to clients.
struct Continue {
    Version version = 0;  ///< of the snapshot; 0: whatever is current
    Key after;
    [[nodiscard]] std::string encode() const;
    static Continue decode(std::string_view token);  ///< Refusal 400
};

}  // namespace kled::api
