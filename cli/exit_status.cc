#include "cli/command.h"

namespace kled::cli {

int exit_status(ErrorKind kind) noexcept {
    switch (kind) {
        case ErrorKind::invalid: return 2;
        case ErrorKind::not_found: return 3;
        case ErrorKind::conflict: return 4;
        case ErrorKind::denied: return 5;
        case ErrorKind::exhausted: return 6;
        case ErrorKind::unavailable: return 7;
        case ErrorKind::internal: return 70;
    }
    return 70;
}

}  // namespace kled::cli
