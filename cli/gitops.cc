// kled gitops: what is deployed from Git, and how it is doing.
#include "base/clock.h"
#include "base/error.h"
#include "cli/command.h"
#include "cli/connect.h"
#include "cli/gitops_approve.h"
#include "cli/gitops_flags.h"
#include "cli/gitops_promote.h"
#include "cli/gitops_request.h"
#include "cli/gitops_rollback.h"
#include "cli/gitops_tree.h"
#include "cli/output.h"
#include "gitops/objects/annotations.h"
#include "gitops/objects/objects.h"
#include "gitops/pipeline/pipeline.h"
#include "gitops/receive/hook.h"
#include "net/http_client.h"

#include <CLI/CLI.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace kled::cli {

namespace asio = boost::asio;

namespace {

using namespace std::chrono_literals;

struct Flags {
    std::string name;
    std::string ns;
    Output output = Output::table;
    bool with_source = false;
    bool override_window = false;
    bool follow = false;
    std::string timeout = "2m";
    std::string repository;
    std::string path;
    std::string branch;
    std::string tag;
    std::string interval;
    std::string secret;
};

std::string short_revision(const std::string& revision) {
    for (const std::string_view algorithm : {"sha1:", "sha256:"}) {
        const auto at = revision.rfind(algorithm);
        if (at != std::string::npos) return revision.substr(0, at + algorithm.size() + 8);
    }
    return revision;
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

// ---- get
// ------------------------------------------------------------------------------------------

asio::awaitable<void> get(const Globals& globals, const Flags& flags) {
    auto client = connect(co_await asio::this_coro::executor, globals);
    auto found = co_await gitops::find_objects(client, flags.ns);
    const auto kinds = gitops::kinds_named(flags.name);
    if (!kinds.empty()) {
        std::erase_if(found, [&](const auto& one) {
            return std::ranges::find(kinds, one.object.kind()) == kinds.end();
        });
    } else if (!flags.name.empty()) {
        const bool word = flags.name.find('/') == std::string::npos;
        if (word && std::ranges::none_of(
                        found, [&](const auto& one) { return one.object.name() == flags.name; })) {
            throw Error{ErrorKind::not_found, "there is no '" + flags.name +
                                                  "': no object has that name, and the kinds are " +
                                                  gitops::known_kinds()};
        }
        auto one = gitops::select(found, flags.name);
        found.clear();
        found.push_back(std::move(one));
    }
    const bool single = kinds.empty() && !flags.name.empty();
    if (single && found.front().object.kind() == gitops::pipeline_kind) {
        const auto stages = stages_of(found.front().object);
        print(flags.output, stages, {std::move(found.front().object)}, true);
        co_return;
    }
    Table table;
    table.columns = {"NAMESPACE", "NAME",    "READY",  "STATE", "REVISION",
                     "AGE",       "MESSAGE", "SOURCE", "PATH",  "OBJECTS"};
    table.wide_from = 7;
    std::vector<kube::Object> objects;
    for (auto& [object, state, state_ns] : found) {
        const auto summary = gitops::summarise(object);
        const auto* spec = object.spec();
        const auto* entries = object.status() == nullptr
                                  ? nullptr
                                  : kube::find(*object.status(), {"inventory", "entries"});
        const auto text = [&](std::initializer_list<std::string_view> path) {
            return spec == nullptr ? std::string{} : std::string{kube::find_string(*spec, path)};
        };
        table.rows.push_back(
            {std::string{object.ns()},
             std::string{object.kind()} + "/" + std::string{object.name()}, summary.ready,
             summary.state, short_revision(summary.revision),
             age(kube::find_string(object.fields(), {"metadata", "creationTimestamp"})),
             in_one_line(summary.message),
             object.kind() == "GitRepository"     ? text({"url"})
             : object.kind() == "OCIRepository"   ? text({"url"})
             : object.kind() == "Bucket"          ? text({"endpoint"}) + "/" + text({"bucketName"})
             : object.kind() == "ImageRepository" ? text({"image"})
             : object.kind() == "ImagePolicy"     ? text({"imageRepositoryRef", "name"})
                                                  : text({"sourceRef", "name"}),
             object.kind() == "ImageUpdateAutomation" ? text({"update", "path"}) : text({"path"}),
             entries != nullptr && entries->is_array() ? std::to_string(entries->get_array().size())
                                                       : ""});
        objects.push_back(std::move(object));
    }
    print(flags.output, table, objects, single);
}

// ---- reconcile, suspend, resume
// ---------------------------------------------------------------------

asio::awaitable<void> reconcile_one(kube::Client& client, const gitops::FoundObject& found,
                                    Duration timeout) {
    refuse_suspended(found);
    const std::map<std::string, std::string> nothing_else;
    if (!co_await ask(client, found, nothing_else, timeout)) throw Exit{1};
}

/// Of an object with a `sourceRef`.
asio::awaitable<gitops::FoundObject> source_of(kube::Client& client,
                                               const gitops::FoundObject& found) {
    const auto field = [&found](std::string_view name) {
        return std::string{kube::find_string(found.object.fields(), {"spec", "sourceRef", name})};
    };
    auto ns = field("namespace");
    if (ns.empty()) ns = found.object.ns();
    const auto name = field("name");
    const auto there = co_await gitops::find_objects(client, std::move(ns));
    const auto kind = field("kind");
    co_return gitops::select(there, kind + "/" + name);
}

/// What is to be deployed now need not wait for a window: this revision, and no later one.
asio::awaitable<void> let_in_now(kube::Client& client, const gitops::FoundObject& found) {
    require_deployment(found);
    refuse_suspended(found);
    // What a Pipeline gave it is not always the source's newest.
    std::string revision{found.object.annotation(gitops::promoted_annotation)};
    if (found.object.annotation(gitops::pipeline_annotation).empty() || revision.empty()) {
        const auto source = co_await source_of(client, found);
        revision = gitops::summarise(source.object).revision;
    }
    const std::map<std::string, std::string> annotations{
        {std::string{gitops::deploy_now_annotation}, revision}};
    co_await gitops::annotate(client, found, annotations);
}

asio::awaitable<void> reconcile(const Globals& globals, const Flags& flags) {
    auto client = connect(co_await asio::this_coro::executor, globals);
    const auto all = co_await gitops::find_objects(client, flags.ns);
    const auto& found = gitops::select(all, flags.name);
    const auto timeout = parse_duration(flags.timeout);
    const auto* spec = found.object.spec();
    if (flags.with_source && spec != nullptr && kube::find(*spec, {"sourceRef"}) != nullptr) {
        const auto source = co_await source_of(client, found);
        co_await reconcile_one(client, source, timeout);
    }
    if (flags.override_window) co_await let_in_now(client, found);
    co_await reconcile_one(client, found, timeout);
}

asio::awaitable<void> suspend(const Globals& globals, const Flags& flags, bool suspended) {
    auto client = connect(co_await asio::this_coro::executor, globals);
    const auto all = co_await gitops::find_objects(client, flags.ns);
    const auto& found = gitops::select(all, flags.name);
    co_await gitops::set_suspended(client, found, suspended);
    std::cout << gitops::key_of(found.object).to_string()
              << (suspended ? ": suspended\n" : ": resumed\n");
}

// ---- logs, notify: over the Unix socket of the kledd on this machine
// --------------------------------

net::HttpClient socket_client(asio::any_io_executor loop, const Globals& globals,
                              Duration timeout) {
    net::ClientOptions options;
    options.connect_timeout = timeout;
    options.timeout = timeout;
    options.gap_timeout = std::chrono::hours{24};
    return {std::move(loop), net::parse_url("unix:" + globals.socket().string()),
            std::move(options)};
}

/// False: not one that was asked for.
bool print_event(const Flags& flags, std::string_view line) {
    const auto event = kube::parse_json(line);
    const auto text = [&](std::string_view key) {
        const auto* value = kube::find(event, {key});
        return value != nullptr && value->is_string() ? std::string{value->get_string()}
                                                      : std::string{};
    };
    if (!flags.ns.empty() && text("namespace") != flags.ns) return false;
    if (!flags.name.empty() && text("name") != flags.name.substr(flags.name.rfind('/') + 1))
        return false;
    if (flags.output == Output::json) {
        std::cout << line << '\n' << std::flush;
        return true;
    }
    std::cout << text("time") << "  " << text("type") << "  " << text("kind") << '/'
              << text("namespace") << '/' << text("name") << "  " << text("reason") << "  "
              << text("message") << '\n'
              << std::flush;
    return true;
}

/// Error(not_found) for a name that nothing has.
asio::awaitable<void> check_name(const Globals& globals, const Flags& flags) {
    auto client = connect(co_await asio::this_coro::executor, globals);
    const auto all = co_await gitops::find_objects(client, flags.ns);
    static_cast<void>(gitops::select(all, flags.name));
}

asio::awaitable<void> logs(const Globals& globals, const Flags& flags) {
    if (flags.follow && !flags.name.empty()) co_await check_name(globals, flags);
    auto client = socket_client(co_await asio::this_coro::executor, globals, 5s);
    net::Request request;
    bool said = false;
    request.target = flags.follow ? "/v1/gitops/events?follow" : "/v1/gitops/events";
    auto response = co_await client.open(std::move(request));
    std::string pending;
    while (auto piece = co_await response.body->next()) {
        pending += *piece;
        for (auto end = pending.find('\n'); end != std::string::npos; end = pending.find('\n')) {
            if (response.status == 200)
                said |= print_event(flags, std::string_view{pending}.substr(0, end));
            if (response.status != 200) throw Error{ErrorKind::unavailable, pending.substr(0, end)};
            pending.erase(0, end + 1);
        }
    }
    // Nothing is known of it: because nothing happened, or because there is no such thing.
    if (said || flags.name.empty()) co_return;
    co_await check_name(globals, flags);
    std::cerr << "nothing happened to " << flags.name << " since kledd started\n";
}

asio::awaitable<void> notify(const Globals& globals, const Flags& flags) {
    auto client = socket_client(co_await asio::this_coro::executor, globals, 3s);
    kube::json::object body;
    body["repository"] =
        flags.repository.empty() ? std::filesystem::current_path().string() : flags.repository;
    net::Request request;
    request.method = "POST";
    request.target = "/v1/notify";
    request.headers.set("Content-Type", "application/json");
    request.body = kube::to_json(kube::json::value(std::move(body)));
    const auto response = co_await client.send(std::move(request));
    if (response.status != 200)
        throw Error{ErrorKind::unavailable, "kledd: " + first_line(response.body)};
    const auto answer = kube::parse_json(response.body);
    const auto* sources = kube::find(answer, {"sources"});
    const bool none = sources == nullptr || !sources->is_int64() || sources->get_int64() == 0;
    std::cout << (none ? "kledd has no source with this repository\n" : "kledd looks\n");
}

asio::awaitable<void> install_hook(const Globals& globals, const Flags& flags) {
    std::error_code ignored;
    auto program = std::filesystem::read_symlink("/proc/self/exe", ignored);
    const auto installed =
        co_await gitops::install_hook(std::filesystem::absolute(flags.repository),
                                      std::move(program), std::filesystem::absolute(globals.state));
    std::cout << installed.path.string() << (installed.updated ? " updated" : " installed")
              << (installed.chained ? "; the hook that was there runs first\n" : "\n");
}

void run_role(const Globals& globals, const Flags& flags, std::vector<std::string> more) {
    std::vector<std::string> arguments{"--gitops-allow-local-repositories"};
    const auto pass = [&](const char* flag, const std::string& value) {
        if (!value.empty()) arguments.insert(arguments.end(), {flag, value});
    };
    pass("--gitops-repo", flags.repository);
    pass("--gitops-path", flags.path);
    pass("--gitops-branch", flags.branch);
    pass("--gitops-tag", flags.tag);
    pass("--gitops-interval", flags.interval);
    pass("--gitops-secret", flags.secret);
    arguments.insert(arguments.end(), more.begin(), more.end());
    exec_kledd("gitops", globals, arguments);
}

}  // namespace

void add_gitops(CLI::App& app, Globals& globals) {
    auto* group = app.add_subcommand("gitops", "Deployments from Git");
    group->require_subcommand(1);
    const auto flags = std::make_shared<Flags>();
    const auto any = [](const kube::Object&) { return true; };
    const auto named = [&](CLI::App* verb, bool required) {
        auto* name = verb->add_option("name", flags->name, "NAME or KIND/NAME");
        if (required) name->required();
        complete_with_objects(*verb, globals, any);
        add_namespace_flag(*verb, flags->ns);
    };

    auto* get_verb = group->add_subcommand(
        "get",
        "Sources and deployments, and how they are doing\n\nExamples:\n  kled gitops get\n"
        "  kled gitops get kustomization/apps -o yaml\n  kled gitops get pipelines\n"
        "  kled gitops get pipeline/shop");
    get_verb->add_option(
        "name", flags->name,
        "NAME or KIND/NAME, or a kind: sources, kustomizations (ks), edgedeployments, pipelines");
    complete_with_objects(*get_verb, globals, any);
    add_namespace_flag(*get_verb, flags->ns);
    add_output_flag(*get_verb, flags->output);
    get_verb->callback([&globals, flags] { run([&] { return get(globals, *flags); }); });

    add_gitops_tree(*group, globals);

    auto* reconcile_verb =
        group->add_subcommand("reconcile",
                              "Look again now, and wait for the result\n\nExamples:\n  kled gitops "
                              "reconcile apps --with-source\n"
                              "  kled gitops reconcile source/fleet");
    named(reconcile_verb, true);
    reconcile_verb->add_flag("--with-source", flags->with_source, "Its source first");
    reconcile_verb->add_flag("--override-window", flags->override_window,
                             "What its source has now, although no deploy window is open");
    add_timeout_flag(*reconcile_verb, flags->timeout);
    reconcile_verb->callback(
        [&globals, flags] { run([&] { return reconcile(globals, *flags); }); });

    add_gitops_approve(*group, globals);
    add_gitops_rollback(*group, globals);
    add_gitops_promote(*group, globals);

    auto* suspend_verb = group->add_subcommand(
        "suspend",
        "Leave it as it is until it is resumed\n\nExample:\n  kled gitops suspend ks/apps");
    named(suspend_verb, true);
    suspend_verb->callback(
        [&globals, flags] { run([&] { return suspend(globals, *flags, true); }); });

    auto* resume_verb =
        group->add_subcommand("resume", "Go on with it\n\nExample:\n  kled gitops resume ks/apps");
    named(resume_verb, true);
    resume_verb->callback(
        [&globals, flags] { run([&] { return suspend(globals, *flags, false); }); });

    auto* logs_verb = group->add_subcommand(
        "logs",
        "What the kledd on this machine did\n\nExample:\n  kled gitops logs -f kustomization/apps");
    named(logs_verb, false);
    logs_verb->add_flag("-f,--follow", flags->follow, "And what it does from now on");
    add_output_flag(*logs_verb, flags->output, "-o,--output", {Output::table, Output::json});
    logs_verb->callback([&globals, flags] { run([&] { return logs(globals, *flags); }); });

    auto* run_verb = group->add_subcommand(
        "run",
        "Run the loop in the foreground\n\nWith --repo, what to deploy stands in files of the "
        "repository "
        "itself and the cluster needs no definitions.\n\nExample:\n"
        "  kled gitops run --repo https://host/fleet.git --path clusters/dev");
    run_verb->add_option("--repo", flags->repository, "URL of the repository");
    run_verb->add_option("--path", flags->path, "Folder with the deployment objects");
    run_verb->add_option("--branch", flags->branch, "Branch (main)");
    run_verb->add_option("--tag", flags->tag, "Tag, in place of a branch");
    run_verb->add_option("--interval", flags->interval,
                         "How often to look without being told (1m)");
    run_verb->add_option("--secret", flags->secret, "Secret with the credentials, in flux-system");
    run_verb->allow_extras();
    run_verb->fallthrough(false);  // what follows is kledd's
    run_verb->callback(
        [&globals, flags, run_verb] { run_role(globals, *flags, run_verb->remaining()); });

    auto* hook =
        group->add_subcommand("hook", "The post-receive hook of a repository on this machine");
    hook->require_subcommand(1);
    auto* install = hook->add_subcommand("install",
                                         "Tell kledd about each push to REPO; a hook that is there "
                                         "is kept and runs first\n\nExample:\n"
                                         "  kled gitops hook install /srv/git/fleet.git");
    install->add_option("repository", flags->repository, "The repository")->required();
    install->callback([&globals, flags] { run([&] { return install_hook(globals, *flags); }); });

    auto* notify_verb = group->add_subcommand(
        "notify",
        "Tell the kledd on this machine that a repository may have something new\n\nExample:\n"
        "  kled gitops notify /srv/git/fleet.git");
    notify_verb->add_option("repository", flags->repository, "URL or path (the current directory)");
    notify_verb->callback([&globals, flags] { run([&] { return notify(globals, *flags); }); });
}

}  // namespace kled::cli
