// kled gitops approve: says that what a Kustomization would prune may go.
#include "cli/gitops_approve.h"

#include "base/error.h"
#include "cli/command.h"
#include "cli/confirm.h"
#include "cli/connect.h"
#include "cli/gitops_handled.h"
#include "cli/gitops_names.h"
#include "gitops/annotations.h"
#include "gitops/objects.h"
#include "gitops/prune_approval.h"

#include <CLI/CLI.hpp>
#include <boost/asio/this_coro.hpp>

#include <chrono>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace kled::cli {

namespace asio = boost::asio;

namespace {

struct Flags {
    std::string name;
    std::string ns;
    bool yes = false;
    std::string timeout = "2m";
};

asio::awaitable<void> approve(const Globals& globals, const Flags& flags) {
    auto client = connect(co_await asio::this_coro::executor, globals);
    const auto all = co_await gitops::find_objects(client, flags.ns);
    const bool bare = flags.name.find('/') == std::string::npos;
    const auto& found = gitops::select(all, bare ? "kustomization/" + flags.name : flags.name);
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
    const auto token = to_rfc3339_micro(std::chrono::system_clock::now());
    const std::map<std::string, std::string> annotations{
        {std::string{gitops::prune_approved_annotation}, digest},
        {std::string{gitops::requested_at}, token}};
    co_await gitops::annotate(client, found, annotations);
    // One that is being deleted goes with what it brought.
    if (found.object.deleting()) {
        std::cout << key << ": approved\n";
        co_return;
    }
    const auto summary = co_await handled(client, found, token, parse_duration(flags.timeout));
    std::cout << key << ": " << summary.message << '\n';
    if (summary.ready != "True") throw Exit{1};
}

}  // namespace

void add_gitops_approve(CLI::App& group, Globals& globals) {
    const auto flags = std::make_shared<Flags>();
    auto* verb = group.add_subcommand(
        "approve",
        "Show what a Kustomization waits to prune, and say that exactly this may go\n\n"
        "Examples:\n  kled gitops approve apps\n  kled gitops approve ks/apps --yes");
    verb->add_option("name", flags->name, "NAME of a Kustomization, or KIND/NAME")->required();
    verb->add_option("-n,--namespace", flags->ns, "Only of this namespace");
    verb->add_flag("-y,--yes", flags->yes, "Without being asked");
    verb->add_option("--timeout", flags->timeout, "How long to wait")->capture_default_str();
    complete_with_objects(*verb, globals, [](const kube::Object& object) {
        return !gitops::pending_digest(gitops::Conditions::from_status(object.status())).empty();
    });
    verb->callback([&globals, flags] { run([&] { return approve(globals, *flags); }); });
}

}  // namespace kled::cli
