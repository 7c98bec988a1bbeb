#include "cli/gitops_request.h"

#include "base/error.h"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <utility>

namespace kled::cli {

namespace asio = boost::asio;
using namespace std::chrono_literals;

asio::awaitable<gitops::FoundObject> find_one(kube::Client& client, const ObjectFlags& flags,
                                              const std::string& kind) {
    const auto all = co_await gitops::find_objects(client, flags.ns);
    const bool bare = !kind.empty() && flags.name.find('/') == std::string::npos;
    co_return gitops::select(all, bare ? kind + "/" + flags.name : flags.name);
}

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

asio::awaitable<bool> ask(kube::Client& client, const gitops::FoundObject& found,
                          std::map<std::string, std::string> annotations, Duration timeout) {
    const auto token = to_rfc3339_micro(std::chrono::system_clock::now());
    annotations.insert_or_assign(std::string{gitops::requested_at}, token);
    co_await gitops::annotate(client, found, annotations);
    const auto summary = co_await handled(client, found, token, timeout);
    std::cout << gitops::key_of(found.object).to_string() << ": " << summary.message << '\n';
    co_return summary.ready == "True";
}

}  // namespace kled::cli
