/// For tests: a repository, an embedded API and the loop between them, on a thread of their own.
#pragma once

#include "apiserver/server.h"
#include "base/file.h"
#include "base/offload.h"
#include "base/task_group.h"
#include "gitops/git/testing.h"
#include "gitops/reconcile/events.h"
#include "gitops/reconcile/reconciler.h"
#include "gitops/store/file_store.h"
#include "gitops/store/object_store.h"
#include "kube/client.h"
#include "kube/yaml.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_future.hpp>

#include <chrono>
#include <filesystem>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace kled::gitops::testing {

namespace asio = boost::asio;

class World {
public:
    using Wrap = std::function<std::shared_ptr<kube::Transport>(std::shared_ptr<kube::Transport>)>;
    /// `wrap`: what stands between the loop and the API server.
    explicit World(Wrap wrap = [](auto way) { return way; }) : wrap_{std::move(wrap)} {
        thread_ = std::thread{[this] { loop_.run(); }};
        start_api();
    }
    ~World() {
        stop_reconciler();
        sync(stop(api_tasks_));
        guard_.reset();
        thread_.join();
        pool_.join();
    }
    World(const World&) = delete;
    World& operator=(const World&) = delete;

    /// Begins the loop with the store that `make` makes; what is on disk and in the API stays from
    /// one to the next.
    void start(const std::function<std::unique_ptr<ObjectStore>(kube::Client&)>& make,
               Reconciler::Options options = {}) {
        options.cache = directory.path() / "cache";
        options.local_repositories = true;
        sync(begin(make, std::move(options)));
    }
    /// The same with what stands in the folder `path` of the repository.
    void start_from_files(const std::string& path = "clusters/dev") {
        start([&](kube::Client& client) {
            FileStore::Options options;
            options.url = repository.url();
            options.reference.branch = "main";
            options.path = path;
            return std::make_unique<FileStore>(client, std::move(options));
        });
    }
    /// Runs `work` beside the loop, until that is stopped.
    void beside(asio::awaitable<void> work) { sync(spawn(std::move(work))); }
    asio::any_io_executor executor() { return loop_.get_executor(); }
    Events& recorded() { return *events_; }
    void stop_reconciler() {
        if (!reconciler_) return;
        sync(stop(tasks_));
        reconciler_.reset();
        store_.reset();
    }

    /// Runs `work` on the loop and waits for it.
    template <typename T>
    T sync(asio::awaitable<T> work) {
        auto result = asio::co_spawn(loop_, std::move(work), asio::use_future);
        result.wait();
        // Until the loop has let go of an exception: the thread sanitizer does not see libstdc++
        // count who holds it, and takes its end there for a race with its reader here.
        asio::post(loop_, asio::use_future).wait();
        return result.get();
    }

    kube::Client& client() { return *client_; }
    Reconciler& reconciler() { return *reconciler_; }
    std::size_t nudge() { return sync(look()); }

    std::optional<kube::Object> get(const std::string& api_version, const std::string& kind,
                                    const std::string& ns, const std::string& name) {
        const auto gvk = kube::GroupVersionKind::parse(api_version, kind);
        return sync(client_->get(gvk, ns, name));
    }
    kube::Object apply(const std::string& yaml) {
        const auto object = kube::Object::from(kube::parse_yaml(yaml));
        const kube::ApplyOptions options{.field_manager = "tester"};
        return sync(client_->apply(object, options));
    }
    /// Applies the definitions of all our kinds, and waits until those of `awaited` (group, kind)
    /// are served.
    void apply_definitions(
        const std::vector<std::pair<std::string_view, std::string_view>>& awaited) {
        namespace fs = std::filesystem;
        for (const auto& file : fs::directory_iterator{KLED_SOURCE_DIR "/manifests/crds"}) {
            if (file.path().filename() != "kustomization.yaml") apply(read_file(file.path()));
        }
        for (const auto& [group, kind] : awaited) {
            const kube::ObjectId id{
                .group = std::string{group}, .kind = std::string{kind}, .ns = {}, .name = {}};
            eventually([&] { return sync(client().map(id)).has_value(); });
        }
    }
    void remove(const std::string& api_version, const std::string& kind, const std::string& ns,
                const std::string& name) {
        const auto gvk = kube::GroupVersionKind::parse(api_version, kind);
        const kube::DeleteOptions options;
        sync(client_->remove(gvk, ns, name, options));
    }
    std::vector<Event> events() { return sync(all_events()); }

    /// Looks until it is so; false after `limit`.
    static bool eventually(const std::function<bool()>& so,
                           std::chrono::milliseconds limit = std::chrono::seconds{20}) {
        const auto deadline = std::chrono::steady_clock::now() + limit;
        while (std::chrono::steady_clock::now() < deadline) {
            if (so()) return true;
            std::this_thread::sleep_for(std::chrono::milliseconds{5});
        }
        return so();
    }

    /// A second API server, reached over HTTPS by the kubeconfig that comes back.
    std::string start_other_api() {
        api::ApiServer::Options options;
        options.state = directory.path() / "other";
        return sync(begin_other(std::move(options)));
    }
    std::optional<kube::Object> get_in_other(const std::string& kind, const std::string& ns,
                                             const std::string& name) {
        const kube::GroupVersionKind gvk{.group = "", .version = "v1", .kind = kind};
        return sync(other_client_->get(gvk, ns, name));
    }

    std::function<void(const Event&)> on_event;  ///< called on the loop
    TemporaryDirectory directory{"kled-gitops"};
    git::testing::Repository repository;

private:
    void start_api() {
        api::ApiServer::Options options;
        options.state = directory.path() / "api";
        api_ = std::make_unique<api::ApiServer>(loop_.get_executor(), std::move(options));
        client_ = std::make_unique<kube::Client>(wrap_(api_->in_process_transport()));
        asio::post(loop_, [this] { api_tasks_.spawn(api_->run()); });
        eventually([this] {
            try {
                return get("v1", "Namespace", "", "default").has_value();
            } catch (const Error&) {
                return false;
            }
        });
    }
    asio::awaitable<void> begin(std::function<std::unique_ptr<ObjectStore>(kube::Client&)> make,
                                Reconciler::Options options) {
        tasks_.emplace(loop_.get_executor());
        events_.emplace([this](const Event& event) {
            if (on_event) on_event(event);
        });
        store_ = make(*client_);
        reconciler_ = std::make_unique<Reconciler>(loop_.get_executor(), pool_, *client_, *store_,
                                                   *events_, std::move(options));
        tasks_->spawn(reconciler_->run());
        co_return;
    }
    asio::awaitable<std::string> begin_other(api::ApiServer::Options options) {
        other_ = std::make_unique<api::ApiServer>(loop_.get_executor(), std::move(options));
        other_client_ = std::make_unique<kube::Client>(other_->in_process_transport());
        api_tasks_.spawn(other_->run());
        co_return read_file(other_->admin_kubeconfig());
    }
    static asio::awaitable<void> stop(TaskGroup& tasks) {
        tasks.cancel();
        co_await even_if_cancelled;
        co_await tasks.join();
    }
    static asio::awaitable<void> stop(std::optional<TaskGroup>& tasks) {
        if (tasks) co_await stop(*tasks);
        tasks.reset();
    }
    asio::awaitable<void> spawn(asio::awaitable<void> work) {
        tasks_->spawn(std::move(work));
        co_return;
    }
    asio::awaitable<std::size_t> look() { co_return reconciler_->nudge(""); }
    asio::awaitable<std::vector<Event>> all_events() { co_return events_->since(0); }

    Wrap wrap_;
    asio::io_context loop_{1};
    asio::executor_work_guard<asio::io_context::executor_type> guard_{loop_.get_executor()};
    ThreadPool pool_{2};
    TaskGroup api_tasks_{loop_.get_executor()};
    std::optional<TaskGroup> tasks_;
    std::unique_ptr<api::ApiServer> api_;
    std::unique_ptr<kube::Client> client_;
    std::unique_ptr<api::ApiServer> other_;
    std::unique_ptr<kube::Client> other_client_;
    std::optional<Events> events_;
    std::unique_ptr<ObjectStore> store_;
    std::unique_ptr<Reconciler> reconciler_;
    std::thread thread_;
};

}  // namespace kled::gitops::testing
