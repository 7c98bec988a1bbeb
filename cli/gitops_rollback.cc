// kled gitops rollback: pins a deployment object to a revision that it had before.
#include "cli/gitops_rollback.h"

#include "base/error.h"
#include "cli/command.h"
#include "cli/connect.h"
#include "cli/gitops_flags.h"
#include "cli/gitops_request.h"
#include "gitops/objects/annotations.h"
#include "gitops/objects/history.h"
#include "gitops/objects/objects.h"

#include <CLI/CLI.hpp>
#include <boost/asio/this_coro.hpp>

#include <map>
#include <memory>
#include <string>

namespace kled::cli {

namespace asio = boost::asio;

namespace {

struct Flags {
    ObjectFlags object;
    std::string to;
    bool undo = false;
};

/// What to pin it to: empty means nothing, that is, the source's newest.
std::string wanted(const kube::Object& object, const Flags& flags) {
    if (flags.undo) return {};
    // A whole commit need not be one that was there before.
    if (!gitops::commit_in(flags.to).empty()) return flags.to;
    const auto said = [&object](std::string_view field) {
        return kube::find_string(object.fields(), {"status", field});
    };
    const auto applied = said("lastAppliedRevision");
    // What failed has replaced some of it, perhaps: back to what was whole.
    const bool failed = said("lastAttemptedRevision") != applied;
    if (flags.to.empty() && failed && !gitops::commit_in(applied).empty())
        return std::string{applied};
    return gitops::History::from_status(object.status()).revision_before(applied, flags.to);
}

asio::awaitable<void> rollback(const Globals& globals, const Flags& flags) {
    auto client = connect(co_await asio::this_coro::executor, globals);
    const auto found = co_await find_one(client, flags.object);
    require_deployment(found);
    refuse_suspended(found);
    const std::map<std::string, std::string> annotations{
        {std::string{gitops::pin_annotation}, wanted(found.object, flags)}};
    if (!co_await ask(client, found, annotations, parse_duration(flags.object.timeout)))
        throw Exit{1};
}

}  // namespace

void add_gitops_rollback(CLI::App& group, Globals& globals) {
    const auto flags = std::make_shared<Flags>();
    auto* verb = group.add_subcommand(
        "rollback",
        "Deploy a revision that was there before, and stay with it until --undo\n\n"
        "Examples:\n"
        "  kled gitops rollback apps                  the one before\n"
        "  kled gitops rollback ks/apps --to 3f2a9c1\n"
        "  kled gitops rollback apps --undo           follow the source again");
    const auto deploys = [](const kube::Object& object) {
        return object.kind() == "Kustomization" || object.kind() == "EdgeDeployment";
    };
    add_object_flags(*verb, globals, flags->object,
                     "NAME of a Kustomization or EdgeDeployment, or KIND/NAME", deploys);
    auto* to =
        verb->add_option("--to", flags->to, "A commit, or the beginning of one in status.history");
    verb->add_flag("--undo", flags->undo, "Back to the newest revision of the source")
        ->excludes(to);
    add_timeout_flag(*verb, flags->object.timeout);
    verb->callback([&globals, flags] { run([&] { return rollback(globals, *flags); }); });
}

}  // namespace kled::cli
