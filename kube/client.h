/// A typed-error client for any Kubernetes API: dynamic objects, all verbs.
#pragma once

#include "base/error.h"
#include "kube/gvk.h"
#include "kube/object.h"
#include "kube/schema.h"
#include "kube/transport.h"

#include <boost/asio/awaitable.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace kled::kube {

/// A `metav1.Status` answer: kind() from its reason, what() is its message.
class StatusError : public Error {
public:
    struct Cause {
        std::string type;  ///< "FieldManagerConflict", "FieldValueInvalid"
        std::string field;
        std::string message;
    };
    StatusError(ErrorKind kind, const std::string& message, int code, std::string reason,
                std::vector<Cause> causes)
        : Error{kind, message},
          code_{code},
          reason_{std::move(reason)},
          causes_{std::move(causes)} {}
    [[nodiscard]] int code() const noexcept { return code_; }
    [[nodiscard]] const std::string& reason() const noexcept {
        return reason_;
    }  ///< "AlreadyExists"
    [[nodiscard]] const std::vector<Cause>& causes() const noexcept { return causes_; }
    /// From an answer of status >= 400, whatever its body.
    static StatusError from_response(const net::Response& response);
    /// From a `Status` object; `code` where it has none.
    static StatusError from_status(const json::object& status, int code);

private:
    int code_;
    std::string reason_;
    std::vector<Cause> causes_;
};

/// Where a kind is served.
struct Mapping {
    GroupVersionResource resource;
    std::string kind;
    Scope scope = Scope::namespaced;
};

struct ListOptions {
    std::string ns;  ///< empty: all namespaces
    std::string label_selector;
    std::string field_selector;
    std::size_t page = 500;
    /// PartialObjectMetadata, by that kind: the server leaves the rest out, where it can.
    bool metadata_only = false;

    /// For the Accept header, of a list or of one object (as a watch has them).
    [[nodiscard]] std::string accepted(bool of_list) const;
};

struct ApplyOptions {
    std::string field_manager = "kled";
    bool force = true;
    bool dry_run = false;
};

struct DeleteOptions {
    std::string propagation = "Background";
    std::string uid;  ///< precondition when given
    bool dry_run = false;
};

enum class PatchType { json, merge, strategic };

/// Used from one loop; reference arguments outlive the task. What the server refuses is StatusError
/// (when it says Retry-After, first tried again a few times); what does not reach it is
/// Error(unavailable); a kind it does not serve is Error(not_found). `ns` is ignored for
/// cluster-scoped kinds.
class Client {
public:
    explicit Client(std::shared_ptr<Transport> transport);
    ~Client();

    /// The preferred version of `group`, or the given one; nullopt when it is not served. Discovery
    /// is read once and again when a kind is missing (at most every second).
    boost::asio::awaitable<std::optional<Mapping>> map(const GroupVersionKind& gvk);
    boost::asio::awaitable<std::optional<Mapping>> map(const ObjectId& id);
    /// Something new is served: the next missing kind is looked for without a pause.
    void discovery_changed() noexcept;

    boost::asio::awaitable<std::optional<Object>> get(const GroupVersionKind& gvk,
                                                      const std::string& ns,
                                                      const std::string& name);
    /// All pages; `resource_version` of the list is returned with them.
    struct List {
        std::vector<Object> items;
        std::string resource_version;
    };
    boost::asio::awaitable<List> list(const GroupVersionKind& gvk, const ListOptions& options);
    /// The same, handed over page by page; `first` also when the list begins anew because it
    /// expired between two pages: what was handed over before is void. Returns resource_version.
    using PageSink = std::function<void(std::vector<Object> items, bool first)>;
    boost::asio::awaitable<std::string> each_page(const GroupVersionKind& gvk,
                                                  const ListOptions& options, PageSink sink);
    boost::asio::awaitable<Object> create(const Object& object);
    boost::asio::awaitable<Object> update(const Object& object);
    boost::asio::awaitable<Object> update_status(const Object& object);
    boost::asio::awaitable<Object> patch(const GroupVersionKind& gvk, const std::string& ns,
                                         const std::string& name, PatchType type,
                                         const json::value& patch, const std::string& subresource);
    /// Server-side apply. `subresource`: "" or "status".
    boost::asio::awaitable<Object> apply(const Object& object, const ApplyOptions& options,
                                         const std::string& subresource = {});
    /// False when it was not there.
    boost::asio::awaitable<bool> remove(const GroupVersionKind& gvk, const std::string& ns,
                                        const std::string& name, const DeleteOptions& options);

    /// The path of a collection: "/apis/apps/v1/namespaces/web/deployments".
    [[nodiscard]] static std::string path(const Mapping& mapping, const std::string& ns);
    Transport& transport() noexcept;

private:
    boost::asio::awaitable<Object> put(Object object, std::string subresource);
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace kled::kube
