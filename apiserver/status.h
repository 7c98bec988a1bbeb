/// What the API refuses, in Kubernetes' own words (apimachinery api/errors, apiserver
/// registry/rest): clients act on `reason` and people read `message`.
#pragma once

#include "base/error.h"
#include "kube/object.h"

#include <string>
#include <string_view>
#include <vector>

namespace kled::api {

namespace json = boost::json;

/// A `metav1.Status` of status "Failure".
class Refusal : public Error {
public:
    struct Cause {
        std::string reason;
        std::string message;
        std::string field;
    };
    struct Details {
        std::string name;
        std::string group;
        std::string kind;  ///< upstream puts the plural resource name here, or the kind for Invalid
        std::string uid;
        std::vector<Cause> causes;
        int retry_after_seconds = 0;
    };
    Refusal(unsigned code, std::string reason, const std::string& message, Details details);

    [[nodiscard]] unsigned code() const noexcept { return code_; }
    [[nodiscard]] const std::string& reason() const noexcept { return reason_; }
    [[nodiscard]] const Details& details() const noexcept { return details_; }
    [[nodiscard]] json::object to_status() const;

    /// What an exception of a lower layer becomes: Error by its kind, anything else a 500.
    static Refusal from(const std::exception& error);

private:
    unsigned code_;
    std::string reason_;
    Details details_;
};

/// Which object a refusal is about.
struct Subject {
    std::string group;
    std::string resource;  ///< plural
    std::string name;
    /// "deployments.apps", "configmaps".
    [[nodiscard]] std::string qualified() const;
};

[[nodiscard]] Refusal not_found(const Subject& subject);
[[nodiscard]] Refusal already_exists(const Subject& subject);
[[nodiscard]] Refusal conflict(const Subject& subject, std::string_view why);
/// The resourceVersion sent is not the current one.
[[nodiscard]] Refusal modified(const Subject& subject);
[[nodiscard]] Refusal forbidden(const Subject& subject, std::string_view why);
[[nodiscard]] Refusal bad_request(const std::string& message);
[[nodiscard]] Refusal unauthorized();
[[nodiscard]] Refusal method_not_supported(const Subject& subject, std::string_view verb);
[[nodiscard]] Refusal unknown_path();
[[nodiscard]] Refusal expired(const std::string& message);
[[nodiscard]] Refusal too_large_version(std::uint64_t asked, std::uint64_t current);
[[nodiscard]] Refusal unsupported_media_type(const std::string& message);
[[nodiscard]] Refusal not_acceptable(const std::string& accepted);

/// One thing that is wrong in an object (apimachinery util/validation/field).
struct FieldError {
    enum class Type {
        invalid,
        required,
        forbidden,
        not_supported,
        duplicate,
        type_invalid,
        too_long
    };
    Type type = Type::invalid;
    std::string field;  ///< "metadata.name", "spec.containers[0].image"
    std::string value;  ///< as it is quoted in the message: `"a b"`, `5`
    std::string detail;
    [[nodiscard]] std::string message() const;
};
/// 422: "<Kind>.<group> "<name>" is invalid: …".
[[nodiscard]] Refusal invalid(std::string_view kind, std::string_view group, std::string_view name,
                              const std::vector<FieldError>& errors);

}  // namespace kled::api
