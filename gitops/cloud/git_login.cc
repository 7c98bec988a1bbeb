#include "gitops/cloud/git_login.h"

#include "gitops/cloud/codecommit.h"
#include "gitops/cloud/entra.h"

#include <utility>

namespace kled::gitops::cloud {

namespace asio = boost::asio;

asio::awaitable<void> sign_in(Identities& identities, kube::Client& client,
                              const GitRepository& repository, git::Access& access) {
    Applicant who;
    who.ns = repository.object.ns();
    who.service_account = repository.service_account;
    who.reach = {.proxy = access.proxy, .timeout = access.timeout};
    if (repository.cloud == "aws") {
        const auto at = CodeCommit::from_url(repository.url);
        const auto credentials = co_await identities.amazon(client, std::move(who), at.region);
        at.sign(credentials, WallTime::clock::now(), access);
    } else if (repository.cloud == "azure") {
        check_devops_url(repository.url);
        std::string scope{devops_scope};
        const auto token = co_await identities.azure(client, std::move(who), std::move(scope));
        access.bearer_token = token.text;
    }
}

}  // namespace kled::gitops::cloud
