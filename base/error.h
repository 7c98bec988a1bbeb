/// The one exception family of kled, and the kinds its boundaries act on.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace kled {

/// What a caller can do about a failure; the wording is in the message. Each boundary has one table
/// from kind to its own language: cli → exit status, gateway → HTTP status, gitops → condition.
enum class ErrorKind {
    invalid,      ///< the input is wrong; retrying does not help
    not_found,    ///< a named thing is absent
    conflict,     ///< someone else changed it; read again and retry
    denied,       ///< authentication, authorisation or policy refused
    exhausted,    ///< a stated limit would be passed
    unavailable,  ///< the other side did not answer; retry with backoff
    internal,     ///< a bug in kled
};

[[nodiscard]] std::string_view to_string(ErrorKind kind) noexcept;

class Error : public std::runtime_error {
public:
    Error(ErrorKind kind, const std::string& message) : std::runtime_error{message}, kind_{kind} {}
    [[nodiscard]] ErrorKind kind() const noexcept { return kind_; }

    /// The same failure seen from one layer up: "<context>: <message>", kind unchanged.
    [[nodiscard]] Error within(std::string_view context) const {
        return {kind_, std::string{context} + ": " + what()};
    }

private:
    ErrorKind kind_;
};

/// What the system's `code` means to a caller, worded "<context>: <the system's text>": ENOENT is
/// not_found, EACCES denied, ENOSPC exhausted, EEXIST conflict, ENOTDIR invalid; the rest
/// unavailable.
[[nodiscard]] Error from_errno(int code, std::string_view context);

}  // namespace kled
