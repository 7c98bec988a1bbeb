#include "edge/agent.h"

#include "base/encoding.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/retry.h"
#include "base/signal.h"
#include "base/task_group.h"
#include "crypto/hash.h"
#include "crypto/x509.h"
#include "edge/agent_store.h"
#include "edge/device.h"
#include "edge/enrolment.h"
#include "edge/fields.h"
#include "edge/names.h"
#include "edge/renewal.h"
#include "edge/runtime/process_runtime.h"
#include "edge/workload.h"
#include "kube/object.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fcntl.h>
#include <malloc.h>
#include <sys/file.h>
#include <sys/timex.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <utility>

namespace kled::edge {

namespace asio = boost::asio;
namespace fs = std::filesystem;

namespace {

constexpr std::size_t error_limit = 1024;  // of what `status` shows

std::string architecture() {
    utsname names{};
    return ::uname(&names) == 0 ? names.machine : "";
}

std::string boot_id() {
    auto id = read_file("/proc/sys/kernel/random/boot_id", 64);
    while (!id.empty() && id.back() == '\n') id.pop_back();
    return id;
}

Moment moment() {
    timespec boot{};
    ::clock_gettime(CLOCK_BOOTTIME, &boot);
    timex state{};
    const bool synced = ::adjtimex(&state) != -1 && (state.status & STA_UNSYNC) == 0;
    return {
        .steady = std::chrono::steady_clock::now(),
        .clock = {.wall = std::chrono::system_clock::now(),
                  .mono = std::chrono::duration_cast<std::chrono::milliseconds>(
                      std::chrono::seconds{boot.tv_sec} + std::chrono::nanoseconds{boot.tv_nsec}),
                  .synced = synced}};
}

/// In memory where there is a tmpfs: secrets, and a status that is written often. Two agents on one
/// machine (tests, demos) do not share it.
fs::path volatile_directory(const fs::path& state) {
    const auto name =
        crypto::sha256_hex(fs::absolute(state).lexically_normal().string()).substr(0, 16);
    auto directory = secrets_directory(name);
    return directory.empty() ? state / "run" : directory;
}

/// Held as long as the process lives: two agents on one state would run everything twice.
FileDescriptor lock(const fs::path& state) {
    make_directories(state, 0700);
    const auto path = state / "agent.lock";
    FileDescriptor fd{::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
    if (!fd) throw from_errno(errno, path.string());
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0)
        throw Error{ErrorKind::conflict, state.string() + ": another kled-agent is running here"};
    return fd;
}

}  // namespace

DeviceIdentity load_identity(const fs::path& state) {
    const auto path = state / "agent.json";
    const auto text = read_file_if_exists(path, 64U << 10U);
    if (!text) {
        throw Error{ErrorKind::not_found, path.string() +
                                              ": this device has not joined a fleet; get a token "
                                              "with `kled edge token create` and run `kled-agent "
                                              "join TOKEN`"};
    }
    const auto message = parse_message(path.string(), *text, 64U << 10U);
    const Fields fields{message, path.string()};
    const auto broker = fields.object("broker");
    auto fleet = fields.text("fleet", 64);
    auto device = fields.text("device", 64);
    check_name("fleet", fleet);
    check_name("device", device);
    std::optional<MqttTls> tls;
    if (broker.flag_or("tls", true))
        tls = MqttTls{.ca = state / "broker-ca.crt",
                      .certificate = state / "device.crt",
                      .key = state / "device.key"};
    return {.fleet = std::move(fleet),
            .device = std::move(device),
            .broker_host = broker.text("host", 255),
            .broker_port = static_cast<std::uint16_t>(broker.number("port", UINT16_MAX)),
            .tls = std::move(tls),
            .delivery = crypto::VerifyingKey::from_raw(fields.bytes("delivery_key", 32)),
            .sealing = crypto::Identity::parse(read_file(state / "sealing.key", 1024))};
}

struct Agent::Impl {
    Impl(asio::any_io_executor loop, ThreadPool& threads, DeviceIdentity who, AgentOptions given)
        : executor{std::move(loop)},
          pool{threads},
          identity{std::move(who)},
          options{std::move(given)},
          locked{lock(options.state)},
          boot{boot_id()},
          session_id{crypto::random_hex(8)},
          store{options.state},
          runtime{executor, pool, store, runtime_options(), [this] { look_at_runtime(); }},
          device{config(), store.begin_session(), store.blobs()},
          wake{executor, SteadyTime::max()},
          backoff{{.first = options.first_reconnect, .limit = options.longest_reconnect},
                  config().seed} {
        if (identity.tls) {
            const auto seed = config().seed;
            renewal.emplace(life_of(read_file(identity.tls->certificate, 64U << 10U)), seed);
        }
    }

    [[nodiscard]] ProcessRuntime::Options runtime_options() const {
        auto secrets = volatile_directory(options.state) / "secrets";
        make_directories(secrets, 0700);
        return {.roots = options.state / "workloads",
                .secrets = std::move(secrets),
                .logs = options.state / "logs",
                .cgroups = options.cgroups,
                .agent = identity.fleet + "." + identity.device,
                .boot_id = boot};
    }

    [[nodiscard]] Device::Config config() const {
        const auto random = crypto::random_bytes(4);
        std::uint32_t seed = 0;
        for (const auto byte : random) seed = seed << 8U | static_cast<unsigned char>(byte);
        return {.trust = {identity.fleet, identity.device, identity.delivery},
                .protocol = options.protocol,
                .agent = options.version,
                .arch = architecture(),
                .boot_id = boot,
                .session_id = session_id,
                .seed = seed};
    }

    void poke() {
        poked = true;
        wake.cancel();
    }

    void look_at_runtime() {
        auto workloads = runtime.observe();
        workloads.insert(workloads.end(), plan.refused.begin(), plan.refused.end());
        auto conditions = plan.conditions;
        const auto own = runtime.conditions();
        conditions.insert(conditions.end(), own.begin(), own.end());
        device.observed(std::move(workloads), std::move(conditions));
        poke();
    }

    // --- Carrying out

    asio::awaitable<void> work() {
        for (;;) {
            // One look at the clock for each action: some take long.
            while (auto action = device.next(moment())) co_await carry_out(std::move(*action));
            show_status();
            if (!std::exchange(poked, false)) {
                wake.expires_at(device.wake_at());
                co_await wake.async_wait(asio::as_tuple(asio::use_awaitable));
            }
        }
    }

    void show_status() {
        auto now = device.report({});
        now.seq = 0;
        json::object status{{"online", device.online()}, {"error", connection_error}};
        if (renewal) status["certificate_until"] = to_rfc3339(renewal->life().not_after);
        status["report"] = to_json(now);
        auto text = kube::to_json(json::value(std::move(status)));
        if (text == shown) return;
        shown = std::move(text);
        try {
            write_file_atomic(volatile_directory(options.state) / "status", shown, 0600);
        } catch (const Error& error) {
            log::debug("agent", "cannot write the status", {{"error", error.what()}});
        }
    }

    asio::awaitable<void> carry_out(Device::Action action) {
        std::string corrupt;  // the digest of what is not what it should be
        try {
            if (auto* send = std::get_if<Device::Send>(&action)) {
                publish(std::move(*send));
            } else if (const auto* save = std::get_if<Device::Save>(&action)) {
                co_await offload(pool, [this, save] { store.save(save->state); });
                device.saved();
            } else if (const auto* append = std::get_if<Device::Append>(&action)) {
                corrupt = append->blob.digest;
                co_await offload(pool, [this, append] { store.append(*append); });
                device.appended();
            } else if (const auto* load = std::get_if<Device::Load>(&action)) {
                corrupt = load->blob.digest;
                const auto plain =
                    co_await offload(pool, [this, load] { return store.read_blob(load->blob); });
                device.loaded(plain);
            } else if (const auto* prepare = std::get_if<Device::Prepare>(&action)) {
                next_plan = co_await offload(
                    pool, [this, prepare, &corrupt] { return make_plan(*prepare, corrupt); });
                device.prepared();
            } else if (std::get_if<Device::Apply>(&action) != nullptr) {
                apply();
                device.applied();
                look_at_runtime();
            } else if (const auto* drop = std::get_if<Device::Drop>(&action)) {
                co_await offload(pool, [this, drop] { store.remove_blob(drop->digest); });
            }
        } catch (const Error& error) {
            give_up(error, corrupt);
        }
    }

    void give_up(const Error& error, const std::string& corrupt) {
        const bool content = error.kind() == ErrorKind::invalid ||
                             error.kind() == ErrorKind::not_found ||
                             error.kind() == ErrorKind::denied;
        log::warn("agent", content ? "content refused" : "failed", {{"error", error.what()}});
        if (content && !corrupt.empty()) {
            device.corrupt(corrupt, error.what(), moment());
        } else if (content) {
            device.refuse(error.what());
        } else {
            const auto* reason = error.kind() == ErrorKind::exhausted ? "DiskFull" : "Failed";
            device.failed(reason, error.what(), moment());
        }
    }

    /// On the pool. `corrupt` names the blob that is being read, and is empty where what was read
    /// is whole but wrong.
    [[nodiscard]] Plan make_plan(const Device::Prepare& prepare, std::string& corrupt) {
        std::map<SecretKey, Secret> sealed;
        if (const auto& secrets = prepare.assignment.secrets) {
            corrupt = secrets->digest;
            const auto plain = store.read_blob(*secrets);
            corrupt.clear();
            sealed = open_secrets(plain, identity.device, prepare.assignment.at, identity.sealing);
        }
        std::vector<BundleContent> bundles;
        for (const auto& bundle : prepare.document.bundles) {
            corrupt = bundle.blob.digest;
            const auto plain = store.read_blob(bundle.blob);
            corrupt.clear();
            BundleContent content{.deployment = bundle.deployment,
                                  .objects = parse_bundle(plain, bundle.deployment),
                                  .secrets = {}};
            for (const auto& object : content.objects) {
                if (object.kind() != "Secret" || object.api_version() != "v1") continue;
                SecretKey key{bundle.deployment, std::string{object.ns()},
                              std::string{object.name()}};
                const auto held = sealed.find(key);
                if (held == sealed.end())
                    throw Error{ErrorKind::denied,
                                "secret " + object.id().to_string() + " was not delivered"};
                content.secrets.emplace(std::move(key), check_secret(held->second, object));
            }
            bundles.push_back(std::move(content));
        }
        const PlanOptions how{.device = identity.device,
                              .roots = fs::absolute(options.state / "workloads"),
                              .process_runtime = options.process_runtime};
        return plan_workloads(bundles, how);
    }

    void apply() {
        for (const auto& id : runtime.known()) {
            const bool wanted = std::ranges::any_of(
                next_plan.workloads, [&](const auto& workload) { return workload.id == id; });
            if (!wanted) runtime.remove(id);
        }
        for (auto& workload : next_plan.workloads) runtime.apply(std::move(workload));
        next_plan.workloads.clear();
        plan = std::move(next_plan);
        next_plan = {};
        runtime.settled();
        // Content passed through memory once; an idle agent gives it back.
        ::malloc_trim(0);
    }

    // --- The connection

    void publish(Device::Send send) {
        try {
            outbox.push({.topic = up_topic(identity.fleet, identity.device, send.leaf),
                         .payload = std::move(send.payload),
                         .retain = send.retain});
            outbox_wake.notify();
        } catch (const Error& error) {
            // The device says it again.
            log::warn("agent", "cannot queue a message", {{"error", error.what()}});
        }
    }

    [[nodiscard]] MqttOptions mqtt_options() const {
        const State gone{.online = false,
                         .session = {.counter = device.durable().session, .id = {}}};
        return {.host = identity.broker_host,
                .port = identity.broker_port,
                // Who could guess it could throw us off the broker: access rules do not cover it.
                .client_id = identity.device + ":" + session_id,
                .tls = identity.tls,
                .will = Message{.topic = up_topic(identity.fleet, identity.device, "state"),
                                .payload = to_json(gone),
                                .retain = true},
                .keepalive = options.keepalive};
    }

    asio::awaitable<void> stay_connected() {
        for (;;) {
            try {
                co_await connection();
            } catch (const Error& error) {
                // The same again and again says nothing new.
                const bool known = connection_error == error.what();
                log::write(known ? log::Level::debug : log::Level::warn, "agent",
                           "no connection; trying again", {{"error", error.what()}});
                connection_error = std::string{error.what()}.substr(0, error_limit);
            }
            device.disconnected();
            outbox = Outbox{{}};
            poke();
            asio::steady_timer pause{executor, backoff.next()};
            co_await pause.async_wait(asio::use_awaitable);
        }
    }

    asio::awaitable<void> connection() {
        MqttHandlers handlers{
            .message = [this](std::string topic,
                              std::string payload) { receive(topic, std::move(payload)); },
            .acknowledged =
                [this](Outbox::Sequence sequence) {
                    outbox.acknowledge(sequence);
                    outbox_wake.notify();
                }};
        MqttSession session{executor, pool, mqtt_options(), std::move(handlers)};
        co_await session.connect();
        TaskGroup tasks{executor};
        tasks.spawn(session.run());
        tasks.spawn(greet(session));
        tasks.spawn(pump(outbox, session, outbox_wake));
        co_await even_if_cancelled;
        co_await tasks.join();
    }

    asio::awaitable<void> greet(MqttSession& session) {
        std::vector<std::string> filters{down_topic(identity.fleet, identity.device, "#"),
                                         hub_topic(identity.fleet)};
        co_await session.subscribe(std::move(filters));
        backoff.reset();
        connection_error.clear();
        log::info("agent", "connected",
                  {{"broker", identity.broker_host}, {"device", identity.device}});
        device.connected(moment());
        poke();
    }

    void receive(const std::string& topic, std::string payload) {
        if (topic == hub_topic(identity.fleet)) {
            device.hub_notice(payload, moment());
        } else if (const auto leaf = parse_down_topic(identity.fleet, identity.device, topic)) {
            if (*leaf == "certificate") {
                new_certificate = std::move(payload);
                poke_renewal();
                return;
            }
            if (*leaf == "ack") tell_time(payload);
            device.message(*leaf, std::move(payload), moment());
        }
        poke();
    }

    // --- The certificate

    static Renewal::Life life_of(std::string_view pem) {
        const auto info = crypto::read_certificate(pem);
        return {.not_before = info.not_before, .not_after = info.not_after};
    }

    void tell_time(std::string_view payload) {
        if (!renewal) return;
        try {
            const auto ack = parse_ack(payload);
            if (ack.time == WallTime{} || !ack.refused.empty()) return;
            renewal->hub_time(ack.time, std::chrono::steady_clock::now());
            poke_renewal();
        } catch (const Error&) {
            // The device says what is wrong with it.
        }
    }

    /// Asks for a new certificate in time and puts it in the place of the old one, with which the
    /// device goes on until then. The next connection is made with it.
    asio::awaitable<void> keep_certificate() {
        if (!renewal) co_return;
        for (;;) {
            try {
                co_await renew_if_due();
            } catch (const Error& error) {
                // An answer that is not the hub's changes nothing; a key that cannot be read may be
                // readable later.
                const auto now = std::chrono::steady_clock::now();
                if (renewal->due() <= now) renewal->asked(now);
                log::warn("agent", "certificate not renewed", {{"error", error.what()}});
            }
            if (std::exchange(renewal_poked, false)) continue;
            // Offline: the acknowledgement of the next hello wakes us.
            renewal_wake.expires_at(device.online() ? renewal->due() : SteadyTime::max());
            co_await renewal_wake.async_wait(asio::as_tuple(asio::use_awaitable));
        }
    }

    asio::awaitable<void> renew_if_due() {
        if (const auto payload = std::exchange(new_certificate, {}); !payload.empty()) {
            const auto life =
                co_await offload(pool, [this, &payload] { return take_certificate(payload); });
            renewal->renewed(life, std::chrono::steady_clock::now());
            show_status();
            log::info("agent", "certificate renewed", {{"until", to_rfc3339(life.not_after)}});
        } else if (device.online() && renewal->due() <= std::chrono::steady_clock::now()) {
            auto request = co_await offload(pool, [this] { return renewal_request(); });
            renewal->asked(std::chrono::steady_clock::now());
            publish({.leaf = "renew", .payload = std::move(request), .retain = false});
        }
    }

    void poke_renewal() {
        renewal_poked = true;
        renewal_wake.cancel();
    }

    /// Both on the pool.
    [[nodiscard]] std::string renewal_request() const {
        auto pem = read_file(identity.tls->key, 64U << 10U);
        const auto key = crypto::PrivateKey::from_pem(pem);
        wipe(pem);
        return to_json(RenewalRequest{
            .certificate = read_file(identity.tls->certificate, 64U << 10U),
            .request = key.request({.common_name = identity.device, .organizations = {}})});
    }
    [[nodiscard]] Renewal::Life take_certificate(const std::string& payload) const {
        const auto pem =
            verify_renewal(payload, {identity.fleet, identity.device, identity.delivery});
        const auto fresh = crypto::read_certificate(pem);
        const auto held =
            crypto::read_certificate(read_file(identity.tls->certificate, 64U << 10U));
        if (fresh.common_name != identity.device || fresh.key_id != held.key_id)
            throw Error{ErrorKind::denied, "the new certificate is for another name or key"};
        if (fresh.not_after < held.not_after)
            throw Error{ErrorKind::denied, "the new certificate ends before the old one"};
        write_file_atomic(identity.tls->certificate, pem);
        return {.not_before = fresh.not_before, .not_after = fresh.not_after};
    }

    asio::awaitable<void> run() {
        // Processes without an assignment are of a fleet that the device has left.
        if (device.durable().applied.empty()) runtime.settled();
        TaskGroup tasks{executor};
        tasks.spawn(runtime.run());
        tasks.spawn(work());
        tasks.spawn(stay_connected());
        tasks.spawn(keep_certificate());
        co_await even_if_cancelled;
        co_await tasks.join();
    }

    asio::any_io_executor executor;
    ThreadPool& pool;
    DeviceIdentity identity;
    AgentOptions options;
    FileDescriptor locked;
    std::string boot;
    std::string session_id;  // of this start
    AgentStore store;
    ProcessRuntime runtime;
    Plan plan;       // what the runtime was told, without the workloads
    Plan next_plan;  // prepared
    Device device;
    Outbox outbox{{}};
    Signal outbox_wake{executor};
    asio::steady_timer wake;
    bool poked = false;
    Backoff backoff;
    std::string shown;
    std::string connection_error;    // why the last connection ended or was not made
    std::optional<Renewal> renewal;  // nullopt: a broker without TLS
    std::string new_certificate;     // the hub's answer
    asio::steady_timer renewal_wake{executor, SteadyTime::max()};
    bool renewal_poked = false;
};

Agent::Agent(asio::any_io_executor executor, ThreadPool& pool, DeviceIdentity identity,
             AgentOptions options)
    : impl_{std::make_unique<Impl>(std::move(executor), pool, std::move(identity),
                                   std::move(options))} {}

Agent::~Agent() = default;

asio::awaitable<void> Agent::run() { return impl_->run(); }
asio::awaitable<void> Agent::stop_workloads() { return impl_->runtime.stop_all(); }

std::string read_status(const fs::path& state) {
    try {
        const auto free = lock(state);
        return {};
    } catch (const Error& error) {
        if (error.kind() != ErrorKind::conflict) throw;
    }
    const auto text = read_file_if_exists(volatile_directory(state) / "status").value_or("");
    if (text.empty()) return "agent:    starting\n";
    const auto message = parse_message("status", text, 1U << 20U);
    const Fields fields{message, "status"};
    const auto report = parse_report(fields.text("report", message_limit));
    const auto error = fields.text_or("error", error_limit, "");
    std::string out = "agent:    running, " +
                      std::string{fields.flag_or("online", false) ? "connected" : "offline"} + "\n";
    if (!error.empty()) out += "error:    " + error + "\n";
    if (const auto until = fields.text_or("certificate_until", 64, ""); !until.empty())
        out += "certificate: until " + until + "\n";
    out += "phase:    " + std::string{to_string(report.phase)} + ", generation " +
           std::to_string(report.observed.gen) + "\n";
    for (const auto& c : report.conditions) out += "condition: " + c.type + ": " + c.message + "\n";
    for (const auto& w : report.workloads) {
        out += "workload: " + w.kind + " " + w.ns + "/" + w.name + " " + w.phase +
               (w.ready ? ", ready" : "") + (w.message.empty() ? "" : ", " + w.message) + "\n";
    }
    return out;
}

}  // namespace kled::edge
