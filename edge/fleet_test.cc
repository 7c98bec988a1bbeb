/// Hub, broker and agents as they run: a real mosquitto with TLS and access rules, real processes;
/// what goes wrong on the way.
#include "crypto/hash.h"
#include "edge/runtime/cgroup.h"
#include "tests/support/fleet_of_one.h"

#include <sys/mount.h>

#include <algorithm>
#include <fstream>

namespace kled::edge {
namespace {

namespace fs = std::filesystem;

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

}  // namespace
}  // namespace kled::edge
