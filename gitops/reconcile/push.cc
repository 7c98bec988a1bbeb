// Promotion by commit: the branch that a target's GitRepository follows moves on to a commit.
#include "gitops/git/push.h"

#include "gitops/objects/annotations.h"
#include "gitops/reconcile/reconciler_impl.h"

#include <algorithm>

namespace kled::gitops {

namespace asio = boost::asio;

namespace {

constexpr Duration push_pause{30'000};

/// Why its branch cannot be moved; empty: it can.
std::string obstacle_of(const GitRepository& repository, const std::string& source_url) {
    const auto& ref = repository.reference;
    const bool branch_only = !ref.branch.empty() && ref.tag.empty() && ref.name.empty() &&
                             ref.commit.empty() && ref.semver.empty();
    const std::string name{repository.object.name()};
    if (!branch_only) return "GitRepository " + name + " follows no branch (spec.ref.branch alone)";
    if (!git::same_repository(repository.url, source_url))
        return "GitRepository " + name + " is of another repository than the Pipeline's source";
    return {};
}

}  // namespace

std::optional<Key> Reconciler::Impl::followed_by(const Key& target) const {
    const auto found = works.find(target);
    return found == works.end() ? std::nullopt : source_named_in(found->second->object);
}

void Reconciler::Impl::see_branch(TargetFacts& facts, const Key& target, const Pipeline& pipeline,
                                  const PipelineNode& node) const {
    if (!facts.exists) return;
    if (!facts.pin.empty()) {  // whoever set it
        facts.obstacle = "it is pinned to " + facts.pin + ", and follows no branch (annotation " +
                         std::string{pin_annotation} + ")";
        facts.pin.clear();
        facts.promoted.clear();
        return;
    }
    const auto key = followed_by(target);
    const auto own = sources.find(pipeline.source);
    if (!key || own == sources.end()) return;
    const auto shown = key->kind + " " + key->ns + "/" + key->name;
    const auto found = sources.find(*key);
    const auto name = pipeline.object.name();
    if (facts.consents) {
        facts.obstacle = "it is pinned by this Pipeline, and follows no branch (annotation " +
                         std::string{pipeline_annotation} + ")";
    } else if (key->kind != "GitRepository" || key->ns != pipeline.object.ns()) {
        facts.obstacle = shown + " is no GitRepository of this namespace";
    } else if (found == sources.end()) {
        facts.obstacle = shown + " does not exist";
    } else if (key == key_of(own->second->object)) {
        facts.obstacle = shown + " is the Pipeline's source itself";
    } else if (found->second->object.annotation(pipeline_annotation) != name) {
        facts.obstacle = shown + " does not name this Pipeline (annotation " +
                         std::string{pipeline_annotation} + ")";
    } else {
        try {
            // Where its commits are from, whatever its spec says by now.
            const auto url = own->second->mirror ? own->second->mirror->url() : std::string{};
            facts.obstacle = obstacle_of(GitRepository::from_object(found->second->object), url);
        } catch (const Error& error) {
            facts.obstacle = shown + ": " + error.what();
        }
        facts.consents = true;
        if (found->second->revision) facts.pin = commit_in(found->second->revision->name);
        facts.promoted = facts.pin;
    }
    if (const auto last = node.pushed.find(*key); last != node.pushed.end()) {
        facts.pushed = last->second.commit;
        facts.trouble = last->second.trouble;
        facts.refused = last->second.refused;
    }
}

void Reconciler::Impl::touch_pipelines_following(const Key& source) {
    if (pipelines.empty()) return;
    for (const auto& [key, work] : works)
        if (followed_by(key) == source) touch_pipelines_of(key);
}

asio::awaitable<bool> Reconciler::Impl::push_target(const Pipeline& pipeline, PipelineNode& node,
                                                    Key target, std::string commit) {
    // While the step was stored, everything may have become another.
    auto now_seen = see_target(target, std::string{pipeline.object.name()});
    see_branch(now_seen, target, pipeline, node);
    if (!now_seen.consents || !now_seen.obstacle.empty()) co_return false;
    const auto key = followed_by(target);
    const auto from = sources.find(pipeline.source);
    if (!key || from == sources.end()) co_return false;
    const auto to = sources.find(*key);
    if (to == sources.end()) co_return false;
    const auto mirror = from->second->mirror;
    const auto source = to->second;
    const auto oid = git::Oid::parse(commit);
    if (!mirror || !oid) co_return false;
    const auto before = source->revision ? source->revision->name : std::string{};
    const auto known = node.pushed.find(*key);
    if (known != node.pushed.end() && known->second.commit == commit &&
        known->second.before == before) {
        // It went well and is not fetched yet; or it went wrong just now.
        if (known->second.trouble.empty() || steady_now() < known->second.again) co_return false;
    }
    PipelineNode::Pushed now{.commit = commit, .before = before, .trouble = {}};
    bool moved = false;
    std::string reference;
    try {
        const auto repository = GitRepository::from_object(source->object);
        reference = git::full_reference(repository.reference.branch, "spec.ref.branch");
        auto reading = access_of(repository);
        const auto access = co_await std::move(reading);
        const git::Push push{.reference = reference};
        auto work = [mirror, oid = *oid, url = repository.url, push,
                     access](const std::stop_token& stop) {
            return git::push_commit(*mirror, oid, url, push, access, stop);
        };
        auto pushing = offload_stoppable(pool, std::move(work));
        moved = co_await std::move(pushing);
    } catch (const Error& error) {
        now.trouble = "GitRepository " + key->ns + "/" + key->name + ": " + error.what();
        now.refused = error.kind() != ErrorKind::unavailable;
        now.again = steady_now() + push_pause;
    }
    if (moved) {
        events.record(
            node.object, false, "Pushed",
            reference + " of GitRepository " + key->ns + "/" + key->name + " moved to " + commit,
            commit);
    }
    if (now.trouble.empty()) touch(*key);  // no need to wait for its interval
    auto& last = node.pushed[*key];
    const bool news = last.trouble != now.trouble;
    last = std::move(now);
    co_return news;
}

}  // namespace kled::gitops
