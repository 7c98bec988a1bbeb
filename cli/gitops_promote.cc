// kled gitops promote: lets a revision that waits for somebody into its stage, or what failed there
// run once more.
#include "cli/gitops_promote.h"

#include "base/error.h"
#include "cli/command.h"
#include "cli/confirm.h"
#include "cli/connect.h"
#include "cli/gitops_flags.h"
#include "cli/gitops_request.h"
#include "gitops/objects/annotations.h"
#include "gitops/objects/objects.h"
#include "gitops/pipeline/jobs.h"
#include "gitops/pipeline/pipeline.h"

#include <CLI/CLI.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace kled::cli {

namespace asio = boost::asio;

namespace {

struct Flags {
    ObjectFlags object;
    std::string stage;
    std::string revision;
    bool retry = false;
    bool yes = false;
};

/// Who says so: the API server knows who did, this is for people.
std::string own_name() {
    const auto* user = std::getenv("USER");
    return user == nullptr || *user == '\0' ? "somebody" : user;
}

const gitops::Pipeline::Stage& stage_named(const gitops::Pipeline& pipeline,
                                           const std::string& name) {
    const auto found = std::ranges::find(pipeline.stages, name, &gitops::Pipeline::Stage::name);
    if (found == pipeline.stages.end())
        throw Error{ErrorKind::not_found, "there is no stage '" + name + "'"};
    return *found;
}

/// The only stage at whose door a revision waits for somebody; empty: there is none.
std::string waiting_stage(const gitops::Pipeline& pipeline, const gitops::PipelineStatus& status) {
    std::string result;
    for (const auto& stage : status.stages) {
        const auto spec =
            std::ranges::find(pipeline.stages, stage.name, &gitops::Pipeline::Stage::name);
        if (stage.waiting.empty() || spec == pipeline.stages.end() || !spec->approval) continue;
        const auto approval =
            pipeline.object.annotation(std::string{gitops::approved_annotation} + stage.name);
        if (gitops::commit_in(approval.substr(0, approval.find(' '))) ==
            gitops::commit_in(stage.waiting))
            continue;
        if (!result.empty()) {
            throw Error{ErrorKind::invalid,
                        "which one: " + result + ", " + stage.name + "? (--stage)"};
        }
        result = stage.name;
    }
    return result;
}

/// Gates whose Jobs kled makes, and which failed.
std::vector<gitops::StageState::Gate> failed_jobs(const gitops::StageState& stage) {
    std::vector<gitops::StageState::Gate> result;
    for (const auto& gate : stage.gates) {
        if (gate.attempt > 0 && gate.verdict == gitops::StageState::Verdict::failed)
            result.push_back(gate);
    }
    return result;
}

/// The only stage with such gates; nullptr: there is none.
const gitops::StageState* failed_stage(const gitops::PipelineStatus& status,
                                       const std::string& wanted) {
    const gitops::StageState* result = nullptr;
    for (const auto& stage : status.stages) {
        if ((!wanted.empty() && stage.name != wanted) || failed_jobs(stage).empty()) continue;
        if (result != nullptr) {
            throw Error{ErrorKind::invalid,
                        "which one: " + result->name + ", " + stage.name + "? (--stage)"};
        }
        result = &stage;
    }
    return result;
}

asio::awaitable<void> retry(kube::Client& client, const gitops::FoundObject& found,
                            const Flags& flags) {
    const auto key = gitops::key_of(found.object).to_string();
    const auto pipeline = gitops::Pipeline::from_object(found.object);
    const auto status = gitops::PipelineStatus::from_object(found.object);
    if (!flags.stage.empty()) static_cast<void>(stage_named(pipeline, flags.stage));
    const auto* stage = failed_stage(status, flags.stage);
    if (stage == nullptr) {
        std::cout << key << ": no Job that it made has failed\n";
        co_return;
    }
    std::int64_t attempt = 0;
    for (const auto& gate : failed_jobs(*stage)) attempt = std::max(attempt, gate.attempt);
    if (++attempt > gitops::attempt_limit)
        throw Error{ErrorKind::exhausted, "there were " + std::to_string(attempt - 1) +
                                              " attempts: it takes another commit"};
    for (const auto& gate : failed_jobs(*stage)) {
        std::cout << key << ": " << gate.name << " once more for " << stage->revision << " in "
                  << stage->name << " (attempt " << attempt << ")\n";
    }
    std::map<std::string, std::string> annotations{
        {std::string{gitops::retry_annotation} + stage->name,
         gitops::commit_in(stage->revision) + " " + std::to_string(attempt)}};
    co_await ask(client, found, std::move(annotations), parse_duration(flags.object.timeout));
}

asio::awaitable<void> promote(const Globals& globals, const Flags& flags) {
    auto client = connect(co_await asio::this_coro::executor, globals);
    const std::string kind = "pipeline";
    const auto found = co_await find_one(client, flags.object, kind);
    if (found.object.kind() != gitops::pipeline_kind) {
        throw Error{ErrorKind::invalid,
                    gitops::key_of(found.object).to_string() + " is no Pipeline"};
    }
    refuse_suspended(found);
    if (flags.retry) {
        co_await retry(client, found, flags);
        co_return;
    }
    const auto key = gitops::key_of(found.object).to_string();
    const auto pipeline = gitops::Pipeline::from_object(found.object);
    const auto status = gitops::PipelineStatus::from_object(found.object);
    const auto name = flags.stage.empty() ? waiting_stage(pipeline, status) : flags.stage;
    if (name.empty()) {
        std::cout << key << ": nothing waits for an approval\n";
        co_return;
    }
    if (!stage_named(pipeline, name).approval)
        throw Error{ErrorKind::invalid, "stage '" + name + "' has no gate `approval`"};
    const auto state = std::ranges::find(status.stages, name, &gitops::StageState::name);
    auto revision = flags.revision;
    if (revision.empty() && state != status.stages.end()) revision = state->waiting;
    if (revision.empty())
        throw Error{ErrorKind::not_found, "nothing waits for stage '" + name + "' (--revision)"};
    const auto commit = gitops::commit_in(revision);
    if (commit.empty()) {
        throw Error{ErrorKind::invalid,
                    "--revision: '" + revision + "' is no commit of 40 hex digits"};
    }
    std::cout << key << ": " << revision << " into " << name << '\n';
    if (state != status.stages.end() && !state->waiting_reason.empty())
        std::cout << "  it waits: " << state->waiting_reason << '\n';
    if (!flags.yes && !confirmed("Let it in?")) throw Exit{1};
    std::map<std::string, std::string> annotations{
        {std::string{gitops::approved_annotation} + name, commit + " " + own_name()}};
    co_await ask(client, found, std::move(annotations), parse_duration(flags.object.timeout));
}

std::string short_revision(const std::string& revision) {
    const auto at = revision.rfind("sha1:");
    return at == std::string::npos ? revision : revision.substr(0, at + 5 + 8);
}

}  // namespace

Table stages_of(const kube::Object& pipeline) {
    Table table;
    table.columns = {"STAGE", "REVISION", "PHASE", "SINCE", "WAITING", "MESSAGE", "GATES"};
    table.wide_from = 6;
    for (const auto& stage : gitops::PipelineStatus::from_object(pipeline).stages) {
        std::string message = stage.waiting_reason;
        std::string gates;
        for (const auto& gate : stage.gates) {
            gates += (gates.empty() ? "" : ", ") + gate.name + " " +
                     std::string{gitops::to_string(gate.verdict)};
            if (gate.verdict == gitops::StageState::Verdict::passed) continue;
            message += (message.empty() ? "" : "; ") + gate.name +
                       (gate.message.empty() ? "" : ": ") + gate.message;
        }
        table.rows.push_back({stage.name, short_revision(stage.revision),
                              std::string{gitops::to_string(stage.phase)},
                              stage.since ? age(to_rfc3339(*stage.since)) : "",
                              short_revision(stage.waiting), std::move(message), std::move(gates)});
    }
    return table;
}

void add_gitops_promote(CLI::App& group, Globals& globals) {
    const auto flags = std::make_shared<Flags>();
    auto* verb = group.add_subcommand(
        "promote",
        "Let the revision that waits for an approval into its stage of a Pipeline\n\n"
        "Examples:\n  kled gitops promote shop\n"
        "  kled gitops promote shop --stage production --yes\n"
        "  kled gitops promote shop --retry           run the Jobs of a stage that failed once "
        "more");
    const auto is_pipeline = [](const kube::Object& object) {
        return object.kind() == gitops::pipeline_kind;
    };
    add_object_flags(*verb, globals, flags->object, "NAME of a Pipeline, or KIND/NAME",
                     is_pipeline);
    verb->add_option("--stage", flags->stage, "Into which (the one where something waits)");
    auto* revision =
        verb->add_option("--revision", flags->revision, "Which commit (the one that waits)");
    verb->add_flag("--retry", flags->retry, "Run the Jobs that failed there once more")
        ->excludes(revision);
    add_yes_flag(*verb, flags->yes);
    add_timeout_flag(*verb, flags->object.timeout);
    verb->callback([&globals, flags] { run([&] { return promote(globals, *flags); }); });
}

}  // namespace kled::cli
