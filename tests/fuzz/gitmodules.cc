/// A line with a repository's URL, then its `.gitmodules`, as whoever writes to it may write it.
#include "gitops/git/gitmodules.h"

#include "base/error.h"
#include "gitops/git/submodules.h"
#include "tests/fuzz/target.h"

#include <string>

namespace {

using namespace kled;

/// Up to the path: "https://host/".
std::string_view server_of(std::string_view url) {
    const auto scheme = url.find("://");
    return url.substr(0, url.find('/', scheme == url.npos ? 0 : scheme + 3));
}

void look_at(std::string_view parent, const gitops::git::Submodule& module) {
    if (("/" + module.path + "/").find("/../") != std::string::npos || module.path.starts_with('/'))
        fuzz::broken("a submodule stays inside its repository", module.path);
    try {
        const auto url = gitops::git::submodule_url(parent, module.url);
        if (url.starts_with('-') || url.find("::") == 0)
            fuzz::broken("a URL is no option and no program", url);
        const bool relative = module.url.starts_with("./") || module.url.starts_with("../");
        if (relative && server_of(url) != server_of(parent))
            fuzz::broken("a relative URL stays on its server", url);
        if (url.starts_with("file://") && !parent.starts_with("file://"))
            fuzz::broken("what is elsewhere names nothing on this machine", url);
        if (gitops::git::submodule_url(parent, url) != url)
            fuzz::broken("an absolute URL is itself", url);
        fuzz::accepted();
    } catch (const Error&) {
    }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    auto text = fuzz::text_of(data, size);
    const auto parent = fuzz::take_line(text);
    if (!parent.starts_with("https://") && !parent.starts_with("file:///")) return 0;
    try {
        for (const auto& module : gitops::git::parse_gitmodules(text)) look_at(parent, module);
    } catch (const Error&) {
    }
    return 0;
}
