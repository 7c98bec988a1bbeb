/// The Jobs that a Pipeline makes of CronJobs: their names, what they are, and which may go. Pure.
#pragma once

#include "gitops/pipeline/pipeline.h"
#include "gitops/pipeline/promotion.h"
#include "kube/object.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kled::gitops {

inline constexpr std::int64_t attempt_limit = 10'000;

// On a Job that is made here, and so a way to find them.
inline constexpr std::string_view pipeline_label = "gitops.kled.io/pipeline";
inline constexpr std::string_view pipeline_namespace_label = "gitops.kled.io/pipeline-namespace";
inline constexpr std::string_view stage_label = "gitops.kled.io/stage";
inline constexpr std::string_view cron_job_label = "gitops.kled.io/cronjob";

/// "smoke-staging-<16 hex digits>", at most 63 characters: of this Pipeline (also by uid), stage,
/// CronJob, commit, attempt, and when the commit came. One that comes back is tested again.
[[nodiscard]] std::string job_name(const Pipeline& pipeline, const Pipeline::Stage& stage,
                                   const Pipeline::Job& job, const StageState& state,
                                   std::int64_t attempt);

/// The name of the Job that it has to be known of how it is; empty: of none.
[[nodiscard]] std::string job_looked_for(const Pipeline& pipeline, std::size_t stage,
                                         std::size_t job, const StageState& state);

/// What `kubectl create job --from=cronjob/…` makes, with what says whose it is. The Pipeline owns
/// it where both are of one namespace. Error(invalid): the CronJob has no usable template.
[[nodiscard]] kube::Object job_from(const kube::Object& cron_job, const Pipeline& pipeline,
                                    const Pipeline::Stage& stage, const Pipeline::Job& job,
                                    const StageState& state, const std::string& name);

/// What a live Job says.
[[nodiscard]] JobFacts facts_of_job(const kube::Object& live);
/// Whether it was made for the revision that is in the stage.
[[nodiscard]] bool made_for(const kube::Object& live, const Pipeline& pipeline,
                            const Pipeline::Stage& stage, const StageState& state);

/// Selects the Jobs of one gate.
[[nodiscard]] std::string job_selector(const Pipeline& pipeline, const Pipeline::Stage& stage,
                                       const Pipeline::Job& job);

/// What has to happen to those of a gate before a new one begins.
struct JobRoom {
    std::vector<std::string> remove;  ///< beyond the limits, or replaced
    std::string wait_for;             ///< one that has to end first; empty: none
};
/// By the CronJob's successfulJobsHistoryLimit (3), failedJobsHistoryLimit (1) and
/// concurrencyPolicy.
[[nodiscard]] JobRoom room_for(const std::string& name, const std::vector<kube::Object>& there,
                               const kube::Object& cron_job);

}  // namespace kled::gitops
