/// A line with a name, a line with a challenge, a line with a Link, then a body, as users and
/// registries may write them.
#include "base/error.h"
#include "gitops/oci/challenge.h"
#include "gitops/oci/manifest.h"
#include "gitops/oci/reference.h"
#include "tests/fuzz/target.h"

#include <string>

namespace {

using namespace kled;
using namespace kled::gitops;

void look_at(const oci::Reference& reference) {
    const auto path = "/" + reference.repository + "/";
    if (path.find("//") != std::string::npos || path.find("/.") != std::string::npos ||
        path.find_first_of("?#%@: \r\n") != std::string::npos)
        fuzz::broken("a repository is a plain path", path);
    if (reference.host.find_first_of("/?#%@ \r\n") != std::string::npos)
        fuzz::broken("a host is a host", reference.host);
    auto again = oci::Reference::parse(reference.name());
    again.tag = reference.tag;
    again.digest = reference.digest;
    if (again != reference) fuzz::broken("a canonical name is itself", reference.name());
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    auto text = fuzz::text_of(data, size);
    const auto name = fuzz::take_line(text);
    const auto challenge = fuzz::take_line(text);
    const auto link = fuzz::take_line(text);
    const auto challenges = oci::parse_challenges(challenge);
    const auto next = oci::next_link(link);
    if (link.find(next) == std::string_view::npos) fuzz::broken("a link stands there", next);
    if (oci::error_text(text).size() > 300) fuzz::broken("an error is short", text);
    try {
        look_at(oci::Reference::parse(name));
        const auto manifest = oci::Manifest::parse(text, "");
        for (const auto& layer : manifest.layers) {
            if (!oci::is_digest(layer.digest)) fuzz::broken("a digest is one", layer.digest);
        }
        if (!challenges.empty()) fuzz::accepted();
    } catch (const Error&) {
    }
    try {
        for (const auto& tag : oci::parse_tags(text)) {
            if (!oci::is_tag(tag)) fuzz::broken("a tag is one", tag);
        }
    } catch (const Error&) {
    }
    return 0;
}
