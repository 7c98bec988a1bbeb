// kled diff: what applying a folder would change in the cluster, by a dry run of the API server.
#include "base/error.h"
#include "cli/command.h"
#include "cli/connect.h"
#include "cli/output.h"
#include "cli/user_files.h"
#include "gitops/apply/compare.h"
#include "gitops/apply/plan.h"
#include "gitops/apply/preview.h"
#include "kube/yaml.h"
#include "kustomize/build.h"

#include <CLI/CLI.hpp>
#include <boost/asio/this_coro.hpp>
#include <unistd.h>

#include <iostream>
#include <memory>
#include <set>
#include <string>

namespace kled::cli {

namespace asio = boost::asio;

namespace {

struct Flags {
    std::string directory = ".";
    Output output = Output::table;
    bool load_anywhere = false;
};

using Action = gitops::Change::Action;

void print_diff(const std::string& text) {
    if (!coloured(STDOUT_FILENO)) {
        std::cout << text;
        return;
    }
    for (std::size_t at = 0; at < text.size();) {
        const auto end = std::min(text.find('\n', at), text.size());
        const auto line = text.substr(at, end - at);
        const char* colour = line.starts_with('+')   ? "\033[32m"
                             : line.starts_with('-') ? "\033[31m"
                             : line.starts_with('@') ? "\033[36m"
                                                     : "";
        std::cout << colour << line << (*colour == '\0' ? "\n" : "\033[0m\n");
        at = end + 1;
    }
}

std::string word(Action action) {
    switch (action) {
        case Action::created: return "create";
        case Action::configured: return "change";
        case Action::recreated: return "recreate";
        case Action::failed: return "refused";
        default: return "unchanged";
    }
}

void print_preview(const Flags& flags, gitops::Preview& preview) {
    const auto& change = preview.change;
    std::cout << word(change.action) << ' ' << change.id.to_string();
    if (!change.message.empty()) std::cout << ": " << change.message;
    std::cout << '\n';
    if (flags.output == Output::name || change.action == Action::failed) return;
    gitops::mask_secrets(preview.before, preview.after);
    print_diff(gitops::unified_diff(preview.before, preview.after));
}

kube::json::object as_json(const gitops::Change& change) {
    kube::json::object result;
    result["action"] = word(change.action);
    result["group"] = change.id.group;
    result["kind"] = change.id.kind;
    result["namespace"] = change.id.ns;
    result["name"] = change.id.name;
    if (!change.message.empty()) result["message"] = change.message;
    return result;
}

/// Whether what the server missed comes with the same folder: it cannot try that yet.
bool comes_along(const gitops::Preview& preview, const gitops::Plan& plan,
                 const kube::Object& object, const std::set<std::string>& new_namespaces) {
    using Missing = gitops::Preview::Missing;
    switch (preview.missing) {
        case Missing::nothing: return false;
        case Missing::place: return new_namespaces.contains(preview.change.id.ns);
        case Missing::kind: break;
    }
    const auto scope = plan.scopes.find(object.gvk());
    return scope != plan.scopes.end() && scope->second.has_value();
}

asio::awaitable<void> diff(const Globals& globals, const Flags& flags) {
    const UserFiles files{flags.directory};
    kustomize::BuildOptions options;
    options.load_anywhere = flags.load_anywhere;
    options.generate_missing = true;
    auto built = kustomize::build(files, UserFiles::path_of(flags.directory), options);
    auto client = connect(co_await asio::this_coro::executor, globals);
    const gitops::Key nobody;
    const auto manifests = gitops::manifests_of(std::move(built.objects));
    const gitops::Plan nothing;
    const auto plan = co_await gitops::make_plan(client, manifests, nothing);
    const bool structured = flags.output == Output::json || flags.output == Output::yaml;
    bool differs = false;
    bool refused = false;
    kube::json::array list;
    std::set<std::string> new_namespaces;
    for (const auto& one : plan.objects) {
        const auto object = one->object(nobody);
        auto preview = co_await gitops::preview(client, object);
        auto& change = preview.change;
        if (comes_along(preview, plan, object, new_namespaces))
            change = {.id = change.id, .action = Action::created, .message = {}};
        if (change.action == Action::created && change.id.group.empty() &&
            change.id.kind == "Namespace")
            new_namespaces.insert(change.id.name);
        if (preview.change.action == Action::unchanged) continue;
        differs = true;
        refused = refused || preview.change.action == Action::failed;
        if (structured) {
            list.emplace_back(as_json(preview.change));
        } else {
            print_preview(flags, preview);
        }
    }
    const kube::json::value all(std::move(list));
    if (flags.output == Output::json) std::cout << kube::to_json(all) << '\n';
    if (flags.output == Output::yaml) std::cout << kube::to_yaml(all);
    if (refused) throw Error{ErrorKind::invalid, "the API server refuses some of it"};
    if (differs) throw Exit{1};
}

}  // namespace

void add_diff(CLI::App& app, Globals& globals) {
    auto* verb = app.add_subcommand(
        "diff",
        "What applying a folder would change in the cluster\n\nBuilds the folder and asks the API "
        "server for a dry run. Values of Secrets are masked. Exit status 1: there are "
        "differences.\n\nExamples:\n  kled diff overlays/dev\n  kled diff -o name .");
    const auto flags = std::make_shared<Flags>();
    verb->add_option("directory", flags->directory,
                     "Folder with a kustomization, or with manifests")
        ->capture_default_str();
    verb->add_flag("--load-anywhere", flags->load_anywhere,
                   "Files outside of the folder may be read");
    add_output_flag(*verb, flags->output);
    verb->callback([&globals, flags] { run([&] { return diff(globals, *flags); }); });
}

}  // namespace kled::cli
