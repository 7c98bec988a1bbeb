/// Hub, broker and agents as they run: a real mosquitto with TLS and access rules, real processes;
/// what goes wrong on the way, and who means ill.
#include "tests/support/fleet.h"

#include "base/file.h"
#include "base/metrics.h"
#include "crypto/hash.h"
#include "crypto/x509.h"
#include "edge/bundle.h"
#include "edge/mqtt_session.h"
#include "edge/names.h"
#include "edge/runtime/cgroup.h"
#include "edge/trust.h"

#include <sys/mount.h>

#include <algorithm>
#include <array>
#include <fstream>

namespace kled::edge {
namespace {

namespace fs = std::filesystem;

const std::string everywhere = "{}";
const std::vector<std::string> nothing;

asio::awaitable<void> whole_way(Site& site) {
    const auto loop = co_await asio::this_coro::executor;
    ThreadPool pool{2};
    Shown shown;
    const auto out = site.path() / "out";
    Running<Hub> hub{loop, pool, site.hub_options(), shown};
    Labels labels;
    labels.emplace("zone", "north");
    co_await enrol(*hub, site.state("d1"), "d1", labels);
    Running<Agent> agent{loop, pool, load_identity(site.state("d1")), site.agent_options("d1")};

    const std::string north = "{matchLabels: {zone: north}}";
    co_await hub->deliver(rendered("app", "main@sha1:1", north, workload("one", out)));
    co_await eventually("the first revision is healthy",
                        [&] { return ready(shown, "shop/app") == "Healthy"; });
    EXPECT_NE(lines(out).find(" one open-sesame-one\n"), std::string::npos) << lines(out);
    EXPECT_EQ(shown.nodes.at("d1").at("phase"), "Healthy");
    EXPECT_EQ(shown.nodes.at("d1").at("online"), true);

    // The same again changes nothing; another content replaces the process.
    co_await hub->deliver(rendered("app", "main@sha1:2", north, workload("one", out)));
    co_await hub->deliver(rendered("app", "main@sha1:3", north, workload("two", out)));
    co_await eventually("the third revision runs",
                        [&] { return lines(out).find(" two ") != std::string::npos; });
    co_await eventually("and is healthy", [&] {
        return ready(shown, "shop/app") == "Healthy" &&
               shown.deployments.at("shop/app").at("revision") == "main@sha1:3";
    });
    EXPECT_EQ(count(lines(out), "\n"), 2U) << lines(out);

    co_await clear(*hub, out);
    co_await agent.stop();
    co_await hub.stop();
    pool.join();
}

TEST(Fleet, ARevisionReachesTheDeviceRunsAndIsReported) {
    Site site;
    run_to_end(whole_way(site));
}

// --- Programs that die and come back

/// What most cases need: a hub, and a device on which the first revision is healthy.
class Fleet {
    Site& site_;
    asio::any_io_executor loop_;

public:
    Fleet(Site& site, asio::any_io_executor loop,
          std::chrono::seconds certificate_lifetime = std::chrono::hours{24},
          std::chrono::seconds key_lifetime = std::chrono::hours{24})
        : site_{site}, loop_{std::move(loop)} {
        start_hub(certificate_lifetime, key_lifetime);
    }

    void start_hub(std::chrono::seconds certificate_lifetime = std::chrono::hours{24},
                   std::chrono::seconds key_lifetime = std::chrono::hours{24}) {
        auto options = site_.hub_options();
        options.certificate_lifetime = certificate_lifetime;
        options.key_lifetime = key_lifetime;
        hub.emplace(loop_, pool, std::move(options), shown);
    }
    void start_agent() {
        agent.emplace(loop_, pool, load_identity(site_.state("d1")), site_.agent_options("d1"));
    }
    asio::awaitable<void> stop_hub() {
        co_await hub->stop();
        hub.reset();
    }
    asio::awaitable<void> stop_agent() {
        co_await agent->stop();
        agent.reset();
    }
    asio::awaitable<void> begin() {
        Labels labels;
        co_await enrol(**hub, site_.state("d1"), "d1", std::move(labels));
        start_agent();
        co_await deliver("one");
        co_await runs("one");
    }
    asio::awaitable<void> deliver(std::string word, std::string more = {}) {
        auto release = rendered("app", "main@sha1:" + word, everywhere, workload(word, out) + more);
        co_await (*hub)->deliver(std::move(release));
    }
    /// The last process that was started is of `word`, and the hub knows it.
    asio::awaitable<void> runs(std::string word) {
        co_await eventually(word + " runs and is healthy", [&] {
            const auto text = lines(out);
            const auto last = text.rfind('\n', text.empty() ? 0 : text.size() - 2);
            return text.find(" " + word + " ", last == std::string::npos ? 0 : last) !=
                       std::string::npos &&
                   device().report.observed == device().at && device().at.gen > 0 &&
                   device().report.phase == Phase::healthy;
        });
    }
    [[nodiscard]] const DeviceRecord& device(const std::string& name = "d1") {
        return (*hub)->devices().at(name);
    }
    /// "reason: message" of what the device said last; empty: none.
    [[nodiscard]] std::string condition(std::string_view type) {
        for (const auto& c : device().report.conditions)
            if (c.type == type) return c.reason + ": " + c.message;
        return {};
    }
    asio::awaitable<void> end() {
        co_await clear(**hub, out);
        if (agent) co_await stop_agent();
        co_await stop_hub();
        pool.join();
    }

    ThreadPool pool{2};
    Shown shown;
    std::filesystem::path out = site_.path() / "out";
    std::optional<Running<Hub>> hub;
    std::optional<Running<Agent>> agent;
};

/// `length` characters that do not compress much.
std::string big_config_map(std::size_t length) {
    return "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: big, namespace: shop}\ndata: "
           "{noise: \"" +
           crypto::random_hex(length / 2) + "\"}\n";
}

asio::awaitable<void> each_in_turn(Site& site) {
    Fleet fleet{site, co_await asio::this_coro::executor};
    co_await fleet.begin();

    // The broker dies in the middle of an assignment, and loses all that it had.
    co_await fleet.deliver("two");
    site.broker().kill();
    site.broker().start();
    co_await fleet.runs("two");

    // Nobody is there but the hub: what is delivered is kept.
    site.broker().kill();
    co_await fleet.stop_agent();
    co_await fleet.deliver("three");
    site.broker().start();
    fleet.start_agent();
    co_await fleet.runs("three");

    // The hub dies while the device goes on, and comes back with what it knew.
    co_await fleet.deliver("four");
    co_await fleet.stop_hub();
    fleet.start_hub();
    co_await fleet.runs("four");

    // An agent that is started again finds its process.
    co_await fleet.stop_agent();
    fleet.start_agent();
    co_await fleet.deliver("five");
    co_await fleet.runs("five");
    const auto skipped = count(lines(fleet.out), " four ") == 0 ? 1U : 0U;
    EXPECT_EQ(count(lines(fleet.out), "\n"), 5U - skipped) << lines(fleet.out);
    co_await fleet.end();
}

TEST(Fleet, OutlivesBrokerHubAndAgentEachInTurn) {
    Site site;
    run_to_end(each_in_turn(site));
}

asio::awaitable<void> cut_download(Site& site) {
    Fleet fleet{site, co_await asio::this_coro::executor};
    co_await fleet.begin();
    const auto part_is_there = [&site] {
        const auto entries = fs::directory_iterator{site.state("d1") / "blobs"};
        return std::any_of(begin(entries), end(entries), [](const auto& entry) {
            std::error_code gone;
            return entry.path().extension() == ".part" && entry.file_size(gone) >= 2 * chunk_bytes;
        });
    };
    std::size_t versions = 1;
    const auto ran = [&fleet] { return count(lines(fleet.out), "\n"); };
    const auto begin_download = [&]() -> asio::awaitable<std::string> {
        const auto word = "version-" + std::to_string(++versions);
        const auto more = big_config_map(4U << 20U);
        co_await fleet.deliver(word, more);
        co_await eventually("the download has begun",
                            [&] { return part_is_there() || ran() == versions; });
        co_return word;
    };
    // On a fast machine the whole may be there before it is cut: then the next version is tried.
    const std::size_t most_versions = 20;

    for (bool cut = false; !cut && versions < most_versions;) {
        const auto word = co_await begin_download();
        co_await fleet.stop_agent();
        cut = part_is_there();
        EXPECT_TRUE(!cut || ran() == versions - 1) << "what ran was touched";
        fleet.start_agent();
        co_await fleet.runs(word);
    }
    EXPECT_LT(versions, most_versions) << "the agent was never stopped during a download";

    const auto before = versions;
    for (bool cut = false; !cut && versions < before + most_versions;) {
        const auto word = co_await begin_download();
        site.broker().kill();
        cut = part_is_there();
        site.broker().start();
        co_await fleet.runs(word);
    }
    EXPECT_LT(versions, before + most_versions) << "the broker never died during a download";
    EXPECT_EQ(ran(), versions) << lines(fleet.out);
    co_await fleet.end();
}

TEST(Fleet, ADownloadThatWasCutGoesOn) {
    Site site;
    run_to_end(cut_download(site));
}

/// A Deployment whose process ends as it starts, and the probe that looks at it meanwhile.
std::string short_lived(const std::string& name, const std::string& command,
                        const std::string& probe) {
    return "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: " + name +
           ", namespace: shop}\nspec:\n  template:\n    metadata: {annotations: "
           "{edge.kled.io/runtime: process}}\n    spec:\n      containers:\n      - name: main\n"
           "        command: " +
           command + "\n        " + probe + "\n";
}

asio::awaitable<void> workloads_that_end_at_once(Site& site) {
    Fleet fleet{site, co_await asio::this_coro::executor};
    co_await fleet.begin();
    const std::string probe = "{exec: {command: [/bin/true]}, periodSeconds: 1}";
    std::string more;
    for (const auto* number : {"1", "2", "3"}) {
        more +=
            short_lived(std::string{"false-"} + number, "[/bin/false]", "") +
            short_lived(std::string{"ready-"} + number, "[sh, -c, 'exit 1']",
                        "readinessProbe: " + probe) +
            short_lived(std::string{"alive-"} + number, "[/bin/true]", "livenessProbe: " + probe);
    }
    co_await fleet.deliver("two", more);
    co_await eventually("all of them were started again", [&] {
        const auto& workloads = fleet.device().report.workloads;
        return std::ranges::count_if(workloads, [](const auto& w) { return w.restarts >= 2; }) == 9;
    });
    // What mends it arrives, and what ran beside it was left alone.
    co_await fleet.deliver("three");
    co_await fleet.runs("three");
    EXPECT_EQ(count(lines(fleet.out), "\n"), 3U) << lines(fleet.out);
    co_await fleet.end();
}

TEST(Fleet, OutlivesWorkloadsThatEndAtOnce) {
    Site site;
    run_to_end(workloads_that_end_at_once(site));
}

asio::awaitable<void> stop_workloads_of(Running<Agent>& agent) {
    auto stopped = agent->stop_workloads();
    co_await with_timeout(10s, "the workloads end", std::move(stopped));
}

/// A Deployment whose process takes a second to end.
std::string slow_to_end(const std::filesystem::path& out) {
    return short_lived("slow",
                       R"([sh, -c, 'trap "sleep 1; exit 0" TERM; echo "$$$$ slow" >> )" +
                           out.string() + "; while :; do sleep 0.1; done']",
                       "");
}

asio::awaitable<void> stopped_while_more_comes(Site& site) {
    Fleet fleet{site, co_await asio::this_coro::executor};
    co_await fleet.begin();
    co_await fleet.deliver("two", slow_to_end(fleet.out));
    co_await eventually("the slow one runs", [&fleet] {
        return lines(fleet.out).find(" slow") != std::string::npos &&
               lines(fleet.out).find(" two ") != std::string::npos;
    });
    // While one of them ends, an assignment comes that wants both again.
    TaskGroup stopping{co_await asio::this_coro::executor};
    stopping.spawn(stop_workloads_of(*fleet.agent));
    co_await fleet.deliver("three", slow_to_end(fleet.out));
    co_await even_if_cancelled;
    co_await stopping.join();
    EXPECT_EQ(count(lines(fleet.out), " three "), 0U) << "it was begun while all were stopped";
    co_await fleet.end();
}

TEST(Fleet, WorkloadsThatAreStoppedAreNotBegunAgainByWhatComesMeanwhile) {
    Site site;
    run_to_end(stopped_while_more_comes(site));
}

asio::awaitable<void> stopped_at_once(Site& site) {
    Fleet fleet{site, co_await asio::this_coro::executor};
    co_await fleet.begin();
    const auto pid = std::atoi(lines(fleet.out).c_str());
    co_await fleet.stop_agent();
    EXPECT_TRUE(lives(pid)) << "the process went with its agent";
    fleet.start_agent();
    co_await stop_workloads_of(*fleet.agent);
    EXPECT_FALSE(lives(pid)) << "what an earlier run left goes on";
    co_await fleet.end();
}

TEST(Fleet, AnAgentThatIsStoppedAsItStartsStopsWhatAnEarlierRunLeft) {
    Site site;
    run_to_end(stopped_at_once(site));
}

TEST(Cgroups, OfTwoAgentsOnOneMachineAreApart) {
    const TemporaryDirectory folder{"kled-cgroups"};
    const auto& top = folder.path();
    const Limits limits{.memory_bytes = 0, .cpu_millis = 500};
    const CgroupName one{.agent = "lab.d1", .container = "deployment_shop_web_main"};
    const CgroupName other{.agent = "lab.d2", .container = "deployment_shop_web_main"};
    EXPECT_NE(enter_cgroup(top, one, limits, 1), "") << "no control files in a plain folder";
    EXPECT_NE(enter_cgroup(top, other, limits, 1), "");
    EXPECT_TRUE(fs::exists(top / "cpu/kled/lab.d1/deployment_shop_web_main"));
    EXPECT_TRUE(fs::exists(top / "cpu/kled/lab.d2/deployment_shop_web_main"));
    remove_cgroup(top, one);
    EXPECT_FALSE(fs::exists(top / "cpu/kled/lab.d1"));
    EXPECT_TRUE(fs::exists(top / "cpu/kled/lab.d2/deployment_shop_web_main"));
    sweep_cgroups(top, "lab.d2");
    EXPECT_FALSE(fs::exists(top / "cpu/kled")) << "nothing is left of the last";
}

TEST(Cgroups, OfAnEarlierAgentGoWithTheirProcess) {
    const TemporaryDirectory folder{"kled-cgroups"};
    const auto before = folder.path() / "memory/kled/deployment_shop_web_main";
    make_directories(before);
    remove_cgroup(folder.path(), {.agent = "lab.d1", .container = "deployment_shop_web_main"});
    EXPECT_FALSE(fs::exists(before));
}

asio::awaitable<void> old_backup(Site& site) {
    Fleet fleet{site, co_await asio::this_coro::executor};
    co_await fleet.begin();
    Labels labels;
    co_await enrol(**fleet.hub, site.state("d2"), "d2", std::move(labels));
    const auto state = site.hub_options().state;
    const auto copy = [&](const fs::path& from, const fs::path& to) {
        for (const auto* suffix : {"", "-wal", "-shm"}) {
            fs::remove(to.string() + suffix);
            if (fs::exists(from.string() + suffix))
                fs::copy_file(from.string() + suffix, to.string() + suffix);
        }
    };
    co_await fleet.stop_hub();
    copy(state / "hub.db", state / "backup.db");
    fleet.start_hub();
    co_await fleet.deliver("two");
    co_await fleet.runs("two");
    const auto before = fleet.device().at;
    const auto other = fleet.device("d2").at;

    co_await fleet.stop_hub();
    copy(state / "backup.db", state / "hub.db");
    fleet.start_hub();
    // It thinks that "one" is wanted until Git tells it better, and numbers above what it forgot.
    co_await eventually("the device is told a later position",
                        [&] { return fleet.device().at > before; });
    co_await fleet.runs("one");
    co_await fleet.deliver("three");
    co_await fleet.runs("three");
    EXPECT_EQ(fleet.device("d2").at.epoch, other.epoch) << "one device's numbers moved another's";
    co_await fleet.end();
}

TEST(Fleet, AHubRestoredFromAnOldBackupNumbersAboveWhatItForgot) {
    Site site;
    run_to_end(old_backup(site));
}

asio::awaitable<void> slow_mirror(Site& site) {
    Fleet fleet{site, co_await asio::this_coro::executor};
    fleet.shown.delay = 400ms;
    co_await fleet.begin();
    co_await eventually("the last state is shown",
                        [&] { return fleet.shown.nodes.at("d1").at("phase") == "Healthy"; });
    co_await fleet.end();
}

TEST(Fleet, WhatChangesWhileItIsShownIsShownToo) {
    Site site;
    run_to_end(slow_mirror(site));
}

asio::awaitable<void> gone_together(Site& site) {
    Fleet fleet{site, co_await asio::this_coro::executor};
    co_await fleet.begin();
    // A power cut of all at once: no will is published, and no broker remembers.
    site.broker().kill();
    co_await fleet.stop_agent();
    co_await fleet.stop_hub();
    site.broker().start();
    fleet.start_hub();
    EXPECT_TRUE(fleet.device().online);
    co_await eventually("the device that stays away is seen to be offline",
                        [&] { return !fleet.device().online; });
    fleet.start_agent();
    co_await eventually("and online again", [&] { return fleet.device().online; });
    co_await fleet.end();
}

TEST(Fleet, ADeviceThatDoesNotComeBackAfterAnOutageIsOffline) {
    Site site;
    run_to_end(gone_together(site));
}

// --- A full disk

/// A small file system for the state of one device; nothing where we may not mount.
class SmallDisk {
public:
    explicit SmallDisk(fs::path at) : at_{std::move(at)} {
        make_directories(at_, 0700);
        mounted_ = ::mount("kled-test", at_.c_str(), "tmpfs", 0, "size=3m") == 0;
    }
    ~SmallDisk() {
        if (mounted_) ::umount2(at_.c_str(), MNT_DETACH);
    }
    SmallDisk(const SmallDisk&) = delete;
    SmallDisk& operator=(const SmallDisk&) = delete;
    [[nodiscard]] bool mounted() const noexcept { return mounted_; }
    /// Takes all space that is left.
    void fill() const {
        std::ofstream ballast{at_ / "ballast", std::ios::binary | std::ios::app};
        const std::string block(4096, 'x');
        while (ballast.write(block.data(), 4096).flush()) {
        }
    }
    void free_space() const { fs::remove(at_ / "ballast"); }

private:
    fs::path at_;
    bool mounted_ = false;
};

asio::awaitable<void> full_disk(Site& site, const SmallDisk& disk) {
    Fleet fleet{site, co_await asio::this_coro::executor};
    co_await fleet.begin();
    disk.fill();
    co_await fleet.deliver("two", big_config_map(400'000));
    co_await eventually("the device says that its disk is full",
                        [&] { return fleet.condition("StorageFailed").starts_with("DiskFull: "); });
    EXPECT_EQ(count(lines(fleet.out), "\n"), 1U) << "what ran was touched";
    EXPECT_EQ(fleet.device().report.phase, Phase::downloading);

    // An agent that starts on a full disk is there, and finds its process.
    co_await fleet.stop_agent();
    fleet.start_agent();
    const auto session = fleet.device().session;
    co_await eventually("the new agent says so too", [&] {
        return fleet.device().session != session &&
               fleet.condition("StorageFailed").starts_with("DiskFull: ");
    });
    EXPECT_EQ(count(lines(fleet.out), "\n"), 1U) << "what ran was touched";

    disk.free_space();
    co_await eventually(
        "space is back, and so is the device",
        [&] { return lines(fleet.out).find(" two ") != std::string::npos; }, 30s);
    co_await fleet.runs("two");
    EXPECT_EQ(fleet.condition("StorageFailed"), "");
    co_await fleet.end();
}

TEST(Fleet, AFullDiskStopsNothingThatRunsAndIsGotOver) {
    Site site;
    const SmallDisk disk{site.state("d1")};
    if (!disk.mounted()) GTEST_SKIP() << "mounting a tmpfs is not allowed here";
    run_to_end(full_disk(site, disk));
}

// --- Who means ill

/// A client of the broker with somebody's certificate; it hears what it may and says what it likes.
class Client {
public:
    Client(asio::any_io_executor loop, ThreadPool& pool, std::uint16_t port, std::string id,
           std::optional<MqttTls> tls)
        : session_{loop, pool, options(port, std::move(id), std::move(tls)), handlers()},
          tasks_{loop} {}

    asio::awaitable<void> connect(std::vector<std::string> filters) {
        co_await session_.connect();
        tasks_.spawn(session_.run());
        if (!filters.empty()) co_await session_.subscribe(std::move(filters));
    }
    /// Until the broker has taken or refused it.
    asio::awaitable<void> say(std::string topic, std::string payload, bool retain = false) {
        Message message{.topic = std::move(topic), .payload = std::move(payload), .retain = retain};
        const auto number = ++said_;
        co_await session_.publish(number, std::move(message));
        co_await eventually("the broker answers a publication",
                            [&] { return answered_ >= number; });
    }
    asio::awaitable<void> stop() {
        tasks_.cancel();
        co_await even_if_cancelled;
        co_await tasks_.join();
    }
    std::vector<std::pair<std::string, std::string>> heard;  ///< topic and payload

    [[nodiscard]] bool heard_below(std::string_view prefix) const {
        return std::ranges::any_of(
            heard, [prefix](const auto& message) { return message.first.starts_with(prefix); });
    }

private:
    static MqttOptions options(std::uint16_t port, std::string id, std::optional<MqttTls> tls) {
        MqttOptions made;
        made.port = port;
        made.client_id = std::move(id);
        made.tls = std::move(tls);
        return made;
    }
    MqttHandlers handlers() {
        return {.message =
                    [this](std::string topic, std::string payload) {
                        heard.emplace_back(std::move(topic), std::move(payload));
                    },
                .acknowledged = [this](Outbox::Sequence number) { answered_ = number; }};
    }

    MqttSession session_;
    TaskGroup tasks_;
    Outbox::Sequence said_ = 0;
    Outbox::Sequence answered_ = 0;
};

/// The hub's own certificate: who has it has stolen the broker.
MqttTls hub_certificate(const Site& site) { return Pki{site.hub_options().state}.hub_client(); }

asio::awaitable<void> other_devices_certificate(Site& site) {
    const auto loop = co_await asio::this_coro::executor;
    Fleet fleet{site, loop};
    co_await fleet.begin();
    Labels labels;
    co_await enrol(**fleet.hub, site.state("d2"), "d2", std::move(labels));
    const auto d2 = *load_identity(site.state("d2")).tls;
    const auto port = site.broker().port();
    const auto hello = fleet.device().hello;

    // d2 subscribes to all there is, under the name of d1 and of the hub.
    Client thief{loop, fleet.pool, port, "d1", d2};
    const std::vector<std::string> filters{"#", "kled/v1/lab/#", "kled/v1/lab/d/d1/#",
                                           "kled/v1/lab/d/d2/dn/#"};
    co_await thief.connect(filters);
    Client second{loop, fleet.pool, port, std::string{hub_user} + ":lab", d2};
    co_await second.connect(nothing);

    // And says that d1 is another, is broken, is gone; that it is the hub; that d1 has to run this.
    Report forged{.session = {.counter = 1'000'000, .id = "thief"}, .seq = 1};
    forged.conditions.push_back({.type = "Forged"});
    const std::string d1 = "kled/v1/lab/d/d1/";
    co_await thief.say(d1 + "up/report", to_json(forged));
    const State gone{.online = false, .session = {.counter = 1'000'000, .id = "thief"}};
    co_await thief.say(d1 + "up/state", to_json(gone), true);
    const HubNotice notice{.epoch = 1, .incarnation = "thief"};
    co_await thief.say("kled/v1/lab/hub", to_json(notice), true);
    co_await thief.say(d1 + "dn/desired", "{}", true);
    // What d2 says of itself is heard, so all before it was dealt with.
    Report own{.session = {.counter = 7, .id = "d2"}, .seq = 3};
    co_await thief.say("kled/v1/lab/d/d2/up/report", to_json(own));
    co_await eventually("the hub hears d2", [&] { return fleet.device("d2").report.seq == 3; });

    EXPECT_EQ(fleet.condition("Forged"), "");
    EXPECT_NE(fleet.device().session.id, "thief");
    EXPECT_TRUE(fleet.device().online);
    co_await fleet.deliver("two");
    co_await fleet.runs("two");
    EXPECT_EQ(fleet.condition("AssignmentRefused"), "") << "d1 heard d2";
    EXPECT_EQ(fleet.device().hello, hello) << "d1 was thrown off the broker";
    co_await eventually("d2 hears what is for d2",
                        [&] { return thief.heard_below("kled/v1/lab/d/d2/dn/desired"); });
    EXPECT_FALSE(thief.heard_below(d1)) << "d2 heard what was for d1";
    co_await thief.stop();
    co_await second.stop();
    co_await fleet.end();
}

TEST(Hostile, ACertificateOpensTheTopicsOfItsOwnDeviceOnly) {
    Site site;
    run_to_end(other_devices_certificate(site));
}

/// Why the broker does not take a client with this certificate; empty: it does.
asio::awaitable<std::string> refused(Fleet& fleet, std::uint16_t port, std::optional<MqttTls> tls) {
    const auto loop = co_await asio::this_coro::executor;
    Client client{loop, fleet.pool, port, "visitor", std::move(tls)};
    try {
        co_await client.connect(nothing);
    } catch (const Error& error) {
        co_return error.what();
    }
    co_await client.stop();
    co_return std::string{};
}

asio::awaitable<void> strangers(Site& site) {
    const auto loop = co_await asio::this_coro::executor;
    Fleet fleet{site, loop};
    co_await fleet.begin();
    // A certificate of the same name, by another fleet's CA.
    const auto state = site.path() / "elsewhere";
    Pki elsewhere{state};
    const auto keys = prepare_keys(state / "d1", "d1");
    write_file_atomic(state / "d1" / "device.crt",
                      elsewhere.certify_device(keys.request, "d1", 24h));
    MqttTls other{.ca = site.state("d1") / "broker-ca.crt",
                  .certificate = state / "d1" / "device.crt",
                  .key = state / "d1" / "device.key"};
    const auto port = site.broker().port();
    const auto by_another = co_await refused(fleet, port, other);
    EXPECT_NE(by_another, "");
    const auto own = load_identity(site.state("d1")).tls;
    const auto by_its_own = co_await refused(fleet, port, own);
    EXPECT_EQ(by_its_own, "");
    // A broker with another CA is not spoken to.
    auto deceived = *own;
    deceived.ca = state / "pki" / "servers" / "ca.crt";
    const auto deceiver = co_await refused(fleet, port, deceived);
    EXPECT_NE(deceiver, "");
    co_await fleet.end();
}

asio::awaitable<void> nobody_there(Site& site) {
    Fleet fleet{site, co_await asio::this_coro::executor};
    co_await fleet.begin();
    const auto own = load_identity(site.state("d1")).tls;
    const auto begin = std::chrono::steady_clock::now();
    const auto why = co_await refused(fleet, testing::free_port(), own);
    EXPECT_NE(why.find("refused"), std::string::npos) << why;
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 5s) << "it was taken for a handshake";
    co_await fleet.end();
}

TEST(Fleet, ABrokerThatIsNotThereIsNoticedAtOnceAlsoWithTls) {
    Site site;
    run_to_end(nobody_there(site));
}

TEST(Hostile, ACertificateOfAnotherFleetOpensNothing) {
    Site site;
    run_to_end(strangers(site));
}

// --- Certificates that end, and devices that leave

crypto::CertificateInfo certificate_of(const Site& site, const std::string& device) {
    return crypto::read_certificate(read_file(site.state(device) / "device.crt"));
}

asio::awaitable<void> short_certificates(Site& site) {
    Fleet fleet{site, co_await asio::this_coro::executor, 8s};
    co_await fleet.begin();
    const auto first = certificate_of(site, "d1");
    co_await eventually("the certificate is renewed",
                        [&] { return certificate_of(site, "d1").serial_hex != first.serial_hex; });
    EXPECT_LT(std::chrono::system_clock::now(), first.not_after);
    EXPECT_EQ(certificate_of(site, "d1").key_id, first.key_id);
    co_await eventually("the first one has ended",
                        [&] { return std::chrono::system_clock::now() > first.not_after + 1s; });
    // Whoever connects now needs one that is valid.
    site.broker().kill();
    site.broker().start();
    co_await fleet.deliver("two");
    co_await fleet.runs("two");
    co_await fleet.end();
}

TEST(Fleet, ADeviceGoesOnBeyondTheEndOfItsFirstCertificate) {
    Site site;
    run_to_end(short_certificates(site));
}

asio::awaitable<void> short_key(Site& site) {
    const auto loop = co_await asio::this_coro::executor;
    Fleet fleet{site, loop, 24h, 2s};
    co_await fleet.begin();
    const auto first = std::chrono::system_clock::now();
    co_await eventually("what the hub began with is over",
                        [&] { return std::chrono::system_clock::now() > first + 3s; });
    co_await fleet.deliver("two");
    co_await fleet.runs("two");
    co_await fleet.end();
}

TEST(Fleet, AHubGoesOnBeyondTheEndOfItsFirstCertificate) {
    Site site;
    run_to_end(short_key(site));
}

asio::awaitable<void> no_answer(Site& site) {
    Fleet fleet{site, co_await asio::this_coro::executor, 8s};
    co_await fleet.begin();
    const auto first = certificate_of(site, "d1");
    // Nobody answers when it is time; what runs and the connection go on with the old one.
    co_await fleet.stop_hub();
    co_await eventually("two thirds of its life are over", [&] {
        return std::chrono::system_clock::now() >
               first.not_before + (first.not_after - first.not_before) * 7 / 10;
    });
    EXPECT_EQ(certificate_of(site, "d1").serial_hex, first.serial_hex);
    fleet.start_hub(8s);
    co_await eventually("it is renewed when there is a hub again",
                        [&] { return certificate_of(site, "d1").serial_hex != first.serial_hex; });
    co_await fleet.runs("one");
    co_await fleet.end();
}

TEST(Fleet, ACertificateThatCouldNotBeRenewedIsAskedForAgain) {
    Site site;
    run_to_end(no_answer(site));
}

asio::awaitable<void> forged_renewals(Site& site) {
    const auto loop = co_await asio::this_coro::executor;
    Fleet fleet{site, loop};
    co_await fleet.begin();
    const auto before = read_file(site.state("d1") / "device.crt");
    Client broker{loop, fleet.pool, site.broker().port(), "thief", hub_certificate(site)};
    co_await broker.connect(nothing);
    // A certificate that the CA did give, but that the hub did not send.
    const Pki pki{site.hub_options().state};
    const auto keys = prepare_keys(site.state("d1"), "d1");
    const auto pem = pki.certify_device(keys.request, "d1", 24h);
    const auto thief = crypto::SigningKey::generate();
    const auto certificate =
        certify_hub(thief, "lab", thief.verifying_key(), std::chrono::system_clock::now() + 24h);
    const auto answer = down_topic("lab", "d1", "certificate");
    co_await broker.say(answer, sign_renewal("lab", "d1", pem, thief, certificate));
    const std::vector<std::string> others{"{", pem, "{}"};
    for (const auto& payload : others) co_await broker.say(answer, payload);
    co_await fleet.deliver("two");
    co_await fleet.runs("two");
    EXPECT_EQ(read_file(site.state("d1") / "device.crt"), before);
    co_await broker.stop();
    co_await fleet.end();
}

TEST(Hostile, AStolenBrokerCannotReplaceACertificate) {
    Site site;
    run_to_end(forged_renewals(site));
}

TEST(Hostile, ACertificateIsRenewedForItsOwnNameAndKeyOnly) {
    const Site site;
    const auto state = site.hub_options().state;
    const Pki pki{state};
    const auto d1 = prepare_keys(site.state("d1"), "d1");
    const auto d2 = prepare_keys(site.state("d2"), "d2");
    const auto present = pki.certify_device(d1.request, "d1", 1h);
    const auto renewed = crypto::read_certificate(pki.renew_device(present, d1.request, "d1", 2h));
    EXPECT_EQ(renewed.common_name, "d1");
    EXPECT_EQ(renewed.key_id, crypto::read_certificate(present).key_id);

    const auto why = [&](const std::string& shown, const std::string& request,
                         const std::string& name) -> std::string {
        try {
            return pki.renew_device(shown, request, name, 1h);
        } catch (const Error& error) {
            return error.what();
        }
    };
    const auto refused = [](const std::string& answer, const std::string& part) {
        EXPECT_NE(answer.find(part), std::string::npos) << answer;
    };
    refused(why(present, d1.request, "d2"), "is of \"d1\"");
    refused(why(present, d2.request, "d1"), "not signed by the key of the certificate shown");
    refused(why("nonsense", d1.request, "d1"), "not a PEM certificate");
    const Pki elsewhere{site.path() / "elsewhere"};
    refused(why(elsewhere.certify_device(d1.request, "d1", 1h), d1.request, "d1"),
            "not one of this CA");
    refused(why(pki.certify_device(d1.request, "d1", 0s), d1.request, "d1"), "expired at");
    refused(why(pki.device_ca_pem(), d1.request, "d1"), "a CA's");
    const std::vector<std::string> serials{crypto::read_certificate(present).serial_hex};
    EXPECT_TRUE(pki.shut_out(serials, {}));
    refused(why(present, d1.request, "d1"), "is revoked");
}

asio::awaitable<void> removal(Site& site) {
    const auto loop = co_await asio::this_coro::executor;
    Fleet fleet{site, loop};
    note_broker(site.hub_options().state, site.broker().pid());
    co_await fleet.begin();
    const auto tls = load_identity(site.state("d1")).tls;
    const auto port = site.broker().port();
    const auto before = co_await refused(fleet, port, tls);
    EXPECT_EQ(before, "");
    co_await eventually("it is shown", [&] { return fleet.shown.nodes.contains("d1"); });

    const auto gone = co_await (*fleet.hub)->remove("d1", false);
    EXPECT_EQ(gone.broker, "");
    EXPECT_FALSE((*fleet.hub)->devices().contains("d1"));
    co_await eventually("its connection has ended", [&] {
        return read_status(site.state("d1")).find("offline") != std::string::npos;
    });
    co_await eventually("it is shown no more", [&] { return !fleet.shown.nodes.contains("d1"); });
    const auto after = co_await refused(fleet, port, tls);
    EXPECT_NE(after, "") << "its certificate still opens the broker";
    // Also after a restart of the hub, and of a broker with these files.
    co_await fleet.stop_hub();
    site.broker().kill();
    site.broker().start();
    fleet.start_hub();
    EXPECT_FALSE((*fleet.hub)->devices().contains("d1"));
    const auto later = co_await refused(fleet, port, tls);
    EXPECT_NE(later, "");
    note_broker(site.hub_options().state, site.broker().pid());

    // With a new token it is a device again.
    co_await fleet.stop_agent();
    Labels labels;
    co_await enrol(**fleet.hub, site.state("d1"), "d1", std::move(labels));
    fleet.start_agent();
    co_await fleet.deliver("two");
    co_await fleet.runs("two");
    co_await fleet.end();
}

TEST(Fleet, ADeviceThatIsRemovedIsShutOutAtOnceUntilItJoinsAgain) {
    Site site;
    run_to_end(removal(site));
}

asio::awaitable<void> removal_offline(Site& site) {
    const auto loop = co_await asio::this_coro::executor;
    Fleet fleet{site, loop};
    co_await fleet.begin();
    co_await fleet.stop_agent();
    co_await eventually("it is offline", [&] { return !fleet.device().online; });
    std::string why;
    try {
        (void)co_await (*fleet.hub)->remove("d1", false);
    } catch (const Error& error) {
        why = error.what();
    }
    EXPECT_NE(why.find("--force"), std::string::npos) << why;
    EXPECT_TRUE((*fleet.hub)->devices().contains("d1"));
    const auto gone = co_await (*fleet.hub)->remove("d1", true);
    EXPECT_NE(gone.broker.find("restart it"), std::string::npos) << "nobody noted the broker";
    EXPECT_FALSE((*fleet.hub)->devices().contains("d1"));
    // What ran there is nobody's now.
    ::kill(std::atoi(lines(fleet.out).c_str()), SIGKILL);
    co_await fleet.end();
}

TEST(Fleet, ADeviceThatIsOfflineIsRemovedByForceOnly) {
    Site site;
    run_to_end(removal_offline(site));
}

asio::awaitable<void> deleted_node(Site& site) {
    Fleet fleet{site, co_await asio::this_coro::executor};
    co_await fleet.begin();
    co_await eventually("it is shown", [&] { return fleet.shown.nodes.contains("d1"); });
    fleet.shown.nodes.clear();
    (*fleet.hub)->show_again("d1");
    co_await eventually("it is shown again", [&] { return fleet.shown.nodes.contains("d1"); });
    (*fleet.hub)->show_again("nobody");
    co_await fleet.end();
}

TEST(Fleet, AnEdgeNodeThatSomebodyDeletedIsMadeAgain) {
    Site site;
    run_to_end(deleted_node(site));
}

TEST(Pki, IsNotMadeBesideADatabaseThatIsAHubs) {
    const TemporaryDirectory folder{"kled-pki"};
    const auto state = folder.path() / "edge";
    make_directories(state);
    write_file_atomic(state / "hub.db", "");
    EXPECT_THROW(Pki{state}, Error);
    BrokerOptions options;
    options.state = state;
    EXPECT_THROW((void)write_broker_files(options), Error);
    fs::remove(state / "hub.db");
    // Somebody gave the agent's state for the hub's.
    write_file_atomic(folder.path() / "agent.json", "{}");
    EXPECT_THROW((void)write_broker_files(options), Error);
    fs::remove(folder.path() / "agent.json");
    EXPECT_FALSE(Pki::exists(state));
    EXPECT_TRUE(fs::exists(write_broker_files(options)));
    EXPECT_TRUE(Pki::exists(state));
}

/// What a broken or hostile program says.
std::vector<std::string> garbage() {
    std::string deep;
    for (int i = 0; i < 20'000; ++i) deep += "[{\"a\":";
    return {
        "",
        "{",
        "null",
        "[]",
        "{}",
        std::string{"\0\xff\xfe{}", 5},
        crypto::random_bytes(1'000),
        std::string(250'000, '{'),
        deep,
        R"({"session":{"counter":18446744073709551615,"id":"x"},"seq":18446744073709551615,"online":true})",
        R"({"session":{"counter":-1,"id":7},"seq":1e400,"protocol":{"min":9,"max":1}})",
        R"({"digest":"../../../../etc/passwd","have":[[0,99999999999]],"window":4294967296})",
        R"({"digest":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","have":[[0,18446744073709551615],[18446744073709551615,18446744073709551615]],"window":8})",
    };
}

asio::awaitable<void> garbage_everywhere(Site& site) {
    const auto loop = co_await asio::this_coro::executor;
    Fleet fleet{site, loop};
    co_await fleet.begin();
    Labels labels;
    co_await enrol(**fleet.hub, site.state("d2"), "d2", std::move(labels));
    auto& refused = metrics::registry().counter("kled_edge_messages_refused_total", "");
    const auto refused_before = refused.value();

    Client device{loop, fleet.pool, site.broker().port(), "x", load_identity(site.state("d2")).tls};
    co_await device.connect(nothing);
    Client broker{loop, fleet.pool, site.broker().port(), "y", hub_certificate(site)};
    co_await broker.connect(nothing);
    for (const auto& payload : garbage()) {
        for (const auto* leaf : {"hello", "state", "report", "get", "", "nothing", "hello/hello"})
            co_await device.say(std::string{"kled/v1/lab/d/d2/up/"} + leaf, payload);
        for (const auto* leaf :
             {"desired", "ack", "blob/", "blob/x.1", "nothing", "twin/x", "job/1"})
            co_await broker.say(std::string{"kled/v1/lab/d/d1/dn/"} + leaf, payload);
        co_await broker.say("kled/v1/lab/hub", payload);
        co_await broker.say("kled/v1/lab/d/nobody/up/hello", payload);
        co_await broker.say("kled/v1/lab/d/kled:hub/up/hello", payload);
    }
    co_await eventually("the hub says what it did not understand",
                        [&] { return refused.value() > refused_before + 40; });
    co_await eventually("the device says what it did not understand", [&] {
        return fleet.condition("AssignmentRefused").starts_with("NotUnderstood: ") &&
               fleet.condition("MessageRefused").starts_with("NotUnderstood: ");
    });
    // Both go on.
    co_await fleet.deliver("two");
    co_await fleet.runs("two");
    co_await eventually("and nothing is left of it", [&] {
        return fleet.condition("AssignmentRefused").empty() &&
               fleet.condition("MessageRefused").empty();
    });
    EXPECT_EQ(count(lines(fleet.out), "\n"), 2U) << lines(fleet.out);

    // The device in whose name it was said is none the worse when it says who it is.
    Running<Agent> agent{loop, fleet.pool, load_identity(site.state("d2")),
                         site.agent_options("d2")};
    co_await eventually("d2 is healthy", [&] {
        return fleet.device("d2").report.observed == fleet.device("d2").at &&
               fleet.device("d2").report.phase == Phase::healthy;
    });
    co_await device.stop();
    co_await broker.stop();
    co_await clear(**fleet.hub, fleet.out);
    co_await agent.stop();
    co_await fleet.end();
}

TEST(Hostile, GarbageOnEveryTopicIsRefusedAndSaid) {
    Site site;
    run_to_end(garbage_everywhere(site));
}

asio::awaitable<void> stolen_broker(Site& site) {
    const auto loop = co_await asio::this_coro::executor;
    Fleet fleet{site, loop};
    Client recorder{loop, fleet.pool, site.broker().port(), "recorder", hub_certificate(site)};
    const std::vector<std::string> all{"kled/v1/#"};
    co_await recorder.connect(all);
    co_await fleet.begin();
    const auto desired = down_topic("lab", "d1", "desired");
    const auto last_pointer = [&] {
        std::string last;
        for (const auto& [topic, payload] : recorder.heard)
            if (topic == desired) last = payload;
        return last;
    };
    const auto first = last_pointer();
    co_await fleet.deliver("two");
    co_await fleet.runs("two");
    const auto trust = Trust{"lab", "d1", load_identity(site.state("d1")).delivery};
    auto assignment = verify_assignment(last_pointer(), trust, std::nullopt);

    // An old assignment again, and one that says more than was signed.
    co_await recorder.say(desired, first, true);
    auto changed = last_pointer();
    const auto at = changed.find("\"gen\":") + 6;
    changed.insert(at, "9");
    co_await recorder.say(desired, changed, true);
    co_await eventually("the device refuses it", [&] {
        return fleet.condition("AssignmentRefused").starts_with("NotTrusted: ");
    });
    // A key that the delivery key did not certify.
    const auto thief = crypto::SigningKey::generate();
    assignment.at.gen += 5;
    co_await recorder.say(
        desired,
        sign_assignment(assignment, thief,
                        certify_hub(thief, "lab", thief.verifying_key(), assignment.expires)),
        true);
    // Content of the thief's under a digest that the device asks for.
    const auto digest = assignment.document.digest;
    co_await recorder.say(down_topic("lab", "d1", chunk_leaf(digest, 0)), "not what it says");
    co_await eventually("the device refuses it", [&] {
        return fleet.condition("AssignmentRefused").find("is not certified") != std::string::npos;
    });
    EXPECT_EQ(count(lines(fleet.out), "\n"), 2U) << lines(fleet.out);
    co_await fleet.deliver("three");
    co_await fleet.runs("three");
    EXPECT_EQ(fleet.condition("AssignmentRefused"), "");
    EXPECT_EQ(count(lines(fleet.out), "\n"), 3U) << lines(fleet.out);
    co_await recorder.stop();
    co_await fleet.end();
}

TEST(Hostile, AStolenBrokerCannotCommandADevice) {
    Site site;
    run_to_end(stolen_broker(site));
}

asio::awaitable<void> recording_broker(Site& site) {
    const auto loop = co_await asio::this_coro::executor;
    Fleet fleet{site, loop};
    Client recorder{loop, fleet.pool, site.broker().port(), "recorder", hub_certificate(site)};
    const std::vector<std::string> all{"#"};
    co_await recorder.connect(all);
    co_await fleet.begin();
    co_await fleet.deliver("two");
    co_await fleet.runs("two");
    EXPECT_EQ(count(lines(fleet.out), "open-sesame-two"), 1U) << "the device can read it";
    // Also what the broker keeps for those who come later.
    Client late{loop, fleet.pool, site.broker().port(), "late", hub_certificate(site)};
    co_await late.connect(all);
    co_await eventually("retained messages come",
                        [&] { return late.heard_below(down_topic("lab", "d1", "desired")); });
    auto heard = recorder.heard;
    heard.insert(heard.end(), late.heard.begin(), late.heard.end());

    // All payloads, and what they are when unpacked.
    std::string plain;
    const auto trust = Trust{"lab", "d1", load_identity(site.state("d1")).delivery};
    std::map<std::string, BlobRef> refs;
    std::map<std::string, std::string> wires;
    for (const auto& [topic, payload] : heard) {
        plain += topic + "\n" + payload + "\n";
        const auto leaf = parse_down_topic("lab", "d1", topic);
        if (!leaf) continue;
        if (const auto chunk = parse_chunk_leaf(*leaf)) wires.emplace(chunk->digest, payload);
        if (*leaf != "desired") continue;
        const auto assignment = verify_assignment(payload, trust, std::nullopt);
        refs.emplace(assignment.document.digest, assignment.document);
        refs.emplace(assignment.secrets->digest, *assignment.secrets);
    }
    const auto documents = refs;
    for (const auto& [digest, ref] : documents) {
        if (!wires.contains(digest)) continue;
        try {
            for (const auto& bundle : parse_document(unpack(wires.at(digest), ref), trust).bundles)
                refs.emplace(bundle.blob.digest, bundle.blob);
        } catch (const Error&) {
            // the secrets
        }
    }
    for (const auto& [digest, ref] : refs)
        if (wires.contains(digest)) plain += unpack(wires.at(digest), ref) + "\n";
    EXPECT_NE(plain.find("\"word\":\"two\""), std::string::npos) << "ConfigMaps are there to read";
    EXPECT_NE(plain.find("YWdlLWVuY3J5cHRpb24ub3Jn"), std::string::npos)
        << "the sealed ones are there, in base64";
    EXPECT_EQ(plain.find("open-sesame"), std::string::npos);
    EXPECT_EQ(plain.find("b3Blbi1zZXNhbWU"), std::string::npos) << "nor in base64";

    // Nor do the disks of device and hub have it, but for the keys.
    for (const auto& root : {site.state("d1"), site.hub_options().state}) {
        for (const auto& entry : fs::recursive_directory_iterator{root}) {
            if (!entry.is_regular_file() || entry.is_symlink()) continue;
            const auto bytes = read_file(entry.path(), 64U << 20U);
            EXPECT_EQ(bytes.find("open-sesame"), std::string::npos) << entry.path();
            EXPECT_EQ(bytes.find("b3Blbi1zZXNhbWU"), std::string::npos) << entry.path();
        }
    }
    co_await recorder.stop();
    co_await late.stop();
    co_await fleet.end();
}

TEST(Hostile, ARecordingBrokerHoldsNoPlainTextOfSecrets) {
    Site site;
    run_to_end(recording_broker(site));
}

}  // namespace
}  // namespace kled::edge
