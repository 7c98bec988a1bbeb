// kled gitops approve: says that what a Kustomization would prune may go.
#include "cli/gitops_approve.h"

#include "base/error.h"
#include "cli/command.h"
#include "cli/confirm.h"
#include "cli/connect.h"
#include "cli/gitops_flags.h"
#include "cli/gitops_request.h"
#include "gitops/apply/prune_approval.h"
#include "gitops/objects/annotations.h"
#include "gitops/objects/objects.h"

#include <CLI/CLI.hpp>
#include <boost/asio/this_coro.hpp>

#include <chrono>
#include <iostream>
#include <map>
#include <memory>
#include <string>

namespace kled::cli {

namespace asio = boost::asio;

namespace {

struct Flags {
    ObjectFlags object;
    bool yes = false;
};

asio::awaitable<void> approve(const Globals& globals, const Flags& flags) {
    auto client = connect(co_await asio::this_coro::executor, globals);
    const std::string kind = "kustomization";
    const auto found = co_await find_one(client, flags.object, kind);
    const auto key = gitops::key_of(found.object).to_string();
    const auto conditions = gitops::Conditions::from_status(found.object.status());
    const auto digest = gitops::pending_digest(conditions);
    if (digest.empty()) {
        std::cout << key << ": nothing waits for an approval\n";
        co_return;
    }
    refuse_suspended(found);
    const auto& message = conditions.find(gitops::prune_approval_condition)->message;
    std::cout << key << ": " << message.substr(digest.size() + 1) << '\n';
    if (!flags.yes && !confirmed("Prune them?")) throw Exit{1};
    std::map<std::string, std::string> annotations{
        {std::string{gitops::prune_approved_annotation}, digest}};
    // One that is being deleted goes with what it brought.
    if (found.object.deleting()) {
        annotations.emplace(gitops::requested_at,
                            to_rfc3339_micro(std::chrono::system_clock::now()));
        co_await gitops::annotate(client, found, annotations);
        std::cout << key << ": approved\n";
        co_return;
    }
    if (!co_await ask(client, found, annotations, parse_duration(flags.object.timeout)))
        throw Exit{1};
}

}  // namespace

void add_gitops_approve(CLI::App& group, Globals& globals) {
    const auto flags = std::make_shared<Flags>();
    auto* verb = group.add_subcommand(
        "approve",
        "Show what a Kustomization waits to prune, and say that exactly this may go\n\n"
        "Examples:\n  kled gitops approve apps\n  kled gitops approve ks/apps --yes");
    const auto waits = [](const kube::Object& object) {
        return !gitops::pending_digest(gitops::Conditions::from_status(object.status())).empty();
    };
    add_object_flags(*verb, globals, flags->object, "NAME of a Kustomization, or KIND/NAME", waits);
    add_yes_flag(*verb, flags->yes);
    add_timeout_flag(*verb, flags->object.timeout);
    verb->callback([&globals, flags] { run([&] { return approve(globals, *flags); }); });
}

}  // namespace kled::cli
