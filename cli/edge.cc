// kled edge: the devices of the fleet, how they join, and the broker between.
#include "base/clock.h"
#include "base/error.h"
#include "cli/command.h"
#include "cli/output.h"
#include "edge/pki.h"
#include "kube/object.h"
#include "kube/yaml.h"
#include "net/http_client.h"

#include <CLI/CLI.hpp>
#include <boost/asio/this_coro.hpp>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

namespace kled::cli {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

struct Flags {
    std::string name;
    Output output = Output::table;
    std::string device;
    std::vector<std::string> labels;
    std::string lifetime = "1h";
    edge::BrokerOptions broker;
    bool print_only = false;
    bool force = false;
};

ErrorKind kind_of(unsigned status) {
    switch (status) {
        case 400: return ErrorKind::invalid;
        case 403: return ErrorKind::denied;
        case 404: return ErrorKind::not_found;
        case 409: return ErrorKind::conflict;
        case 413: return ErrorKind::exhausted;
        default: return ErrorKind::unavailable;
    }
}

/// One exchange with the hub of the kledd on this machine.
asio::awaitable<json::value> ask(const Globals& globals, net::Request request) {
    const auto loop = co_await asio::this_coro::executor;
    const auto socket = net::parse_url("unix:" + globals.socket().string());
    net::HttpClient client{loop, socket, net::ClientOptions{}};
    net::Response response;
    try {
        response = co_await client.send(std::move(request));
    } catch (const Error& error) {
        throw error.within(
            error.kind() == ErrorKind::denied
                ? "the socket is for the user and the group that kledd runs as"
                : "is a kledd with the role edge running here? (--state says where)");
    }
    if (response.status != 200) {
        while (response.body.ends_with('\n')) response.body.pop_back();
        throw Error{kind_of(response.status), "kledd: " + response.body};
    }
    co_return kube::parse_json(response.body);
}

asio::awaitable<std::vector<kube::Object>> nodes(const Globals& globals, const std::string& name) {
    net::Request request;
    request.target = "/v1/edge/nodes";
    auto answer = co_await ask(globals, std::move(request));
    std::vector<kube::Object> found;
    for (auto& item : answer.as_object().at("items").as_array()) {
        auto object = kube::Object::from(std::move(item));
        if (name.empty() || object.name() == name) found.push_back(std::move(object));
    }
    if (!name.empty() && found.empty()) {
        throw Error{ErrorKind::not_found,
                    "edge node \"" + name + "\": no such device; `kled edge get` lists them"};
    }
    co_return found;
}

std::string text(const kube::Object& object, std::initializer_list<std::string_view> path) {
    const auto* value = kube::find(object.fields(), path);
    if (value == nullptr) return {};
    if (const auto* held = value->if_string()) return std::string{*held};
    return kube::to_json(*value);
}

std::string labels(const kube::Object& node) {
    std::string all;
    const auto* given = kube::find(node.fields(), {"metadata", "labels"});
    if (given == nullptr || !given->is_object()) return all;
    for (const auto& label : given->get_object()) {
        const auto* value = label.value().if_string();
        if (value == nullptr) continue;
        all += (all.empty() ? "" : ",") + std::string{label.key()} + "=" + std::string{*value};
    }
    return all;
}

/// The elements of a list in status that are objects.
std::vector<kube::Object> entries(const kube::Object& node, std::string_view name) {
    std::vector<kube::Object> all;
    const auto* list = kube::find(node.fields(), {"status", name});
    if (list == nullptr || !list->is_array()) return all;
    for (const auto& entry : list->get_array())
        if (const auto* fields = entry.if_object()) all.emplace_back(*fields);
    return all;
}

std::string seen(const kube::Object& node) {
    const auto when = text(node, {"status", "lastSeen"});
    return when.empty() ? "never" : age(when) + " ago";
}

asio::awaitable<void> list_names(const Globals& globals, std::vector<std::string>& names) {
    const auto found = co_await nodes(globals, std::string{});
    for (const auto& node : found) names.emplace_back(node.name());
}

asio::awaitable<void> get(const Globals& globals, const Flags& flags) {
    const auto found = co_await nodes(globals, flags.name);
    if (found.empty() && (flags.output == Output::table || flags.output == Output::wide)) {
        std::cerr << "no devices yet; `kled edge token create` makes a token with which one "
                     "joins\n";
        co_return;
    }
    Table table;
    table.columns = {"NAME",      "ONLINE", "PHASE", "GENERATION", "SEEN",
                     "WORKLOADS", "AGENT",  "ARCH",  "LABELS"};
    table.wide_from = 6;
    for (const auto& node : found) {
        const auto workloads = entries(node, "workloads");
        const auto ready = std::ranges::count_if(
            workloads, [](const auto& workload) { return text(workload, {"ready"}) == "true"; });
        table.rows.push_back(
            {std::string{node.name()}, text(node, {"status", "online"}) == "true" ? "yes" : "no",
             text(node, {"status", "phase"}),
             text(node, {"status", "observed", "generation"}) + "/" +
                 text(node, {"status", "desired", "generation"}),
             seen(node), std::to_string(ready) + "/" + std::to_string(workloads.size()),
             text(node, {"status", "agentVersion"}), text(node, {"status", "architecture"}),
             labels(node)});
    }
    print(flags.output, table, found, !flags.name.empty());
}

asio::awaitable<void> describe(const Globals& globals, const Flags& flags) {
    const auto found = co_await nodes(globals, flags.name);
    const auto& node = found.front();
    const auto line = [](std::string_view name, const std::string& value) {
        std::cout << name << std::string(13 - name.size(), ' ') << (value.empty() ? "-" : value)
                  << '\n';
    };
    line("Name:", std::string{node.name()});
    line("Fleet:", text(node, {"spec", "fleet"}));
    line("Labels:", labels(node));
    line("Online:", text(node, {"status", "online"}) == "true" ? "yes" : "no");
    line("Last seen:", seen(node));
    line("Agent:",
         text(node, {"status", "agentVersion"}) + " " + text(node, {"status", "architecture"}));
    line("Phase:", text(node, {"status", "phase"}));
    line("Generation:", text(node, {"status", "observed", "generation"}) + " of " +
                            text(node, {"status", "desired", "generation"}));
    std::cout << "Conditions:\n";
    Table conditions{.columns = {"  TYPE", "STATUS", "REASON", "MESSAGE"}, .rows = {}};
    for (const auto& c : entries(node, "conditions"))
        conditions.rows.push_back({"  " + text(c, {"type"}), text(c, {"status"}),
                                   text(c, {"reason"}), text(c, {"message"})});
    print(Output::table, conditions, {}, false);
    const auto workloads = entries(node, "workloads");
    if (workloads.empty()) {
        std::cout << "Workloads:   none\n";
        co_return;
    }
    std::cout << "Workloads:\n";
    Table table{.columns = {"  WORKLOAD", "DEPLOYMENT", "PHASE", "READY", "RESTARTS", "MESSAGE"},
                .rows = {}};
    for (const auto& w : workloads)
        table.rows.push_back(
            {"  " + text(w, {"kind"}) + " " + text(w, {"namespace"}) + "/" + text(w, {"name"}),
             text(w, {"deployment"}), text(w, {"phase"}),
             text(w, {"ready"}) == "true" ? "yes" : "no", text(w, {"restarts"}),
             text(w, {"message"})});
    print(Output::table, table, {}, false);
}

asio::awaitable<void> create_token(const Globals& globals, const Flags& flags) {
    json::object labels;
    for (const auto& label : flags.labels) {
        const auto equals = label.find('=');
        if (equals == std::string::npos || equals == 0)
            throw Error{ErrorKind::invalid, "--label \"" + label + "\": expected key=value"};
        labels[label.substr(0, equals)] = label.substr(equals + 1);
    }
    const auto seconds =
        std::chrono::duration_cast<std::chrono::seconds>(parse_duration(flags.lifetime)).count();
    if (seconds <= 0)
        throw Error{ErrorKind::invalid, "--ttl " + flags.lifetime +
                                            ": nobody could use such a token; give it a second at "
                                            "least, as in --ttl 1h"};
    json::object body;
    body["device"] = flags.device;
    body["labels"] = std::move(labels);
    body["seconds"] = seconds;
    net::Request request;
    request.method = "POST";
    request.target = "/v1/edge/tokens";
    request.headers.set("Content-Type", "application/json");
    request.body = kube::to_json(json::value(std::move(body)));
    const auto answer = co_await ask(globals, std::move(request));
    std::cout << kube::find_string(answer.as_object(), {"token"}) << "\n";
}

asio::awaitable<void> remove(const Globals& globals, const Flags& flags) {
    net::Request request;
    request.method = "DELETE";
    request.target = "/v1/edge/nodes/" + flags.name + (flags.force ? "?force" : "");
    const auto answer = co_await ask(globals, std::move(request));
    std::cout << "removed " << flags.name << "\n";
    const auto broker = kube::find_string(answer.as_object(), {"broker"});
    if (!broker.empty()) {
        std::cerr << "warning: it may still connect, though the hub does not listen to it: "
                  << broker << "\n";
    }
}

/// Replaces this program; returns only by throwing.
[[noreturn]] void become(std::vector<std::string> argv) {
    std::vector<char*> pointers;
    for (auto& argument : argv) pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    ::execvp(pointers[0], pointers.data());
    throw Error{errno == ENOENT ? ErrorKind::not_found : ErrorKind::unavailable,
                argv[0] + ": " + std::strerror(errno)};
}

void run_broker(const Globals& globals, Flags& flags) {
    flags.broker.state = globals.state / "edge";
    const auto file = edge::write_broker_files(flags.broker);
    if (flags.print_only) {
        std::cout << file.string() << "\n";
        return;
    }
    // This process becomes the broker, and the hub tells it by SIGHUP when a device is shut out:
    // until it listens for that, it is not ended by it.
    edge::note_broker(flags.broker.state, ::getpid());
    std::signal(SIGHUP, SIG_IGN);
    try {
        become({"mosquitto", "-c", file.string()});
    } catch (const Error&) {
        // Debian keeps it where PATH of a user does not look.
        become({"/usr/sbin/mosquitto", "-c", file.string()});
    }
}

}  // namespace

void add_edge(CLI::App& app, Globals& globals) {
    const auto device_names = [&globals] {
        std::vector<std::string> names;
        run([&] { return list_names(globals, names); });
        return names;
    };
    auto flags = std::make_shared<Flags>();
    auto* group = app.add_subcommand("edge", "The devices of the fleet");
    group->require_subcommand(1);

    auto* list = group->add_subcommand("get",
                                       "List devices\n\nExamples:\n"
                                       "  kled edge get -o wide\n"
                                       "  kled edge get press-4 -o yaml");
    list->add_option("name", flags->name, "One device");
    add_output_flag(*list, flags->output);
    complete_with(*list, device_names);
    list->callback([&globals, flags] { run([&] { return get(globals, *flags); }); });

    auto* show = group->add_subcommand(
        "describe", "All about one device\n\nExample:\n  kled edge describe press-4");
    show->add_option("name", flags->name, "The device")->required();
    complete_with(*show, device_names);
    show->callback([&globals, flags] { run([&] { return describe(globals, *flags); }); });

    auto* removal = group->add_subcommand(
        "remove",
        "Shut a device out of the fleet\n\n"
        "Its certificate and tokens are worth nothing from then on, its connection ends, and its "
        "EdgeNode is deleted. What runs on it goes on until somebody stops it there. With a new "
        "token it can join again.\n\nExamples:\n"
        "  kled edge remove press-4\n"
        "  kled edge remove press-4 --force      # lost, stolen or broken");
    removal->add_option("name", flags->name, "The device")->required();
    removal->add_flag("--force", flags->force, "Also when it is offline, and cannot be told");
    complete_with(*removal, device_names);
    removal->callback([&globals, flags] { run([&] { return remove(globals, *flags); }); });

    auto* token = group->add_subcommand("token", "Tokens with which devices join");
    token->require_subcommand(1);
    auto* create = token->add_subcommand(
        "create",
        "Print a token that works once\n\nExample:\n"
        "  kled edge token create --device press-4 --label site=hall-2 > token\n"
        "  # on the device: kled-agent join --token-file token");
    create->add_option("--device", flags->device,
                       "The device's name; without it the device chooses");
    create->add_option("--label", flags->labels, "key=value for its EdgeNode; may repeat");
    create->add_option("--ttl", flags->lifetime, "How long it may be used")->capture_default_str();
    create->callback([&globals, flags] { run([&] { return create_token(globals, *flags); }); });

    auto* join =
        group->add_subcommand("join",
                              "Make this machine a device: as `kled-agent join`\n\nExample:\n"
                              "  kled edge join --token-file token");
    // All that follows is kled-agent's, also --state and --help.
    join->prefix_command();
    join->fallthrough(false);
    join->set_help_flag();
    join->callback([join] {
        std::vector<std::string> argv;
        std::error_code ignored;
        const auto beside =
            std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path() / "kled-agent";
        argv.push_back(std::filesystem::exists(beside, ignored) ? beside.string() : "kled-agent");
        argv.emplace_back("join");
        for (const auto& argument : join->remaining()) argv.push_back(argument);
        become(std::move(argv));
    });

    auto* broker = group->add_subcommand("broker", "The MQTT broker of the fleet");
    broker->require_subcommand(1);
    auto* start =
        broker->add_subcommand("run",
                               "Configure mosquitto for the fleet and become it\n\nExamples:\n"
                               "  kled edge broker run\n"
                               "  kled edge broker run --listen 0.0.0.0 --name edge.example.com");
    start->add_option("--listen", flags->broker.host, "Address to listen on")
        ->capture_default_str();
    start->add_option("--port", flags->broker.port, "Its port")->capture_default_str();
    start->add_option("--name", flags->broker.names,
                      "DNS names and addresses under which devices reach it; may repeat");
    start->add_option("--user", flags->broker.user, "User that mosquitto runs as (when root)");
    start->add_flag("--print-config", flags->print_only,
                    "Write the configuration, print its path, and start nothing");
    start->callback([&globals, flags] { run_broker(globals, *flags); });
}

}  // namespace kled::cli
