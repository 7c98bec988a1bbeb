// kledd: the daemon. It makes the roles that were asked for, wires them, and runs each on a thread
// of its own until a signal or the failure of one of them ends all.
#include "base/core_dumps.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/task_group.h"
#include "cli/cluster.h"
#include "cli/command.h"
#include "cli/config_file.h"
#include "cli/help.h"
#include "cli/program.h"
#include "cli/role.h"
#include "cli/socket.h"
#include "cli/stop_signals.h"
#include "cli/version.h"

#include <CLI/CLI.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <exception>
#include <iostream>
#include <optional>
#include <set>
#include <thread>
#include <vector>

namespace {

using namespace kled;
namespace asio = boost::asio;

struct Flags {
    std::vector<std::string> roles;
    std::filesystem::path state = default_state_directory();
    cli::ClusterFlags cluster;
    std::string log_level = "info";
    std::string log_format = "text";
    bool verbose = false;
    bool allow_core_dumps = false;
};

/// One role on its own loop and thread. `stop` may be called from any thread.
class RoleThread {
public:
    RoleThread(std::string name, cli::RoleSetup& setup, cli::Daemon& daemon)
        : name_{std::move(name)}, role_{setup.make(daemon, loop_.get_executor())} {}

    void start(const std::function<void(std::exception_ptr)>& ended) {
        asio::co_spawn(loop_, supervise(), [this, ended](std::exception_ptr error) {
            log::debug("kledd", "role ended", {{"role", name_}});
            ended(std::move(error));
        });
        thread_ = std::thread{[this] { loop_.run(); }};
    }
    void stop() {
        asio::post(loop_, [this] {
            if (tasks_) tasks_->cancel();
        });
    }
    void join() {
        if (thread_.joinable()) thread_.join();
    }
    [[nodiscard]] const std::string& name() const noexcept { return name_; }

private:
    asio::awaitable<void> supervise() {
        TaskGroup tasks{loop_.get_executor()};
        tasks_ = &tasks;
        tasks.spawn(role_->run());
        std::exception_ptr failure;
        try {
            co_await even_if_cancelled;
            co_await tasks.join();
        } catch (...) {
            failure = std::current_exception();
        }
        tasks_ = nullptr;
        if (failure) std::rethrow_exception(failure);
    }

    std::string name_;
    asio::io_context loop_{1};
    std::unique_ptr<cli::Role> role_;
    TaskGroup* tasks_ = nullptr;
    std::thread thread_;
};

/// Thousands of watches and devices are as many files; the limit is often 1024.
void raise_open_files() noexcept {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

/// Runs until SIGINT, SIGTERM or the first role that ends; returns after all have ended.
void run_daemon(cli::Daemon& daemon, std::vector<std::unique_ptr<RoleThread>>& roles,
                cli::HeldSignals& held) {
    asio::io_context loop{1};
    cli::ControlSocket socket{loop.get_executor(), daemon};
    TaskGroup tasks{loop.get_executor()};
    std::exception_ptr failure;
    const auto stop_all = [&] {
        for (const auto& role : roles) role->stop();
        tasks.cancel();
    };
    asio::signal_set signals{loop, SIGINT, SIGTERM};
    signals.async_wait([&](const boost::system::error_code& error, int number) {
        if (error) return;
        log::info("kledd", "stopping", {{"signal", number}});
        stop_all();
    });
    held.release();
    std::size_t running = roles.size();
    for (const auto& role : roles) {
        role->start([&, name = role->name()](std::exception_ptr error) {
            asio::post(loop, [&, name, error] {
                if (error && !failure) {
                    failure = error;
                    log::error("kledd", "a role failed; stopping", {{"role", name}});
                }
                if (--running == 0) signals.cancel();
                stop_all();
            });
        });
    }
    tasks.spawn(socket.run());
    asio::co_spawn(loop, tasks.join(), [&](std::exception_ptr error) {
        if (error && !failure) failure = std::move(error);
        for (const auto& role : roles) role->stop();
    });
    loop.run();
    held.hold();
    for (const auto& role : roles) role->join();
    // What a role offers lives on its loop, so it goes before the loop does: first what the daemon
    // holds of it, then the roles, the last made first.
    daemon.socket_routes.clear();
    daemon.targets.clear();
    daemon.deployment_status = nullptr;
    daemon.cluster = nullptr;
    while (!roles.empty()) roles.pop_back();
    if (failure) std::rethrow_exception(failure);
}

int main_or_throw(int argc, char** argv) {
    Flags flags;
    CLI::App app{
        "kledd: the daemon of kled\n\nExample:\n  kledd --roles api,gitops,edge --state "
        "/var/lib/kled",
        "kledd"};
    cli::format_help(app);
    // In the order in which they are made: a role may use what those before it offer.
    std::vector<std::unique_ptr<cli::RoleSetup>> setups;
    setups.push_back(cli::api_setup());
    setups.push_back(cli::edge_setup());
    setups.push_back(cli::gitops_setup());

    cli::add_version_flag(app);
    app.add_option("--roles", flags.roles, "api, gitops, edge; separated by commas")
        ->delimiter(',')
        ->required();
    app.add_option("--state", flags.state, "Directory for all that must outlive a restart")
        ->envname("KLED_STATE")
        ->capture_default_str();
    flags.cluster.add_to(app);
    app.add_option("--log-level", flags.log_level, "debug, info, warn, error")
        ->capture_default_str();
    app.add_option("--log-format", flags.log_format, "text or json")->capture_default_str();
    app.add_flag("-v,--verbose", flags.verbose, "Short for --log-level debug");
    app.add_flag("--allow-core-dumps", flags.allow_core_dumps,
                 "Let the system write the memory, with all secrets in it, to disk after a crash");
    for (const auto& setup : setups) setup->add_flags(app);
    cli::add_config_flag(app);
    if (const auto status = cli::parse(app, argc, argv)) return *status;
    log::configure(flags.verbose ? log::Level::debug : log::parse_level(flags.log_level),
                   log::parse_format(flags.log_format));
    raise_open_files();
    cli::HeldSignals held;
    if (!flags.allow_core_dumps) {
        forbid_core_dumps();
        forbid_core_dumps_of_children();
    }

    std::set<std::string> wanted{flags.roles.begin(), flags.roles.end()};
    for (const auto& name : wanted) {
        if (std::ranges::none_of(setups, [&](const auto& s) { return s->name() == name; }))
            throw Error{ErrorKind::invalid, "--roles: " + name + " is none of api, gitops, edge"};
    }
    static_cast<void>(cli::socket_in(flags.state));  // said before anything is made
    make_directories(flags.state, 0700);
    const cli::StateLock lock{flags.state};

    ThreadPool pool{std::max(2U, std::thread::hardware_concurrency())};
    cli::Daemon daemon{.state = flags.state,
                       .pool = pool,
                       .cluster = {},
                       .cluster_name = {},
                       .targets = {},
                       .deployment_status = {},
                       .socket_routes = {}};
    cli::choose_cluster(flags.cluster, wanted.contains("api"), daemon);

    std::vector<std::unique_ptr<RoleThread>> roles;
    for (const auto& setup : setups) {
        if (!wanted.contains(std::string{setup->name()})) continue;
        make_directories(flags.state / setup->name(), 0700);
        roles.push_back(std::make_unique<RoleThread>(std::string{setup->name()}, *setup, daemon));
    }
    log::info("kledd", "started",
              {{"version", KLED_VERSION},
               {"state", flags.state.string()},
               {"cluster", daemon.cluster_name.empty() ? "none" : daemon.cluster_name}});
    run_daemon(daemon, roles, held);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        const int status = main_or_throw(argc, argv);
        kled::cli::flush_output();
        return status;
    } catch (const kled::Error& error) {
        kled::log::error("kledd", error.what());
        return kled::cli::exit_status(error.kind());
    } catch (const std::exception& error) {
        kled::log::error("kledd", error.what());
        return kled::cli::exit_status(kled::ErrorKind::internal);
    }
}
