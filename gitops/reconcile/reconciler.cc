#include "gitops/reconcile/reconciler.h"

#include "base/metrics.h"
#include "gitops/build/input_watch.h"
#include "gitops/objects/annotations.h"
#include "gitops/reconcile/dependencies.h"
#include "gitops/reconcile/reconciler_impl.h"

#include <algorithm>
#include <type_traits>

namespace kled::gitops {

namespace asio = boost::asio;

std::string join(const std::vector<std::string>& lines, std::size_t limit) {
    std::string text;
    for (std::size_t i = 0; i < std::min(lines.size(), limit); ++i)
        text += (i == 0 ? "" : "\n") + lines[i];
    if (lines.size() > limit) text += "\n… and " + std::to_string(lines.size() - limit) + " more";
    return text;
}

std::string unsupported_text(const std::vector<Unsupported>& fields) {
    std::string text;
    for (const auto& [field] : fields) text += (text.empty() ? "" : ", ") + field;
    return text + (fields.size() == 1 ? " is" : " are") +
           " not supported yet; nothing is done rather than something else";
}

std::optional<Key> source_named_in(const kube::Object& object) {
    if (object.spec() == nullptr) return std::nullopt;
    const auto field = [&](std::string_view name, std::string_view fallback) {
        const auto text = kube::find_string(*object.spec(), {"sourceRef", name});
        return std::string{text.empty() ? fallback : text};
    };
    return Key{.kind = field("kind", repository_kind),
               .ns = field("namespace", object.ns()),
               .name = field("name", "")};
}

void Reconciler::Impl::touch(const Key& key) {
    turns.touch(key);
    if (const auto found = waiting.find(key); found != waiting.end()) found->second->cancel();
}

SteadyTime Reconciler::Impl::after(Duration interval) {
    std::uniform_real_distribution<double> jitter{1 - options.interval_jitter,
                                                  1 + options.interval_jitter};
    const auto delay = std::chrono::duration<double, std::milli>{interval} * jitter(random);
    return steady_now() + std::chrono::duration_cast<Duration>(delay);
}

SteadyTime Reconciler::Impl::after_failure(Node& node, Duration interval) {
    return after(std::min(interval, std::max(node.backoff.next(), Duration{200})));
}

void Reconciler::Impl::count(const Key& key, std::chrono::duration<double> took, bool failed) {
    metrics::registry()
        .histogram("kled_gitops_reconcile_duration_seconds", "Time of one reconciliation",
                   {0.01, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 120}, {{"kind", key.kind}})
        .observe(took.count());
    metrics::registry()
        .counter("kled_gitops_reconciles_total", "Reconciliations",
                 {{"kind", key.kind}, {"outcome", failed ? "error" : "success"}})
        .add();
}

asio::awaitable<std::optional<SteadyTime>> Reconciler::Impl::reconcile(Key key) {
    if (is_source_kind(key.kind)) {
        if (const auto found = sources.find(key); found != sources.end())
            co_return co_await reconcile_source(key, found->second);
        co_await discard(key);
    } else if (key.kind == pipeline_kind) {
        if (const auto found = pipelines.find(key); found != pipelines.end())
            co_return co_await reconcile_pipeline(key, found->second);
    } else if (const auto found = works.find(key); found != works.end()) {
        const auto again = co_await reconcile_work(key, found->second);
        touch_pipelines_of(key);
        co_return again;
    } else {
        co_await discard_bases(key);
    }
    co_return std::nullopt;
}

void Reconciler::Impl::touch_dependents_of_source(const Key& source) {
    for (const auto& [key, pipeline] : pipelines)
        if (source_named_in(pipeline->object) == source) touch(key);
    for (const auto& [key, work] : works)
        if (source_named_in(work->object) == source) touch(key);
}

void Reconciler::Impl::touch_dependents_of_work(const Key& done) {
    for (const auto& [key, work] : works) {
        // One that waits for health has its dependencies, and would begin its wait anew.
        if (key.kind != done.kind || waiting.contains(key)) continue;
        const auto all = dependencies_of(work->object);
        if (std::ranges::find(all, done) != all.end()) touch(key);
    }
}

void Reconciler::Impl::touch_users_of_input(const Key& input) {
    for (const auto& [key, work] : works)
        if (key.ns == input.ns && is_made_of(work->object, input.kind, input.name)) touch(key);
}

Reconciler::Reconciler(asio::any_io_executor loop, ThreadPool& pool, kube::Client& client,
                       ObjectStore& store, Events& events, Options options)
    : impl_{std::make_unique<Impl>(std::move(loop), pool, client, store, events,
                                   std::move(options))} {}

Reconciler::~Reconciler() = default;

asio::awaitable<void> Reconciler::run() {
    impl_->tasks.spawn(impl_->store.run(*this));
    impl_->tasks.spawn(impl_->turns.run(impl_->tasks));
    if (impl_->options.artifacts) impl_->tasks.spawn(impl_->sweep());
    if (!impl_->options.only_sources) {
        for (const auto* kind : {"ConfigMap", "Secret"}) {
            impl_->tasks.spawn(watch_inputs(
                impl_->client, kind,
                [impl = impl_.get()](const Key& key) { impl->touch_users_of_input(key); }));
        }
    }
    co_await even_if_cancelled;
    co_await impl_->tasks.join();
}

namespace {

/// A path on this machine with its links resolved: a hook says where its repository really is.
std::string resolved(std::string_view url) {
    if (url.starts_with("file://")) url.remove_prefix(7);
    if (!url.starts_with('/')) return std::string{url};
    std::error_code failed;
    const auto path = std::filesystem::weakly_canonical(url, failed);
    return failed ? std::string{url} : path.string();
}

}  // namespace

std::size_t Reconciler::nudge(const std::string& url) {
    std::size_t count = 0;
    const auto wanted = resolved(url);
    for (const auto& [key, source] : impl_->sources) {
        const auto* spec = source->object.spec();
        const auto own = spec == nullptr ? std::string_view{} : kube::find_string(*spec, {"url"});
        if (!url.empty() && !git::same_repository(resolved(own), wanted)) continue;
        impl_->touch(key);
        ++count;
    }
    return count;
}

namespace {

/// Of an ExternalArtifact, whose controller asks for everything in its status.
bool artifacts_differ(const kube::Object& before, const kube::Object& now) {
    if (now.kind() != external_kind) return false;
    const auto artifact = [](const kube::Object& object) {
        const auto* found =
            object.status() == nullptr ? nullptr : object.status()->if_contains("artifact");
        return found == nullptr ? kube::json::value{} : *found;
    };
    return artifact(before) != artifact(now);
}

/// Whether `now` asks for something that `before` did not: status and what others annotate never
/// do.
bool asks_for_more(const kube::Object& before, const kube::Object& now) {
    const auto* a = before.spec();
    const auto* b = now.spec();
    const bool same_spec = (a == nullptr) == (b == nullptr) && (a == nullptr || *a == *b);
    return !same_spec || artifacts_differ(before, now) || before.deleting() != now.deleting() ||
           reconcile_request(before) != reconcile_request(now) ||
           own_annotations_of(before) != own_annotations_of(now);
}

template <typename N>
bool take(std::map<Key, std::shared_ptr<N>>& nodes, const Key& key, kube::Object object) {
    auto& node = nodes[key];
    // The same name again may be another object.
    if (!node || (!object.uid().empty() && node->object.uid() != object.uid())) {
        node = std::make_shared<N>(std::move(object));
        return true;
    }
    const bool more = asks_for_more(node->object, object);
    if constexpr (std::is_same_v<N, Work>) DeploymentStatus::take_lists_out_of(object);
    node->object = std::move(object);
    return more;
}

}  // namespace

void Reconciler::changed(kube::Object object) {
    const auto key = key_of(object);
    const bool source = is_source_kind(key.kind);
    if ((!source || key.kind == external_kind) && impl_->options.only_sources) return;
    const bool pipeline = key.kind == pipeline_kind;
    const bool more = source     ? take(impl_->sources, key, std::move(object))
                      : pipeline ? take(impl_->pipelines, key, std::move(object))
                                 : take(impl_->works, key, std::move(object));
    if (more) impl_->touch(key);
    if (more && source) impl_->touch_pipelines_following(key);
    // Its status counts there, and what an edge hub says is in no other place.
    if (!source && !pipeline) impl_->touch_pipelines_of(key);
}

void Reconciler::removed(const Key& key) {
    impl_->turns.forget(key);
    impl_->events.forget(key);
    impl_->drift.forget(key);
    impl_->pipelines.erase(key);
    impl_->touch_pipelines_of(key);
    if (impl_->works.erase(key) > 0 && impl_->options.remote_bases)
        impl_->touch(key);  // in its turn: it may come again meanwhile
    // Without it there may be no cycle any more.
    for (const auto& [other, work] : impl_->works)
        if (Impl::waits_in_cycle(*work)) impl_->touch(other);
    const auto source = impl_->sources.find(key);
    if (source == impl_->sources.end()) return;
    impl_->sources.erase(source);
    impl_->touch(key);  // what is on disk goes, once nothing more comes there
    impl_->touch_dependents_of_source(key);
    impl_->touch_includers(key);
}

void Reconciler::served(std::string_view kind, bool is) {
    if (is) {
        impl_->absent_kinds.erase(std::string{kind});
    } else {
        impl_->absent_kinds.emplace(kind);
    }
}

void Reconciler::known(std::string_view kind) { impl_->known_kinds.emplace(kind); }

void Reconciler::listed(std::string_view kind, const std::set<Key>& others) {
    if (impl_->options.only_sources && !is_own_source_kind(kind)) return;
    impl_->tasks.spawn(impl_->sweep_caches(std::string{kind}, others));
}

}  // namespace kled::gitops
