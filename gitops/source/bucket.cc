#include "gitops/source/bucket.h"

#include "base/error.h"
#include "gitops/access/secret_data.h"
#include "gitops/cloud/bucket_login.h"
#include "gitops/objects/fields.h"
#include "kube/names.h"

#include <utility>

namespace kled::gitops {

namespace asio = boost::asio;

namespace {

/// Error(invalid) where it would be shown to somebody else than the cloud.
void read_identity(const Reader& spec, Bucket& bucket) {
    bucket.service_account = spec.text("serviceAccountName");
    if (!bucket.service_account.empty() &&
        !kube::check_dns1123_subdomain(bucket.service_account).empty())
        throw spec.bad("serviceAccountName", "not a name");
    // With a proxy of his own, whoever made it could read what is meant for the cloud.
    if (!bucket.cert_secret_name.empty())
        throw spec.bad("certSecretRef", "is not taken with spec.provider: " + bucket.cloud);
    try {
        cloud::check_bucket(bucket.location);
    } catch (const Error& error) {
        throw spec.bad("endpoint", error.what());
    }
}

}  // namespace

Bucket Bucket::from_object(kube::Object object) {
    Bucket result;
    const Reader spec{object.spec()};
    result.location = {.endpoint = spec.required("endpoint"),
                       .bucket = spec.required("bucketName"),
                       .region = spec.text("region"),
                       .insecure = spec.flag("insecure")};
    result.prefix = spec.text("prefix");
    result.ignore = spec.text("ignore");
    result.secret_name = spec.object("secretRef").text("name");
    result.cert_secret_name = spec.object("certSecretRef").text("name");
    result.proxy_secret_name = spec.object("proxySecretRef").text("name");
    result.interval = spec.duration("interval", {});
    if (result.interval <= Duration{}) throw spec.bad("interval", "is required, and more than 0");
    result.timeout = spec.duration("timeout", Duration{60'000});
    result.suspend = spec.flag("suspend");
    result.unsupported = spec.unsupported({"sts"});
    const auto provider = spec.text("provider");
    if (provider == "aws" && result.secret_name.empty()) {
        result.cloud = provider;
    } else if (!provider.empty() && provider != "generic" && provider != "aws") {
        result.unsupported.push_back({"spec.provider: " + provider});
    }
    try {
        (void)s3::Address::of(result.location);
    } catch (const Error& error) {
        throw error.within("spec");
    }
    if (result.cloud.empty()) {
        append(result.unsupported, spec.unsupported({"serviceAccountName"}));
    } else {
        read_identity(spec, result);
    }
    result.object = std::move(object);
    return result;
}

std::string Bucket::url() const {
    return (location.insecure ? "http://" : "https://") + location.endpoint + "/" + location.bucket;
}

asio::awaitable<s3::Access> read_access(kube::Client& client, cloud::Identities& identities,
                                        const Bucket& bucket) {
    s3::Access access;
    access.timeout = bucket.timeout;
    const std::string ns{bucket.object.ns()};
    if (!bucket.secret_name.empty()) {
        const auto data = co_await read_secret(client, ns, bucket.secret_name);
        access.credentials.emplace();
        access.credentials->access_key = data.text({"accesskey"});
        access.credentials->secret_key = data.secret({"secretkey"});
        // It becomes part of a header.
        const auto& key = access.credentials->access_key;
        const bool plain = key.find_first_not_of(
                               "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                               "0123456789-._~+=@:") == std::string::npos;
        if (key.empty() || !plain || !access.credentials->secret_key) {
            throw Error{ErrorKind::invalid, "Secret " + data.name() +
                                                ": accesskey and secretkey are required, without "
                                                "blanks and line breaks"};
        }
    }
    if (!bucket.cert_secret_name.empty()) {
        const auto data = co_await read_secret(client, ns, bucket.cert_secret_name);
        access.tls.ca_pem = data.text({"ca.crt"});
        access.tls.certificate_pem = data.text({"tls.crt"});
        access.tls.key_pem = data.secret({"tls.key"});
        if (access.tls.certificate_pem.empty() != (access.tls.key_pem == nullptr)) {
            throw Error{ErrorKind::invalid,
                        "Secret " + data.name() + ": tls.crt and tls.key belong together"};
        }
        if (access.tls.ca_pem.empty() && access.tls.certificate_pem.empty()) {
            throw Error{ErrorKind::invalid,
                        "Secret " + data.name() + " has none of ca.crt, tls.crt and tls.key"};
        }
    }
    if (!bucket.proxy_secret_name.empty())
        access.proxy = co_await read_proxy(client, ns, bucket.proxy_secret_name);
    if (!bucket.cloud.empty()) {
        cloud::Applicant who;
        who.ns = ns;
        who.service_account = bucket.service_account;
        co_await cloud::sign_in(identities, client, std::move(who), bucket.location, access);
    }
    co_return access;
}

}  // namespace kled::gitops
