#include "cli/address.h"

#include "base/error.h"

#include <charconv>

namespace kled::cli {

Address parse_address(std::string_view flag, std::string_view text) {
    const auto colon = text.rfind(':');
    Address address;
    if (colon != std::string_view::npos) {
        auto host = text.substr(0, colon);
        const auto port = text.substr(colon + 1);
        if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
        const auto [end, error] =
            std::from_chars(port.data(), port.data() + port.size(), address.port);
        address.host = host;
        if (error == std::errc{} && end == port.data() + port.size() && !address.host.empty())
            return address;
    }
    throw Error{ErrorKind::invalid,
                std::string{flag} + " \"" + std::string{text} + "\": expected host:port"};
}

}  // namespace kled::cli
