#include "base/error.h"

#include <cerrno>
#include <system_error>

namespace kled {

std::string_view to_string(ErrorKind kind) noexcept {
    switch (kind) {
        case ErrorKind::invalid: return "invalid";
        case ErrorKind::not_found: return "not found";
        case ErrorKind::conflict: return "conflict";
        case ErrorKind::denied: return "denied";
        case ErrorKind::exhausted: return "exhausted";
        case ErrorKind::unavailable: return "unavailable";
        case ErrorKind::internal: return "internal";
    }
    return "internal";
}

namespace {
ErrorKind kind_of(int code) noexcept {
    switch (code) {
        case ENOENT: return ErrorKind::not_found;
        case EACCES:
        case EPERM:
        case EROFS: return ErrorKind::denied;
        case ENOSPC:
        case EDQUOT:
        case EFBIG:
        case EMFILE:
        case ENFILE:
        case ENOMEM: return ErrorKind::exhausted;
        case EEXIST:
        case ENOTEMPTY: return ErrorKind::conflict;
        case ENOTDIR:
        case EISDIR:
        case ENAMETOOLONG:
        case ELOOP:
        case EINVAL: return ErrorKind::invalid;
        default: return ErrorKind::unavailable;
    }
}
}  // namespace

Error from_errno(int code, std::string_view context) {
    return {kind_of(code), std::string{context} + ": " + std::generic_category().message(code)};
}

}  // namespace kled
