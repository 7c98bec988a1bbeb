// kled-agent: the agent on a device.
#include "base/core_dumps.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/run.h"
#include "base/task_group.h"
#include "cli/address.h"
#include "cli/command.h"
#include "cli/help.h"
#include "cli/program.h"
#include "cli/stop_signals.h"
#include "cli/version.h"
#include "edge/agent.h"
#include "edge/enrolment.h"
#include "edge/join.h"

#include <CLI/CLI.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <malloc.h>
#include <unistd.h>

#include <cctype>
#include <csignal>
#include <cstdlib>
#include <iostream>

namespace {

using namespace kled;
namespace asio = boost::asio;

struct Flags {
    std::filesystem::path state = "/var/lib/kled-agent";
    edge::AgentOptions agent;
    std::string broker;
    std::string token;
    std::filesystem::path token_file;
    std::string name;
    std::string server;
    bool stop_workloads = false;
    bool again = false;
    bool if_needed = false;
    bool allow_core_dumps = false;
    std::string log_level = "info";
    std::string log_format = "text";
};

asio::awaitable<void> stop_workloads(edge::Agent& agent, TaskGroup& waiting) {
    co_await agent.stop_workloads();
    waiting.cancel();
}

asio::awaitable<void> be_asked_again(asio::signal_set& signals, TaskGroup& waiting) {
    const auto number = co_await signals.async_wait(asio::use_awaitable);
    log::warn("agent", "not waiting for the workloads any longer", {{"signal", number}});
    waiting.cancel();
}

asio::awaitable<void> stop_on_signal(asio::signal_set& signals, edge::Agent& agent,
                                     bool workloads_too, TaskGroup& tasks) {
    const auto number = co_await signals.async_wait(asio::use_awaitable);
    log::info("agent", "stopping", {{"signal", number}});
    if (workloads_too) {
        TaskGroup waiting{signals.get_executor()};
        waiting.spawn(stop_workloads(agent, waiting));
        waiting.spawn(be_asked_again(signals, waiting));
        co_await even_if_cancelled;
        co_await waiting.join();
    }
    tasks.cancel();
}

asio::awaitable<void> run_agent(ThreadPool& pool, const Flags& flags, cli::HeldSignals& held) {
    const auto loop = co_await asio::this_coro::executor;
    asio::signal_set signals{loop, SIGINT, SIGTERM};
    auto identity = edge::load_identity(flags.state);
    if (!flags.broker.empty()) {
        const auto address = cli::parse_address("--broker", flags.broker);
        identity.broker_host = address.host;
        identity.broker_port = address.port;
    }
    auto options = flags.agent;
    options.state = flags.state;
    options.version = KLED_VERSION;
    edge::Agent agent{loop, pool, std::move(identity), std::move(options)};
    TaskGroup tasks{loop};
    held.release();
    tasks.spawn(agent.run());
    tasks.spawn(stop_on_signal(signals, agent, flags.stop_workloads, tasks));
    co_await even_if_cancelled;
    co_await tasks.join();
    held.hold();
}

void run(const Flags& flags) {
    cli::HeldSignals held;
    // Its workloads' dumps are their own affair.
    if (!flags.allow_core_dumps) forbid_core_dumps();
    // One arena: the threads allocate little, and each arena keeps what it had once.
    ::mallopt(M_ARENA_MAX, 1);
    ::mallopt(M_TRIM_THRESHOLD, 64 << 10);
    ThreadPool pool{2};
    run_to_end(run_agent(pool, flags, held));
    // A name service that does not answer may hold the pool; everything durable is on disk.
    std::cout.flush();
    ::_exit(0);
}

void join(Flags& flags) {
    if (flags.if_needed && std::filesystem::exists(flags.state / "agent.json")) return;
    if (!flags.token_file.empty()) flags.token = read_file(flags.token_file, 8192);
    while (!flags.token.empty() &&
           std::isspace(static_cast<unsigned char>(flags.token.back())) != 0)
        flags.token.pop_back();
    if (flags.token.empty()) {
        throw Error{ErrorKind::invalid,
                    "no token: `kled edge token create` on the hub prints one; give it with "
                    "--token-file FILE"};
    }
    if (flags.name.empty()) flags.name = edge::parse_token(flags.token).device;
    if (flags.name.empty()) {
        std::string host(256, '\0');
        ::gethostname(host.data(), host.size() - 1);
        flags.name = host.c_str();
    }
    const auto answer =
        run_to_end(edge::join(flags.state, flags.token, flags.name, flags.server, flags.again));
    std::cout << "joined fleet " << answer.fleet << " as " << answer.device << "; broker "
              << answer.broker_host << ":" << answer.broker_port << "\n";
}

void status(const Flags& flags) {
    const auto identity = edge::load_identity(flags.state);
    std::cout << "device:   " << identity.device << "\nfleet:    " << identity.fleet
              << "\nbroker:   " << identity.broker_host << ":" << identity.broker_port
              << "\ndelivery: " << identity.delivery.id() << "\n";
    const auto text = edge::read_status(flags.state);
    std::cout << (text.empty() ? "agent:    not running\n" : text);
}

int main_or_throw(int argc, char** argv) {
    Flags flags;
    CLI::App app{
        "kled-agent: runs on a device what its fleet assigns to it\n\n"
        "Examples:\n"
        "  kled-agent join --token-file token\n"
        "  kled-agent run --enable-process-runtime\n"
        "  kled-agent status",
        "kled-agent"};
    cli::format_help(app);
    app.require_subcommand(1);
    app.fallthrough();
    cli::add_version_flag(app);
    app.add_option("--state", flags.state, "Directory of the device's identity and data")
        ->envname("KLED_AGENT_STATE")
        ->capture_default_str();
    app.add_option("--log-level", flags.log_level, "debug, info, warn or error")
        ->capture_default_str();
    app.add_option("--log-format", flags.log_format, "text or json")->capture_default_str();
    app.parse_complete_callback([&] {
        log::configure(log::parse_level(flags.log_level), log::parse_format(flags.log_format));
    });

    auto* run_verb = app.add_subcommand("run", "Run the agent");
    run_verb->add_flag("--enable-process-runtime", flags.agent.process_runtime,
                       "Workloads may run as processes of this device");
    run_verb->add_flag("--stop-workloads", flags.stop_workloads,
                       "Stop the workloads when the agent ends; else they go on");
    run_verb->add_option("--broker", flags.broker, "host:port, instead of the one from joining");
    run_verb->add_option("--cgroups", flags.agent.cgroups, "Where control groups are mounted")
        ->capture_default_str();
    run_verb->add_flag(
        "--allow-core-dumps", flags.allow_core_dumps,
        "Let the system write the memory, with all secrets in it, to disk after a crash");
    run_verb->callback([&flags] { run(flags); });

    auto* join_verb = app.add_subcommand("join", "Join a fleet with a one-time token");
    join_verb->add_option("token", flags.token, "The token; better a file than a command line");
    join_verb->add_option("--token-file", flags.token_file, "File with the token");
    join_verb->add_option("--name", flags.name,
                          "Name of the device (default: the token's, else the host's)");
    join_verb->add_option("--server", flags.server,
                          "https://host:port of the hub, instead of the token's");
    join_verb->add_flag("--again", flags.again, "Join anew, with the keys that are there");
    join_verb->add_flag("--if-needed", flags.if_needed, "Do nothing when the device has joined");
    join_verb->callback([&flags] { join(flags); });

    auto* status_verb = app.add_subcommand("status", "Who this device is, and how it is doing");
    status_verb->callback([&flags] { status(flags); });

    return cli::parse(app, argc, argv).value_or(0);
}

}  // namespace

int main(int argc, char** argv) {
    return kled::cli::run_program("kled-agent", [&] { return main_or_throw(argc, argv); });
}
