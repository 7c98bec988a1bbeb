/// Which revision may go on to which stage: from what is known and what is seen to what is to be
/// done. Pure; all it knows is in the states, so that it goes on after a crash at any moment.
#pragma once

#include "gitops/pipeline/pipeline.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace kled::gitops {

/// What is seen of a deployment object. Commits are 40 hex digits; empty: none.
struct TargetFacts {
    bool exists = false;
    bool consents = false;  ///< it names this Pipeline
    std::string pin;        ///< or where the branch stands that it follows
    std::string promoted;   ///< the pin that a Pipeline set last
    // Of one that gets its revisions by commit:
    std::string obstacle;  ///< why none can come
    std::string pushed;    ///< what the last push was of
    bool refused = false;  ///< there is trouble, and it takes somebody to change that
    // Of any:
    std::string trouble;    ///< what became of the last pin or push; empty: nothing bad
    std::string attempted;  ///< what `ready` and `failed` are of
    bool ready = false;
    bool failed = false;
    std::string message;

    [[nodiscard]] bool pinned_by_hand() const { return !pin.empty() && pin != promoted; }
};

struct JobFacts {
    enum class Result { running, succeeded, failed };
    std::optional<WallTime> created;  ///< nullopt: it is not there
    Result result = Result::running;
    std::string message;
    std::string trouble;   ///< why it cannot be made, or read
    bool refused = false;  ///< and it takes somebody to change that
    // Of one that is made here:
    std::string name;        ///< which one was looked for
    bool can_begin = false;  ///< nothing stands in the way of making it
};

struct StageFacts {
    std::vector<TargetFacts> targets;  ///< in the order of the spec, as are jobs
    std::vector<JobFacts> jobs;
    std::string approved;     ///< the commit that somebody let in
    std::string approved_by;  ///< who says to have been that
    std::string retry_of;     ///< the commit whose failed Jobs are to run again
    std::int64_t retry = 0;   ///< as which attempt
};

struct PipelineFacts {
    std::string newest;  ///< the source's revision, "main@sha1:<hex>"
    std::vector<StageFacts> stages;
    std::map<std::string, std::map<std::string, bool>> checks;  ///< name, commit: whether it passed
};

/// Of an annotation `retry_annotation`, "<commit> <attempt>"; nothing when it is none.
void parse_retry(std::string_view text, StageFacts& facts);

/// Of an annotation `check_annotation`; what cannot be read is left out.
[[nodiscard]] std::map<std::string, bool> parse_checks(std::string_view text);

struct Promotion {
    /// The target is to be pinned to the commit. Doing so twice does no harm.
    struct Pin {
        std::size_t stage;
        std::size_t target;
        std::string commit;
        bool operator==(const Pin&) const = default;
    };
    /// The Job of that name is to be made. Doing so twice makes one.
    struct Begin {
        std::size_t stage;
        std::size_t job;
        std::string name;
        bool operator==(const Begin&) const = default;
    };
    /// For people.
    struct Note {
        bool warning;
        std::string reason;
        std::string message;
        std::string revision;
        bool operator==(const Note&) const = default;
    };
    std::vector<StageState> stages;
    std::vector<Pin> pins;      ///< to be set once `stages` is stored
    std::vector<Begin> begins;  ///< likewise
    std::vector<Note> notes;
    std::optional<WallTime> look_again;  ///< when time alone changes something
    bool jobs_run = false;               ///< a Job's end is waited for
};

/// One step; another with the same facts and time changes nothing. `before` may be of another
/// version of the spec: states belong to stages by name.
[[nodiscard]] Promotion advance(const Pipeline& pipeline, const std::vector<StageState>& before,
                                const PipelineFacts& facts, WallTime now);

/// How it is doing as a whole, for the condition Ready.
struct PipelineSummary {
    std::string ready;  ///< "True", "False", "Unknown"
    std::string reason;
    std::string message;
};
[[nodiscard]] PipelineSummary summarise(const std::vector<StageState>& stages,
                                        const std::string& newest);

}  // namespace kled::gitops
