#include "edge/runtime/process_runtime.h"

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/process.h"
#include "base/signal.h"
#include "base/task_group.h"
#include "edge/runtime/cgroup.h"
#include "edge/runtime/materialize.h"
#include "edge/runtime/probe.h"
#include "edge/runtime/supervision.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <map>
#include <set>
#include <utility>

namespace kled::edge {

namespace asio = boost::asio;
namespace fs = std::filesystem;
using std::chrono::steady_clock;

namespace {

constexpr int could_not_start = 127;  // as a shell says it
constexpr std::chrono::seconds housekeeping_period{30};

std::vector<std::string> environment(const Container& container) {
    std::vector<std::string> env;
    bool has_path = false;
    for (const auto& [name, value] : container.env) {
        has_path = has_path || name == "PATH";
        env.push_back(name + "=" + value);
    }
    if (!has_path)
        env.emplace_back("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    return env;
}

}  // namespace

/// One container of a workload, and the process that is it.
struct Unit {
    Unit(const asio::any_io_executor& executor, const Workload& workload, const Container& given,
         std::uint64_t restarts)
        : container{given},
          key{workload.id.folder(), given.name},
          supervision{workload.restart, workload.grace, restarts},
          ready{!given.readiness && !given.startup},
          wake{executor, SteadyTime::max()} {}

    void poke() {
        poked = true;
        wake.cancel();
    }

    const Container& container;  // of its entry's `running`
    ProcessKey key;
    Supervision supervision;
    std::optional<Process> process;
    bool ready;
    std::string message;
    asio::steady_timer wake;
    bool poked = false;
};

/// A workload: what has to run, and what does.
struct Entry {
    explicit Entry(const asio::any_io_executor& executor) : changed{executor} {}

    std::optional<Workload> target;  // nullopt: to be removed
    Workload running;
    std::vector<std::unique_ptr<Unit>> units;
    std::string failure;  // why it could not even be prepared
    Signal changed;
};

struct ProcessRuntime::Impl {
    Impl(asio::any_io_executor loop, ThreadPool& threads, AgentStore& keeper, Options given,
         std::function<void()> notify)
        : executor{std::move(loop)},
          pool{threads},
          store{keeper},
          options{std::move(given)},
          changed{std::move(notify)},
          tasks{executor} {}

    void retarget(Entry& entry) {
        for (const auto& unit : entry.units) {
            unit->supervision.stop();
            unit->poke();
        }
        entry.changed.notify();
    }

    [[nodiscard]] CgroupName cgroup_name(const ProcessKey& key) const {
        return {.agent = options.agent, .container = key.first + "_" + key.second};
    }

    // --- One workload

    asio::awaitable<void> keep(WorkloadId id) {
        auto& entry = entries.at(id);
        while (entry.target) {
            entry.running = *entry.target;
            try {
                co_await run_once(entry);
            } catch (const Error& error) {
                entry.failure = error.what();
                log::warn("runtime", "cannot run a workload",
                          {{"workload", id.to_string()}, {"error", error.what()}});
            }
            changed();
            // Ended by itself (a Pod that is done), or failed before it began: until it is changed.
            while (entry.target && entry.target->digest == entry.running.digest)
                co_await entry.changed.wait();
        }
        co_await offload(pool, [this, &id] { remove_files(id, options.roots, options.secrets); });
        // A new target may have come while the files went.
        if (entry.target) {
            tasks.spawn(keep(id));
        } else {
            entries.erase(id);
        }
        changed();
        gone.notify();
    }

    asio::awaitable<void> run_once(Entry& entry) {
        entry.failure.clear();
        entry.units.clear();
        co_await wait_for_strangers(entry.running.id.folder());
        if (!entry.target || entry.target->digest != entry.running.digest) co_return;
        for (const auto& container : entry.running.containers) {
            const auto record = records.find({entry.running.id.folder(), container.name});
            const auto restarts =
                record != records.end() && record->second.digest == entry.running.digest
                    ? record->second.restarts
                    : 0;
            entry.units.push_back(
                std::make_unique<Unit>(executor, entry.running, container, restarts));
        }
        TaskGroup units{executor};
        for (const auto& unit : entry.units) units.spawn(supervise(entry, *unit));
        co_await even_if_cancelled;
        co_await units.join();
    }

    // --- One container

    asio::awaitable<void> supervise(Entry& entry, Unit& unit) {
        while (!unit.supervision.finished()) {
            switch (unit.supervision.next(steady_clock::now())) {
                case Supervision::Action::start: co_await live(entry, unit); break;
                case Supervision::Action::terminate:
                case Supervision::Action::kill:
                case Supervision::Action::none: co_await pause(unit); break;
            }
        }
        changed();
    }

    /// Until something happens to the unit, or its supervision has to look.
    static asio::awaitable<void> pause(Unit& unit) {
        if (!std::exchange(unit.poked, false)) {
            unit.wake.expires_at(unit.supervision.wake_at());
            co_await unit.wake.async_wait(asio::as_tuple(asio::use_awaitable));
            unit.poked = false;
        }
    }

    /// One life of the process, from its start (or from finding it) to its end.
    asio::awaitable<void> live(Entry& entry, Unit& unit) {
        try {
            co_await start(entry, unit);
        } catch (const Error& error) {
            unit.message = error.what();
            log::warn("runtime", "cannot start a container",
                      {{"workload", entry.running.id.to_string()},
                       {"container", unit.container.name},
                       {"error", error.what()}});
            unit.supervision.exited(could_not_start, steady_clock::now());
            changed();
            co_return;
        }
        unit.supervision.started(steady_clock::now());
        unit.ready = !unit.container.readiness && !unit.container.startup;
        unit.message.clear();
        changed();
        {
            const auto env = environment(unit.container);
            TaskGroup life{executor};
            life.spawn(await_end(entry, unit, life));
            life.spawn(obey(unit));
            life.spawn(probe(unit, env));
            co_await even_if_cancelled;
            co_await life.join();
        }
        if (unit.supervision.running()) throw_cancelled();  // the agent stops, the process does not
        unit.process.reset();
        unit.ready = false;
        const auto key = unit.key;
        records.erase(key);
        co_await offload(pool, [this, &key] {
            store.remove_process(key);
            remove_cgroup(options.cgroups, cgroup_name(key));
        });
        changed();
    }

    asio::awaitable<void> start(Entry& entry, Unit& unit) {
        if (co_await find_again(entry, unit)) co_return;
        // The pool works on copies: a cancelled caller does not take them away.
        const auto workload = entry.running;
        const auto& container = unit.container;
        const auto key = unit.key;
        ProcessRecord record{.boot_id = options.boot_id,
                             .digest = workload.digest,
                             .restarts = unit.supervision.restarts()};
        std::string why;
        unit.process = co_await offload(pool, [this, &workload, &container, &key, &record, &why] {
            materialize(workload, container, options.secrets);
            const auto log = options.logs / key.first / (key.second + ".log");
            make_directories(log.parent_path(), 0700);
            const FileDescriptor output{
                ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)};
            if (!output) throw from_errno(errno, log.string());
            Process::Options how{.output = output.get(), .survives = true};
            how.before_program = [&](const Process& process) {
                why = enter_cgroup(options.cgroups, cgroup_name(key), container.limits,
                                   process.pid());
                record.pid = process.pid();
                record.start_time = process.start_time();
                store.put_process(key, record);
            };
            const auto directory = container.root / fs::path{container.directory}.relative_path();
            const Command command{
                .argv = container.argv, .env = environment(container), .directory = directory};
            return Process::start(command, how);
        });
        records.insert_or_assign(key, record);
        if (why.empty()) {
            unlimited.erase(key);
        } else {
            unlimited.insert_or_assign(key, why);
        }
        log::info("runtime", "started",
                  {{"workload", workload.id.to_string()},
                   {"container", container.name},
                   {"pid", unit.process->pid()}});
    }

    /// The process of an earlier run of the agent: ours again, or out of the way.
    asio::awaitable<bool> find_again(Entry& entry, Unit& unit) {
        const auto record = records.find(unit.key);
        if (record == records.end()) co_return false;
        const auto found = record->second;
        if (found.boot_id != options.boot_id) co_return false;
        auto process = Process::adopt(found.pid, found.start_time);
        if (process && found.digest == entry.running.digest) {
            log::info("runtime", "found running",
                      {{"workload", entry.running.id.to_string()},
                       {"container", unit.container.name},
                       {"pid", found.pid}});
            unit.process = std::move(process);
            co_return true;
        }
        if (process) co_await end(*process, entry.running.grace);
        co_return false;
    }

    /// Stops a process nobody wants any more.
    asio::awaitable<void> end(Process& process, std::chrono::seconds grace) {
        asio::steady_timer timer{executor, grace};
        process.signal(SIGTERM);
        TaskGroup both{executor};
        both.spawn(kill_later(timer, process));
        both.spawn(end_of(process, timer));
        co_await even_if_cancelled;
        co_await both.join();
    }
    static asio::awaitable<void> kill_later(asio::steady_timer& timer, Process& process) {
        const auto [cancelled] = co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
        if (!cancelled) process.signal(SIGKILL);
    }
    static asio::awaitable<void> end_of(Process& process, asio::steady_timer& timer) {
        co_await process.wait();
        timer.cancel();
    }

    asio::awaitable<void> await_end(Entry& entry, Unit& unit, TaskGroup& life) {
        const auto status = co_await unit.process->wait();
        unit.supervision.exited(status, steady_clock::now());
        if (unit.supervision.failing())
            unit.message = "ended with status " + std::to_string(status) + "; restarted " +
                           std::to_string(unit.supervision.restarts()) + " times";
        log::info("runtime", "ended",
                  {{"workload", entry.running.id.to_string()},
                   {"container", unit.container.name},
                   {"status", status}});
        life.cancel();
    }

    asio::awaitable<void> obey(Unit& unit) {
        for (;;) {
            switch (unit.supervision.next(steady_clock::now())) {
                case Supervision::Action::terminate: unit.process->signal(SIGTERM); break;
                case Supervision::Action::kill: unit.process->signal(SIGKILL); break;
                case Supervision::Action::start:
                case Supervision::Action::none: co_await pause(unit); break;
            }
        }
    }

    // --- Probes

    asio::awaitable<void> probe(Unit& unit, const std::vector<std::string>& env) {
        const auto& container = unit.container;
        if (container.startup) co_await pass_once(unit, *container.startup, env);
        if (!container.readiness) {
            unit.ready = true;
            changed();
        }
        TaskGroup probes{executor};
        if (container.readiness) probes.spawn(watch_readiness(unit, *container.readiness, env));
        if (container.liveness) probes.spawn(watch_liveness(unit, *container.liveness, env));
        co_await even_if_cancelled;
        co_await probes.join();
    }

    asio::awaitable<void> sleep(std::chrono::milliseconds time) {
        asio::steady_timer timer{executor, time};
        co_await timer.async_wait(asio::use_awaitable);
    }

    void fail(Unit& unit, const std::string& probe, const std::string& why) {
        unit.message = probe + " probe: " + why;
        unit.supervision.restart();
        unit.poke();
    }

    asio::awaitable<void> pass_once(Unit& unit, const Probe& probe,
                                    const std::vector<std::string>& env) {
        co_await sleep(probe.initial_delay);
        for (unsigned failures = 0;; co_await sleep(probe.period)) {
            const auto why = co_await run_probe(probe, env);
            if (why.empty()) co_return;
            if (++failures == probe.failure_threshold) fail(unit, "startup", why);
        }
    }

    asio::awaitable<void> watch_liveness(Unit& unit, const Probe& probe,
                                         const std::vector<std::string>& env) {
        co_await sleep(probe.initial_delay);
        for (unsigned failures = 0;; co_await sleep(probe.period)) {
            const auto why = co_await run_probe(probe, env);
            failures = why.empty() ? 0 : failures + 1;
            if (failures == probe.failure_threshold) fail(unit, "liveness", why);
        }
    }

    asio::awaitable<void> watch_readiness(Unit& unit, const Probe& probe,
                                          const std::vector<std::string>& env) {
        // Not ready yet, it is asked more often than its period: a start is waited for.
        constexpr std::chrono::milliseconds eager{250};
        co_await sleep(probe.initial_delay);
        unsigned failures = 0;
        unsigned successes = 0;
        for (;;) {
            const auto why = co_await run_probe(probe, env);
            failures = why.empty() ? 0 : failures + 1;
            successes = why.empty() ? successes + 1 : 0;
            const bool ready = unit.ready ? failures < probe.failure_threshold
                                          : successes >= probe.success_threshold;
            const auto message = why.empty() ? std::string{} : "readiness probe: " + why;
            if (ready != unit.ready || message != unit.message) {
                unit.ready = ready;
                unit.message = message;
                changed();
            }
            co_await sleep(unit.ready ? probe.period : std::min(eager, probe.period));
        }
    }

    // --- What an earlier run left, and what grows

    /// Of a workload that is wanted, but for this container, the files stay.
    asio::awaitable<void> stop_stranger(ProcessKey key, ProcessRecord record, bool files_too) {
        if (record.boot_id == options.boot_id) {
            if (auto process = Process::adopt(record.pid, record.start_time)) {
                log::info("runtime", "stopping what is not wanted any more",
                          {{"workload", key.first}, {"pid", record.pid}});
                co_await end(*process, std::chrono::seconds{30});
            }
        }
        co_await offload(pool, [this, &key, files_too] {
            store.remove_process(key);
            remove_cgroup(options.cgroups, cgroup_name(key));
            if (!files_too) return;
            std::error_code ignored;
            fs::remove_all(options.roots / key.first, ignored);
            fs::remove_all(options.secrets / key.first, ignored);
        });
        records.erase(key);
        strangers.erase(key);
        stranger_gone.cancel();
        gone.notify();
    }

    /// A workload that comes back while the last of it goes begins when it is gone.
    asio::awaitable<void> wait_for_strangers(std::string folder) {
        const auto leaving = [&] {
            return std::ranges::any_of(strangers,
                                       [&](const auto& key) { return key.first == folder; });
        };
        while (leaving()) co_await stranger_gone.async_wait(asio::as_tuple(asio::use_awaitable));
    }

    asio::awaitable<void> keep_house() {
        for (;;) {
            co_await sleep(housekeeping_period);
            co_await offload(pool, [this] { trim_logs(); });
        }
    }

    /// The writers append, so the file can be cut under them.
    void trim_logs() const {
        std::error_code error;
        for (const auto& file : fs::recursive_directory_iterator{options.logs, error}) {
            if (!file.is_regular_file(error) || file.file_size(error) <= options.log_bytes)
                continue;
            try {
                const auto end = tail(file.path(), options.log_bytes / 2);
                const FileDescriptor fd{
                    ::open(file.path().c_str(), O_WRONLY | O_APPEND | O_CLOEXEC)};
                if (!fd || ::ftruncate(fd.get(), 0) != 0) continue;
                if (::write(fd.get(), end.data(), end.size()) < 0) continue;
            } catch (const Error& failure) {
                log::warn("runtime", "cannot trim a log", {{"error", failure.what()}});
            }
        }
    }

    static std::string tail(const fs::path& path, std::size_t bytes) {
        const FileDescriptor fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
        struct stat info{};
        if (!fd || ::fstat(fd.get(), &info) != 0) throw from_errno(errno, path.string());
        const auto size = static_cast<std::size_t>(info.st_size);
        const auto from = size > bytes ? size - bytes : 0;
        std::string text(size - from, '\0');
        const auto n = ::pread(fd.get(), text.data(), text.size(), static_cast<off_t>(from));
        if (n < 0) throw from_errno(errno, path.string());
        text.resize(static_cast<std::size_t>(n));
        if (from > 0) text.erase(0, text.find('\n') + 1);
        return text;
    }

    asio::any_io_executor executor;
    ThreadPool& pool;
    AgentStore& store;
    Options options;
    std::function<void()> changed;
    std::map<WorkloadId, Entry> entries;
    std::map<ProcessKey, ProcessRecord> records;
    std::map<ProcessKey, std::string> unlimited;
    std::set<ProcessKey> strangers;                                 // being stopped
    asio::steady_timer stranger_gone{executor, SteadyTime::max()};  // never fires; is cancelled
    Signal gone{executor};
    bool stopping = false;
    TaskGroup tasks;
};

ProcessRuntime::ProcessRuntime(asio::any_io_executor executor, ThreadPool& pool, AgentStore& store,
                               Options options, std::function<void()> changed)
    : impl_{std::make_unique<Impl>(std::move(executor), pool, store, std::move(options),
                                   std::move(changed))} {
    impl_->records = store.processes();
    sweep_cgroups(impl_->options.cgroups, impl_->options.agent);
}

ProcessRuntime::~ProcessRuntime() = default;

asio::awaitable<void> ProcessRuntime::run() {
    impl_->tasks.spawn(impl_->keep_house());
    co_await even_if_cancelled;
    co_await impl_->tasks.join();
}

void ProcessRuntime::apply(Workload workload) {
    if (impl_->stopping) return;
    const auto id = workload.id;
    const auto [held, fresh] = impl_->entries.try_emplace(id, impl_->executor);
    auto& entry = held->second;
    const bool same = entry.target && entry.target->digest == workload.digest;
    entry.target = std::move(workload);
    if (fresh) {
        impl_->tasks.spawn(impl_->keep(id));
    } else if (!same) {
        impl_->retarget(entry);
    }
}

void ProcessRuntime::remove(const WorkloadId& id) {
    const auto held = impl_->entries.find(id);
    if (held == impl_->entries.end()) return;
    held->second.target.reset();
    impl_->retarget(held->second);
}

void ProcessRuntime::settled() {
    for (const auto& [key, record] : impl_->records) {
        const auto entry = std::ranges::find_if(
            impl_->entries, [&](const auto& held) { return held.first.folder() == key.first; });
        // What an entry runs or stops is its own matter; else an earlier agent ran it.
        const auto mine = [&](const Workload& workload) {
            return std::ranges::any_of(workload.containers, [&](const auto& container) {
                return container.name == key.second;
            });
        };
        const bool known = entry != impl_->entries.end();
        if (known &&
            (mine(entry->second.running) || (entry->second.target && mine(*entry->second.target))))
            continue;
        if (!impl_->strangers.insert(key).second) continue;
        impl_->tasks.spawn(impl_->stop_stranger(key, record, !known));
    }
}

asio::awaitable<void> ProcessRuntime::stop_all() {
    impl_->stopping = true;
    for (auto& [id, entry] : impl_->entries) {
        entry.target.reset();
        impl_->retarget(entry);
    }
    for (;;) {
        // What an earlier run left, and what was stopped before it was found again.
        settled();
        if (impl_->entries.empty() && impl_->strangers.empty()) break;
        co_await impl_->gone.wait();
    }
}

std::vector<WorkloadId> ProcessRuntime::known() const {
    std::vector<WorkloadId> ids;
    for (const auto& [id, entry] : impl_->entries)
        if (entry.target) ids.push_back(id);
    return ids;
}

std::vector<WorkloadReport> ProcessRuntime::observe() const {
    std::vector<WorkloadReport> reports;
    for (const auto& [id, entry] : impl_->entries) {
        if (!entry.target) continue;
        WorkloadReport report{.kind = id.kind,
                              .ns = id.ns,
                              .name = id.name,
                              .deployment = entry.target->deployment,
                              .phase = "Pending",
                              .message = entry.failure};
        const bool current = entry.running.digest == entry.target->digest && !entry.units.empty();
        bool all_run = current;
        bool all_ready = current;
        bool all_done = current;
        bool failing = !entry.failure.empty();
        for (const auto& unit : entry.units) {
            const auto& s = unit->supervision;
            all_run = all_run && s.running();
            all_ready = all_ready && unit->ready && s.running();
            all_done = all_done && s.finished() && s.last_status() == 0;
            failing = failing || s.failing() || (s.finished() && s.last_status().value_or(0) != 0);
            report.restarts += s.restarts();
            if (!unit->message.empty())
                report.message = unit->container.name + ": " + unit->message;
        }
        if (all_run) report.phase = "Running";
        if (all_done) report.phase = "Succeeded";
        if (current && failing) report.phase = "Failed";
        report.ready = all_ready || all_done;
        reports.push_back(std::move(report));
    }
    return reports;
}

std::vector<Condition> ProcessRuntime::conditions() const {
    std::vector<Condition> conditions;
    for (const auto& [key, why] : impl_->unlimited) {
        conditions.push_back({.type = "LimitsNotEnforced",
                              .status = true,
                              .reason = "NoControlGroup",
                              .message = key.first + "/" + key.second + ": " + why});
    }
    return conditions;
}

std::string ProcessRuntime::logs(const WorkloadId& id, std::string_view container,
                                 std::size_t bytes) const {
    return Impl::tail(impl_->options.logs / id.folder() / (std::string{container} + ".log"), bytes);
}

fs::path secrets_directory(std::string_view name) {
    const auto* runtime_directory = std::getenv("XDG_RUNTIME_DIR");
    std::vector<fs::path> candidates;
    if (::geteuid() == 0) candidates.emplace_back("/run");
    if (runtime_directory != nullptr) candidates.emplace_back(runtime_directory);
    candidates.emplace_back("/dev/shm");
    for (const auto& candidate : candidates) {
        struct statfs info{};
        if (::statfs(candidate.c_str(), &info) != 0 || info.f_type != TMPFS_MAGIC ||
            ::access(candidate.c_str(), W_OK) != 0)
            continue;
        return candidate / (std::string{"kled-"} + std::string{name});
    }
    return {};
}

}  // namespace kled::edge
