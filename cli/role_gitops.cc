// The role `gitops` of kledd: makes the loop of gitops/ from flags and wires it.
#include "base/error.h"
#include "base/file.h"
#include "base/hop.h"
#include "base/log.h"
#include "base/task_group.h"
#include "cli/role.h"
#include "crypto/hash.h"
#include "gitops/image/image_objects.h"
#include "gitops/image/oci_registry.h"
#include "gitops/notify/notifier.h"
#include "gitops/receive/receiver.h"
#include "gitops/receive/receiver_objects.h"
#include "gitops/reconcile/events.h"
#include "gitops/reconcile/reconciler.h"
#include "gitops/store/cluster_store.h"
#include "gitops/store/file_store.h"
#include "kube/client.h"
#include "kube/election.h"
#include "kube/events.h"
#include "kube/selector.h"
#include "net/http_server.h"

#include <CLI/CLI.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <unistd.h>

#include <array>
#include <charconv>
#include <optional>
#include <utility>

namespace kled::cli {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

struct Flags {
    std::string repository;
    std::string path = ".";
    std::string branch;
    std::string tag;
    std::string commit;
    std::string interval = "1m";
    std::string secret;
    std::string name = "flux-system";
    std::string ns = "flux-system";
    bool local_repositories = false;
    bool no_cross_namespace_refs = false;
    std::string drift = "repair";
    bool no_remote_bases = false;
    bool no_image_scan = false;
    std::string default_service_account;
    std::string label_selector;
    std::size_t concurrency = 4;
    std::string webhook_listen;
    std::string webhook_secret_file;
    std::string artifacts_listen;
    std::string artifacts_url;
    bool only_sources = false;
    bool leader_election = false;
    std::string lease = "kled-gitops";
};

struct Endpoint {
    std::string host;
    std::uint16_t port = 0;
};

/// HOST:PORT of the flag `name`; an IPv6 address in brackets.
Endpoint endpoint_of(std::string_view name, const std::string& text) {
    Endpoint result;
    const auto colon = text.rfind(':');
    const auto* port = text.data() + colon + 1;
    const auto* end = text.data() + text.size();
    if (colon == std::string::npos || std::from_chars(port, end, result.port).ptr != end ||
        port == end) {
        throw Error{ErrorKind::invalid, std::string{name} + ": '" + text + "' is not HOST:PORT"};
    }
    result.host = text.substr(0, colon);
    if (result.host.starts_with('[') && result.host.ends_with(']'))
        result.host = result.host.substr(1, result.host.size() - 2);
    return result;
}

/// The host says where to look, the rest that it is this process.
std::string identity() {
    std::array<char, 256> host{};
    ::gethostname(host.data(), host.size() - 1);
    return std::string{host.data()} + "_" + crypto::random_hex(8);
}

class GitopsRole : public Role {
public:
    GitopsRole(Daemon& daemon, asio::any_io_executor loop, const Flags& flags)
        : loop_{loop},
          client_{daemon.cluster(loop)},
          news_{loop, asio::steady_timer::time_point::max()},
          recorder_{loop, client_},
          in_cluster_{flags.repository.empty()},
          events_{[this](const gitops::Event& event) { publish(event); }},
          notifier_{
              loop, client_, events_, {.no_cross_namespace_refs = flags.no_cross_namespace_refs}},
          store_{make_store(daemon, flags)},
          reconciler_{loop, daemon.pool, client_, *store_, events_, options(daemon, flags)} {
        // In file mode there is no GitRepository in the cluster that one could name.
        if (in_cluster_ && !flags.only_sources) {
            gitops::ImageObjects::Options images;
            images.cache = daemon.state / "gitops" / "git";
            images.local_repositories = flags.local_repositories;
            images.no_cross_namespace_refs = flags.no_cross_namespace_refs;
            images.default_service_account = flags.default_service_account;
            images.label_selector = flags.label_selector;
            if (!flags.no_image_scan) images.registry = gitops::make_oci_registry(loop);
            images_.emplace(loop, daemon.pool, client_, events_, std::move(images));
        }
        if (files_ != nullptr) {
            daemon.deployment_status = [this](std::string kind, std::string ns, std::string name,
                                              json::object status) {
                gitops::Key key{
                    .kind = std::move(kind), .ns = std::move(ns), .name = std::move(name)};
                asio::post(loop_,
                           [this, key = std::move(key), status = std::move(status)]() mutable {
                               files_->report(key, std::move(status));
                           });
            };
        }
        const gitops::Nudge nudge = [this](std::string url) {
            return on(loop_, look(std::move(url)));
        };
        daemon.socket_routes["/v1/notify"] = gitops::notify_handler(nudge);
        daemon.socket_routes["/v1/gitops/events"] = [this](net::Request request, const net::Peer&,
                                                           net::ResponseWriter& out) {
            return serve_events(std::move(request), out);
        };
        if (!flags.webhook_listen.empty()) listen(flags, nudge);
        if (flags.leader_election) {
            kube::LeaseTurn::Options turn;
            turn.ns = flags.ns;
            turn.name = flags.lease;
            turn.identity = identity();
            election_.emplace(client_, std::move(turn));
        }
    }

    asio::awaitable<void> run() override {
        TaskGroup tasks{loop_};
        tasks.spawn(recorder_.run());
        tasks.spawn(notifier_.run());
        // Whoever a webhook reaches asks the objects to be looked at; that needs no lead.
        if (webhooks_) tasks.spawn(webhooks_->run());
        if (receivers_) tasks.spawn(receivers_->run());
        tasks.spawn(election_ ? election_->lead([this] { return reconcile(); }) : reconcile());
        co_await even_if_cancelled;
        co_await tasks.join();
    }

private:
    asio::awaitable<void> reconcile() {
        TaskGroup tasks{loop_};
        tasks.spawn(reconciler_.run());
        if (images_) tasks.spawn(images_->run());
        if (artifact_server_) tasks.spawn(artifact_server_->run());
        co_await even_if_cancelled;
        co_await tasks.join();
    }

    std::unique_ptr<gitops::ObjectStore> make_store(const Daemon& daemon, const Flags& flags) {
        if (flags.repository.empty()) {
            gitops::ClusterStore::Options options;
            for (const auto& [kind, target] : daemon.targets) options.target_kinds.insert(kind);
            options.label_selector = flags.label_selector;
            return std::make_unique<gitops::ClusterStore>(client_, std::move(options));
        }
        gitops::FileStore::Options options;
        options.url = flags.repository;
        options.reference = {.branch = flags.branch, .tag = flags.tag, .commit = flags.commit};
        if (flags.branch.empty() && flags.tag.empty() && flags.commit.empty())
            options.reference.branch = "main";
        options.path = flags.path;
        options.interval = parse_duration(flags.interval);
        options.secret_name = flags.secret;
        options.name = flags.name;
        options.ns = flags.ns;
        for (const auto& [kind, target] : daemon.targets) options.target_kinds.insert(kind);
        auto store = std::make_unique<gitops::FileStore>(client_, std::move(options));
        files_ = store.get();
        return store;
    }

    gitops::Reconciler::Options options(Daemon& daemon, const Flags& flags) {
        gitops::Reconciler::Options options;
        options.cache = daemon.state / "gitops" / "git";
        options.local_repositories = flags.local_repositories;
        options.no_cross_namespace_refs = flags.no_cross_namespace_refs;
        options.drift = gitops::parse_drift(flags.drift);
        options.remote_bases = !flags.no_remote_bases;
        options.default_service_account = flags.default_service_account;
        options.concurrency = flags.concurrency;
        options.targets = daemon.targets;
        options.only_sources = flags.only_sources;
        options.artifacts = serve_artifacts(daemon, flags);
        return options;
    }

    static std::shared_ptr<const Secret> webhook_secret(const std::string& file) {
        std::string text{read_private_file(file).reveal()};
        while (text.ends_with('\n')) text.pop_back();
        if (text.empty()) throw Error{ErrorKind::invalid, file + " is empty"};
        return std::make_shared<const Secret>(std::move(text));
    }

    void listen(const Flags& flags, const gitops::Nudge& nudge) {
        if (in_cluster_) {
            const gitops::ReceiverObjects::Options rules{.no_cross_namespace_refs =
                                                             flags.no_cross_namespace_refs};
            receivers_.emplace(loop_, client_, events_, rules);
        } else if (flags.webhook_secret_file.empty()) {
            throw Error{ErrorKind::invalid,
                        "--gitops-webhook-listen with --gitops-repo needs "
                        "--gitops-webhook-secret-file: an unsigned webhook is refused"};
        }
        std::shared_ptr<const Secret> secret;
        if (!flags.webhook_secret_file.empty()) secret = webhook_secret(flags.webhook_secret_file);
        net::ServerOptions options;
        const auto endpoint = endpoint_of("--gitops-webhook-listen", flags.webhook_listen);
        options.host = endpoint.host;
        options.port = endpoint.port;
        options.body_limit = gitops::webhook_body_limit;
        webhooks_.emplace(
            loop_, std::move(options),
            gitops::webhook_handler(std::move(secret), nudge, receivers_ ? &*receivers_ : nullptr));
        log::info("gitops", "webhooks", {{"host", endpoint.host}, {"port", webhooks_->port()}});
    }

    /// Archives for others. The server is there first: its port is part of what they are told.
    std::shared_ptr<const gitops::Artifacts> serve_artifacts(Daemon& daemon, const Flags& flags) {
        if (flags.artifacts_listen.empty()) {
            if (!flags.artifacts_url.empty())
                throw Error{ErrorKind::invalid,
                            "--gitops-artifacts-url needs --gitops-artifacts-listen"};
            return nullptr;
        }
        const auto endpoint = endpoint_of("--gitops-artifacts-listen", flags.artifacts_listen);
        const bool anywhere = endpoint.host == "0.0.0.0" || endpoint.host == "::";
        if (anywhere && flags.artifacts_url.empty()) {
            throw Error{ErrorKind::invalid,
                        "--gitops-artifacts-listen " + flags.artifacts_listen +
                            " needs --gitops-artifacts-url: the address that others know"};
        }
        net::ServerOptions options;
        options.host = endpoint.host;
        options.port = endpoint.port;
        options.body_limit = 0;
        auto artifacts = std::make_shared<gitops::Artifacts>(daemon.state / "gitops" / "artifacts");
        artifact_server_.emplace(loop_, std::move(options),
                                 gitops::artifact_handler(artifacts, daemon.pool));
        const bool v6 = endpoint.host.find(':') != std::string::npos;
        const auto url = !flags.artifacts_url.empty()
                             ? flags.artifacts_url
                             : "http://" + (v6 ? "[" + endpoint.host + "]" : endpoint.host) + ":" +
                                   std::to_string(artifact_server_->port());
        artifacts->advertise(url);
        log::info("gitops", "archives of sources", {{"url", url}});
        return artifacts;
    }

    void publish(const gitops::Event& event) {
        news_.cancel();
        notifier_.take(event);
        if (!in_cluster_) return;  // there is no object that it could be about
        recorder_.record(
            event.about,
            {.warning = event.warning, .reason = event.reason, .message = event.message});
    }

    asio::awaitable<std::size_t> look(std::string url) {
        if (election_ && !election_->leading()) {
            throw Error{ErrorKind::unavailable, "another kledd leads here: " + election_->holder()};
        }
        co_return reconciler_.nudge(url);
    }

    /// Those after `number`; when there are none yet, and `wait`, the next ones.
    asio::awaitable<std::vector<gitops::Event>> events_after(std::uint64_t number, bool wait) {
        auto events = events_.since(number);
        while (events.empty() && wait) {
            co_await news_.async_wait(asio::as_tuple(asio::use_awaitable));
            events = events_.since(number);
        }
        co_return events;
    }

    /// GET /v1/gitops/events[?follow]: one JSON object a line.
    asio::awaitable<void> serve_events(net::Request request, net::ResponseWriter& out) {
        const bool follow = net::parse_target(request.target).parameter("follow").has_value();
        net::Headers headers;
        headers.set("Content-Type", "application/x-ndjson");
        co_await out.begin(200, std::move(headers));
        std::uint64_t last = 0;
        bool wait = false;  // first what is there, then what comes
        do {
            const auto events = co_await on(loop_, events_after(last, wait));
            std::string lines;
            for (const auto& event : events) {
                lines += kube::to_json(kube::json::value(event.to_json())) + "\n";
                last = event.number;
            }
            if (!lines.empty()) co_await out.write(lines);
            wait = true;
        } while (follow);
    }

    asio::any_io_executor loop_;
    kube::Client client_;
    asio::steady_timer news_;  // never fires; cancelled when there is an event
    kube::EventRecorder recorder_;
    bool in_cluster_;
    gitops::Events events_;
    gitops::Notifier notifier_;
    gitops::FileStore* files_ = nullptr;  ///< `store_`, in file mode
    std::unique_ptr<gitops::ObjectStore> store_;
    std::optional<net::HttpServer> artifact_server_;
    gitops::Reconciler reconciler_;
    std::optional<gitops::ImageObjects> images_;
    std::optional<gitops::ReceiverObjects> receivers_;
    std::optional<net::HttpServer> webhooks_;
    std::optional<kube::Election> election_;
};

class GitopsSetup : public RoleSetup {
public:
    [[nodiscard]] std::string_view name() const override { return "gitops"; }

    void add_flags(CLI::App& app) override {
        auto* group = app.add_option_group("gitops", "Role gitops");
        group->add_option("--gitops-repo", flags_.repository,
                          "Deployment objects come from this repository, not from the cluster");
        group->add_option("--gitops-path", flags_.path, "Folder of --gitops-repo that has them")
            ->capture_default_str();
        group->add_option("--gitops-branch", flags_.branch, "Branch of --gitops-repo (main)");
        group->add_option("--gitops-tag", flags_.tag, "Tag of --gitops-repo, in place of a branch");
        group->add_option("--gitops-commit", flags_.commit, "Commit of --gitops-repo");
        group
            ->add_option("--gitops-interval", flags_.interval,
                         "How often --gitops-repo is looked at")
            ->capture_default_str();
        group->add_option("--gitops-secret", flags_.secret,
                          "Secret with the credentials of --gitops-repo");
        group
            ->add_option("--gitops-name", flags_.name,
                         "Name of the source that --gitops-repo becomes")
            ->capture_default_str();
        group->add_option("--gitops-namespace", flags_.ns, "Its namespace")->capture_default_str();
        group->add_flag("--gitops-allow-local-repositories", flags_.local_repositories,
                        "file:// URLs, and the ssh configuration of this user");
        group->add_flag("--gitops-no-cross-namespace-refs", flags_.no_cross_namespace_refs,
                        "Sources and dependencies of other namespaces are refused");
        group
            ->add_option("--gitops-drift", flags_.drift,
                         "What others change: repair, report or ignore, where a Kustomization does "
                         "not say (gitops.kled.io/drift)")
            ->capture_default_str()
            ->check(CLI::IsMember({"repair", "report", "ignore"}));
        group->add_flag("--gitops-no-remote-bases", flags_.no_remote_bases,
                        "Kustomizations that name other repositories or URLs are refused");
        group->add_flag("--gitops-no-image-scan", flags_.no_image_scan,
                        "ImageRepositories and ImagePolicies are another controller's");
        group->add_option("--gitops-default-service-account", flags_.default_service_account,
                          "Account whose rights bound Kustomizations that name none");
        group->add_option("--gitops-watch-label-selector", flags_.label_selector,
                          "Only objects with such labels: sharding.fluxcd.io/key=shard1");
        group->add_option("--gitops-concurrency", flags_.concurrency, "Reconciliations at a time")
            ->capture_default_str()
            ->check(CLI::Range(1, 256));
        group->add_option(
            "--gitops-webhook-listen", flags_.webhook_listen,
            "HOST:PORT for webhooks: at the paths of Receivers, /hook/generic, /hook/github");
        group->add_option(
            "--gitops-webhook-secret-file", flags_.webhook_secret_file,
            "File with the secret that signs those at /hook/generic and /hook/github");
        group->add_option("--gitops-artifacts-listen", flags_.artifacts_listen,
                          "HOST:PORT where the sources' files are served as Flux serves them");
        group->add_option("--gitops-artifacts-url", flags_.artifacts_url,
                          "Its address as others see it (default: http://<listen>)");
        group->add_flag("--gitops-only-sources", flags_.only_sources,
                        "Fetch and serve sources; Kustomizations are another controller's");
        group->add_flag("--gitops-leader-election", flags_.leader_election,
                        "Several kledd, one of which works: the holder of a Lease");
        group
            ->add_option("--gitops-lease", flags_.lease,
                         "Name of that Lease, in --gitops-namespace")
            ->capture_default_str();
    }

    std::unique_ptr<Role> make(Daemon& daemon, asio::any_io_executor loop) override {
        if (!daemon.cluster) {
            throw Error{
                ErrorKind::invalid,
                "the role gitops needs a Kubernetes API: --kubeconfig, or the role api beside it"};
        }
        if (flags_.only_sources &&
            (flags_.artifacts_listen.empty() || !flags_.repository.empty())) {
            throw Error{ErrorKind::invalid,
                        "--gitops-only-sources needs --gitops-artifacts-listen, and its sources in "
                        "the cluster: it goes without --gitops-repo"};
        }
        if (!flags_.label_selector.empty()) {
            if (!flags_.repository.empty()) {
                throw Error{ErrorKind::invalid,
                            "--gitops-watch-label-selector chooses among the objects of the "
                            "cluster: it goes without --gitops-repo"};
            }
            try {
                static_cast<void>(kube::LabelSelector::parse(flags_.label_selector));
            } catch (const Error& error) {
                throw error.within("--gitops-watch-label-selector");
            }
        }
        return std::make_unique<GitopsRole>(daemon, std::move(loop), flags_);
    }

private:
    Flags flags_;
};

}  // namespace

std::unique_ptr<RoleSetup> gitops_setup() { return std::make_unique<GitopsSetup>(); }

}  // namespace kled::cli
