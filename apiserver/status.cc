#include "apiserver/status.h"

#include <algorithm>
#include <array>
#include <utility>

namespace kled::api {

namespace {

std::string in_quotes(std::string_view text) { return '"' + std::string{text} + '"'; }

Refusal::Details details_of(const Subject& subject) {
    Refusal::Details details;
    details.name = subject.name;
    details.group = subject.group;
    details.kind = subject.resource;
    return details;
}

struct FieldErrorText {
    std::string_view reason;
    std::string_view label;
};
constexpr std::array<FieldErrorText, 7> field_error_texts{{
    {"FieldValueInvalid", "Invalid value"},
    {"FieldValueRequired", "Required value"},
    {"FieldValueForbidden", "Forbidden"},
    {"FieldValueNotSupported", "Unsupported value"},
    {"FieldValueDuplicate", "Duplicate value"},
    {"FieldValueTypeInvalid", "Invalid value"},
    {"FieldValueTooLong", "Too long"},
}};

}  // namespace

Refusal::Refusal(unsigned code, std::string reason, const std::string& message, Details details)
    : Error{code == 404                  ? ErrorKind::not_found
            : code == 409                ? ErrorKind::conflict
            : code == 401 || code == 403 ? ErrorKind::denied
            : code == 413 || code == 429 ? ErrorKind::exhausted
            : code == 500                ? ErrorKind::internal
            : code > 500                 ? ErrorKind::unavailable
                                         : ErrorKind::invalid,
            message},
      code_{code},
      reason_{std::move(reason)},
      details_{std::move(details)} {}

json::object Refusal::to_status() const {
    json::object details;
    const auto put = [&](std::string_view key, const std::string& value) {
        if (!value.empty()) details[key] = value;
    };
    put("name", details_.name);
    put("group", details_.group);
    put("kind", details_.kind);
    put("uid", details_.uid);
    if (!details_.causes.empty()) {
        json::array causes;
        for (const auto& cause : details_.causes) {
            json::object one;
            if (!cause.reason.empty()) one["reason"] = cause.reason;
            if (!cause.message.empty()) one["message"] = cause.message;
            if (!cause.field.empty()) one["field"] = cause.field;
            causes.push_back(std::move(one));
        }
        details["causes"] = std::move(causes);
    }
    if (details_.retry_after_seconds > 0)
        details["retryAfterSeconds"] = details_.retry_after_seconds;

    json::object status;
    status["kind"] = "Status";
    status["apiVersion"] = "v1";
    status["metadata"] = json::object{};
    status["status"] = "Failure";
    status["message"] = what();
    status["reason"] = reason_;
    if (!details.empty()) status["details"] = std::move(details);
    status["code"] = code_;
    return status;
}

Refusal Refusal::from(const std::exception& error) {
    if (const auto* refusal = dynamic_cast<const Refusal*>(&error)) return *refusal;
    const auto* ours = dynamic_cast<const Error*>(&error);
    const std::string message = error.what();
    switch (ours != nullptr ? ours->kind() : ErrorKind::internal) {
        case ErrorKind::invalid: return {400, "BadRequest", message, {}};
        case ErrorKind::not_found: return {404, "NotFound", message, {}};
        case ErrorKind::conflict: return {409, "Conflict", message, {}};
        case ErrorKind::denied: return {403, "Forbidden", message, {}};
        case ErrorKind::exhausted: return {507, "InsufficientStorage", message, {}};
        case ErrorKind::unavailable: {
            Details details;
            details.retry_after_seconds = 1;
            return {503, "ServiceUnavailable", message, std::move(details)};
        }
        case ErrorKind::internal: break;
    }
    Details details;
    details.causes.push_back({"", message, ""});
    return {500, "InternalError", "Internal error occurred: " + message, std::move(details)};
}

std::string Subject::qualified() const { return group.empty() ? resource : resource + "." + group; }

Refusal not_found(const Subject& subject) {
    return {404, "NotFound", subject.qualified() + " " + in_quotes(subject.name) + " not found",
            details_of(subject)};
}

Refusal already_exists(const Subject& subject) {
    return {409, "AlreadyExists",
            subject.qualified() + " " + in_quotes(subject.name) + " already exists",
            details_of(subject)};
}

Refusal conflict(const Subject& subject, std::string_view why) {
    return {409, "Conflict",
            "Operation cannot be fulfilled on " + subject.qualified() + " " +
                in_quotes(subject.name) + ": " + std::string{why},
            details_of(subject)};
}

Refusal modified(const Subject& subject) {
    return conflict(subject,
                    "the object has been modified; please apply your changes to the latest version "
                    "and try again");
}

Refusal forbidden(const Subject& subject, std::string_view why) {
    auto message = subject.qualified();
    if (!subject.name.empty()) message += " " + in_quotes(subject.name);
    return {403, "Forbidden", message + " is forbidden: " + std::string{why}, details_of(subject)};
}

Refusal bad_request(const std::string& message) { return {400, "BadRequest", message, {}}; }

Refusal unauthorized() { return {401, "Unauthorized", "Unauthorized", {}}; }

Refusal method_not_supported(const Subject& subject, std::string_view verb) {
    auto details = details_of(subject);
    details.name.clear();
    return {405, "MethodNotAllowed",
            std::string{verb} + " is not supported on resources of kind " +
                in_quotes(subject.qualified()),
            std::move(details)};
}

Refusal unknown_path() {
    return {404, "NotFound", "the server could not find the requested resource", {}};
}

Refusal expired(const std::string& message) { return {410, "Expired", message, {}}; }

Refusal too_large_version(std::uint64_t asked, std::uint64_t current) {
    Refusal::Details details;
    details.causes.push_back({"ResourceVersionTooLarge", "Too large resource version", ""});
    details.retry_after_seconds = 1;
    return {504, "Timeout",
            "Too large resource version: " + std::to_string(asked) +
                ", current: " + std::to_string(current),
            std::move(details)};
}

Refusal unsupported_media_type(const std::string& message) {
    return {415, "UnsupportedMediaType", message, {}};
}

Refusal not_acceptable(const std::string& accepted) {
    return {406, "NotAcceptable", "only the following media types are accepted: " + accepted, {}};
}

std::string FieldError::message() const {
    std::string text{field_error_texts[static_cast<std::size_t>(type)].label};
    const bool names_value =
        type != Type::required && type != Type::forbidden && type != Type::too_long;
    if (names_value) text += ": " + value;
    if (!detail.empty()) text += ": " + detail;
    return text;
}

Refusal invalid(std::string_view kind, std::string_view group, std::string_view name,
                const std::vector<FieldError>& errors) {
    Refusal::Details details;
    details.name = name;
    details.group = group;
    details.kind = kind;
    std::string all;
    for (const auto& error : errors) {
        if (!all.empty()) all += ", ";
        const auto body = error.message();
        all += error.field + ": " + body;
        details.causes.push_back(
            {std::string{field_error_texts[static_cast<std::size_t>(error.type)].reason}, body,
             error.field});
    }
    if (errors.size() > 1) all = "[" + all + "]";
    auto qualified = std::string{kind};
    if (!group.empty()) qualified += "." + std::string{group};
    return {422, "Invalid", qualified + " " + in_quotes(name) + " is invalid: " + all,
            std::move(details)};
}

}  // namespace kled::api
