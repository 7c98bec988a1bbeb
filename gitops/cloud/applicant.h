/// The service account that somebody names as whom a cloud is asked.
#pragma once

#include "base/error.h"
#include "gitops/cloud/identities.h"
#include "kube/object.h"

#include <string>
#include <string_view>

namespace kled::gitops::cloud {

/// "namespace/name".
[[nodiscard]] std::string account_name(const Applicant& who);
/// Whose identity it is, apart from all others; empty: this program's.
[[nodiscard]] std::string key_of(const Applicant& who);

/// Error(not_found): there is none.
boost::asio::awaitable<kube::Object> account_of(kube::Client& client, Applicant who);

/// Error(invalid): its annotation `name` `why`.
[[nodiscard]] Error bad_annotation(const Applicant& who, std::string_view name,
                                   const std::string& why);

/// What `host` answered to `subject` in place of 200: "host: subject: status 403: why".
[[nodiscard]] Error refused(const std::string& host, const std::string& subject, unsigned status,
                            const std::string& why);

}  // namespace kled::gitops::cloud
