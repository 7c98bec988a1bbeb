#include "gitops/oci/redirect.h"

#include "base/error.h"

#include <utility>

namespace kled::gitops::oci {

std::string origin_of(const net::Url& url) {
    const auto host = url.host.find(':') == std::string::npos ? url.host : "[" + url.host + "]";
    return url.scheme + "://" + host + ":" + url.port;
}

bool is_redirect(unsigned status) noexcept {
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

net::Url resolve(const net::Url& from, const std::string& location) {
    auto text = location;
    if (text.starts_with("//")) {
        text = from.scheme + ":" + text;
    } else if (text.starts_with('/')) {
        text = origin_of(from) + text;
    } else if (text.starts_with('?')) {
        text = origin_of(from) + from.target.substr(0, from.target.find('?')) + text;
    }
    auto url = net::parse_url(text);
    if (url.scheme == "unix") throw Error{ErrorKind::invalid, "it leads to a socket"};
    url.user.clear();  // whoever wants to be shown something asks for it
    url.password.clear();
    return url;
}

net::Url redirected(const net::Url& from, const std::string& location) {
    auto next = resolve(from, location);
    if (from.scheme == "https" && next.scheme != "https") {
        throw Error{ErrorKind::denied,
                    "redirects from https to http://" + next.host + ":" + next.port};
    }
    return next;
}

}  // namespace kled::gitops::oci
