#include "cli/gitops_handled.h"

#include "base/error.h"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <chrono>

namespace kled::cli {

namespace asio = boost::asio;
using namespace std::chrono_literals;

void require_deployment(const gitops::FoundObject& found) {
    const auto key = gitops::key_of(found.object);
    if (key.kind == "Kustomization" || key.kind == "EdgeDeployment") return;
    throw Error{
        ErrorKind::invalid,
        key.to_string() + " itself deploys nothing; name a Kustomization or an EdgeDeployment"};
}

void refuse_suspended(const gitops::FoundObject& found) {
    if (gitops::summarise(found.object).state != "Suspended") return;
    throw Error{ErrorKind::conflict, gitops::key_of(found.object).to_string() +
                                         " is suspended: `kled gitops resume` it first"};
}

asio::awaitable<gitops::Summary> handled(kube::Client& client, const gitops::FoundObject& found,
                                         std::string token, Duration timeout) {
    asio::steady_timer timer{co_await asio::this_coro::executor};
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    for (auto pause = 50ms;; pause = std::min<std::chrono::milliseconds>(pause * 2, 1000ms)) {
        const auto object = co_await gitops::read_again(client, found);
        if (!object)
            throw Error{ErrorKind::not_found,
                        gitops::key_of(found.object).to_string() + " went away"};
        const auto* status = object->status();
        if (status != nullptr && kube::find_string(*status, {"lastHandledReconcileAt"}) == token)
            co_return gitops::summarise(*object);
        if (std::chrono::steady_clock::now() > deadline) {
            throw Error{ErrorKind::unavailable, "not reconciled within " +
                                                    format_duration(timeout) +
                                                    "; is a kledd with the role gitops running?"};
        }
        timer.expires_after(pause);
        co_await timer.async_wait(asio::use_awaitable);
    }
}

}  // namespace kled::cli
