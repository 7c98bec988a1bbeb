// The Jobs that a Pipeline asks: looked for; its own made of their CronJobs, and cleared away.
#include "gitops/pipeline/jobs.h"

#include "gitops/reconcile/reconciler_impl.h"

#include <algorithm>

namespace kled::gitops {

namespace asio = boost::asio;

namespace {

const kube::GroupVersionKind job_kind{.group = "batch", .version = "v1", .kind = "Job"};
const kube::GroupVersionKind cron_job_kind{.group = "batch", .version = "v1", .kind = "CronJob"};

}  // namespace

asio::awaitable<std::shared_ptr<Destination>> Reconciler::Impl::jobs_of(const Pipeline& pipeline,
                                                                        PipelineNode& node) {
    auto finding =
        destinations.as(std::string{pipeline.object.ns()}, std::string{pipeline.service_account});
    node.jobs_as = co_await std::move(finding);
    co_return node.jobs_as;
}

asio::awaitable<JobFacts> Reconciler::Impl::see_job(const Pipeline& pipeline, PipelineNode& node,
                                                    Pipeline::Job job) {
    JobFacts facts;
    try {
        const auto api = co_await jobs_of(pipeline, node);
        if (const auto live = co_await api->client.get(job_kind, job.ns, job.name))
            facts = facts_of_job(*live);
    } catch (const Error& error) {
        if (error.kind() == ErrorKind::unavailable) throw;
        facts.trouble = error.what();
        facts.refused = true;
    }
    co_return facts;
}

asio::awaitable<JobFacts> Reconciler::Impl::see_made_job(const Pipeline& pipeline,
                                                         PipelineNode& node, std::size_t stage,
                                                         std::size_t job) {
    JobFacts facts;
    const auto& spec = pipeline.stages[stage];
    const auto& asked = spec.jobs[job];
    const auto state = std::ranges::find(node.status.stages, spec.name, &StageState::name);
    if (state == node.status.stages.end()) co_return facts;
    const auto here = *state;
    const auto name = job_looked_for(pipeline, stage, job, here);
    facts.name = name;
    if (name.empty()) co_return facts;
    const auto shown = "Job " + asked.ns + "/" + name;
    try {
        const auto api = co_await jobs_of(pipeline, node);
        const auto live = co_await api->client.get(job_kind, asked.ns, name);
        if (live && !made_for(*live, pipeline, spec, here)) {
            facts.trouble = shown + " is there already, and not of this revision";
        } else if (live) {
            facts = facts_of_job(*live);
            facts.name = name;
            if (live->deleting() && facts.result == JobFacts::Result::running) {
                facts.created.reset();
                facts.trouble = shown + " is being deleted";
            }
        } else if (!co_await api->client.get(cron_job_kind, asked.ns, asked.name)) {
            facts.trouble = asked.to_string() + " does not exist";
        } else {
            facts.can_begin = true;
            const auto known = node.troubles.find(name);
            if (known != node.troubles.end()) facts.trouble = known->second;
        }
    } catch (const Error& error) {
        if (error.kind() == ErrorKind::unavailable) throw;
        facts.trouble = error.what();
        facts.refused = true;
    }
    co_return facts;
}

asio::awaitable<bool> Reconciler::Impl::begin_job(const Pipeline& pipeline, PipelineNode& node,
                                                  Promotion::Begin begin) {
    const auto& stage = pipeline.stages[begin.stage];
    const auto& asked = stage.jobs[begin.job];
    const auto here = node.status.stages[begin.stage];
    const auto shown = "Job " + asked.ns + "/" + begin.name;
    std::string trouble;
    try {
        const auto api = co_await jobs_of(pipeline, node);
        const auto cron_job = co_await api->client.get(cron_job_kind, asked.ns, asked.name);
        if (!cron_job) co_return true;  // it went just now
        kube::ListOptions ours;
        ours.ns = asked.ns;
        ours.label_selector = job_selector(pipeline, stage, asked);
        const auto there = co_await api->client.list(job_kind, ours);
        const auto room = room_for(begin.name, there.items, *cron_job);
        const kube::DeleteOptions deletion;
        for (const auto& name : room.remove)
            co_await api->client.remove(job_kind, asked.ns, name, deletion);
        if (room.wait_for.empty()) {
            const auto made = job_from(*cron_job, pipeline, stage, asked, here, begin.name);
            co_await api->client.create(made);
            events.record(node.object, false, "JobStarted",
                          shown + " begins for " + here.revision + " in " + stage.name,
                          here.revision);
        } else {
            trouble = "it waits for Job " + asked.ns + "/" + room.wait_for +
                      " to end (spec.concurrencyPolicy of " + asked.to_string() + ")";
        }
    } catch (const kube::StatusError& error) {
        // Made before a crash, or by the leader before: whose it is, is looked at next.
        if (error.reason() != "AlreadyExists") trouble = shown + ": " + error.what();
    } catch (const Error& error) {
        if (error.kind() == ErrorKind::unavailable) throw;
        trouble = shown + ": " + error.what();
    }
    auto& known = node.troubles[begin.name];
    // Not each time that a server words it otherwise.
    const bool news = known.empty() != trouble.empty();
    known = std::move(trouble);
    if (known.empty()) node.troubles.erase(begin.name);
    co_return news;
}

}  // namespace kled::gitops
