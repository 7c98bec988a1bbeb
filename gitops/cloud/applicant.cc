#include "gitops/cloud/applicant.h"

namespace kled::gitops::cloud {

namespace asio = boost::asio;

std::string account_name(const Applicant& who) { return who.ns + "/" + who.service_account; }

std::string key_of(const Applicant& who) {
    return who.service_account.empty() ? std::string{} : account_name(who);
}

asio::awaitable<kube::Object> account_of(kube::Client& client, Applicant who) {
    const kube::GroupVersionKind kind{.group = "", .version = "v1", .kind = "ServiceAccount"};
    auto account = co_await client.get(kind, who.ns, who.service_account);
    if (!account) {
        throw Error{ErrorKind::not_found,
                    who.field + ": ServiceAccount " + account_name(who) + " does not exist"};
    }
    co_return std::move(*account);
}

Error bad_annotation(const Applicant& who, std::string_view name, const std::string& why) {
    return {ErrorKind::invalid, who.field + ": ServiceAccount " + account_name(who) +
                                    ": metadata.annotations[" + std::string{name} + "] " + why};
}

Error refused(const std::string& host, const std::string& subject, unsigned status,
              const std::string& why) {
    const bool transient = status == 429 || status >= 500;
    return {transient ? ErrorKind::unavailable : ErrorKind::denied,
            host + ": " + subject + ": status " + std::to_string(status) +
                (why.empty() ? "" : ": " + why)};
}

}  // namespace kled::gitops::cloud
