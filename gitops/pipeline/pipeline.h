/// Pipeline (gitops.kled.io/v1): the way of a revision through stages, as it is declared and as it
/// stands.
#pragma once

#include "base/clock.h"
#include "gitops/objects/api.h"
#include "gitops/windows/deploy_windows.h"
#include "kube/object.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kled::gitops {

inline constexpr std::string_view pipeline_group = "gitops.kled.io";
inline constexpr std::string_view pipeline_kind = "Pipeline";

struct Pipeline {
    static constexpr std::size_t stage_limit = 32;
    static constexpr std::size_t target_limit = 64;  ///< of a stage

    struct Target {
        std::string kind;  ///< Kustomization or EdgeDeployment, of the Pipeline's namespace
        std::string name;
        auto operator<=>(const Target&) const = default;
        [[nodiscard]] std::string to_string() const { return kind + " " + name; }
    };
    struct Job {
        std::string ns;
        std::string name;
        bool made = false;                  ///< here, from the CronJob `name`
        std::optional<Duration> timeout{};  ///< of one that is made
        [[nodiscard]] std::string to_string() const {
            return (made ? "CronJob " : "Job ") + ns + "/" + name;
        }
    };
    struct Stage {
        std::string name;
        std::vector<Target> targets;
        bool by_commit = false;  ///< promotion: commit, the branches that the targets follow move
        // Before a revision comes in:
        bool approval = false;
        DeployWindows windows;
        // Before it goes on:
        bool health = true;
        Duration soak{};  ///< healthy without a break
        std::vector<std::string> checks;
        std::vector<Job> jobs;
    };
    kube::Object object;
    Key source;
    bool supersede = true;  ///< a newer revision takes the place of one that waits in a stage
    bool suspend = false;
    std::string service_account;  ///< as whom Jobs are made; empty: the default's
    std::vector<Stage> stages;

    /// Error(invalid) "spec.stages[0].name: …".
    static Pipeline from_object(kube::Object object);
};

/// What is known of a stage.
struct StageState {
    enum class Phase { empty, progressing, passed, failed };
    enum class Verdict { passed, waiting, failed };
    struct Gate {
        std::string name;
        Verdict verdict = Verdict::waiting;
        std::string message{};
        // Of one that makes a Job:
        std::string job{};         ///< its name; empty: none was begun
        std::int64_t attempt = 0;  ///< counted from 1, for each revision
        bool operator==(const Gate&) const = default;
    };

    std::string name;
    std::string revision;  ///< that is in it; empty: none came yet
    std::optional<WallTime> since;
    std::optional<WallTime> healthy_since;
    Phase phase = Phase::empty;
    std::vector<Gate> gates;     ///< of `revision`
    std::string passed;          ///< the last revision that may go on from here
    std::string waiting;         ///< a revision that may not come in yet
    std::string waiting_reason;  ///< why not
    bool operator==(const StageState&) const = default;
};
[[nodiscard]] std::string_view to_string(StageState::Phase phase) noexcept;
[[nodiscard]] std::string_view to_string(StageState::Verdict verdict) noexcept;

struct PipelineStatus : CommonStatus {
    std::string revision;  ///< the source's newest
    std::vector<StageState> stages;

    static PipelineStatus from_object(const kube::Object& object);
    void write_to(kube::Object& object) const;
    bool operator==(const PipelineStatus&) const = default;
};

}  // namespace kled::gitops
