/// What a stranger says to join a fleet: a token, a request over HTTPS with a certificate request
/// in it, and an answer. A certificate is made only for a request that is signed by its own key,
/// and it carries the name the CA was told, whatever the request says.
#include "edge/enrolment.h"

#include "base/error.h"
#include "crypto/x509.h"
#include "tests/fuzz/target.h"

#include <unistd.h>

#include <filesystem>
#include <string>

namespace {

using namespace kled;

const crypto::CertificateAuthority& authority() {
    static const auto directory = [] {
        std::string name = "/tmp/kled-fuzz-ca-XXXXXX";
        if (::mkdtemp(name.data()) == nullptr) fuzz::broken("no temporary directory", name);
        return std::filesystem::path{name};
    }();
    static const auto ca = [] {
        auto opened = crypto::CertificateAuthority::open(directory, "fuzz");
        std::filesystem::remove_all(directory);
        return opened;
    }();
    return ca;
}

bool signs(std::string_view request) {
    crypto::Issue issue;
    issue.subject.common_name = "d1";
    std::string certificate;
    try {
        certificate = authority().sign(request, issue);
    } catch (const Error&) {
        return false;
    }
    const auto said = crypto::read_certificate(certificate);
    if (said.common_name != "d1" || said.is_ca || !said.dns_names.empty() ||
        !said.ip_addresses.empty() || !said.organizations.empty())
        fuzz::broken("a certificate says what the request wants", request);
    return true;
}

template <typename Parse>
bool reads(Parse parse, std::string_view text) {
    try {
        (void)parse(text);
        return true;
    } catch (const Error&) {
        return false;
    }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto text = fuzz::text_of(data, size);
    bool taken = reads(edge::parse_token, text);
    taken |= reads(edge::parse_enrolment_answer, text);
    taken |= reads(crypto::read_certificate, text);
    taken |= signs(text);
    try {
        taken |= signs(edge::parse_enrolment_request(text).request);
    } catch (const Error&) {
    }
    if (taken) fuzz::accepted();
    return 0;
}
