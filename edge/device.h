/// What an agent does next: the whole of its protocol as a state machine without I/O. The agent
/// (edge/agent.h) tells it what happened and the time, carries out `next`, and says how that went.
///
/// The order that keeps a crash harmless: an assignment is durable before anything is fetched for
/// it; its content is durable before it is reported as stored; that it is being applied is durable
/// before the runtime is told; and applying twice is harmless.
#pragma once

#include "edge/bundle.h"
#include "edge/protocol.h"
#include "edge/trust.h"

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace kled::edge {

/// What a device must still know after a power cut.
struct Durable {
    std::uint64_t session = 0;  ///< counts the starts of the agent
    std::string desired{};      ///< the last accepted payload of dn/desired; empty: none
    std::string refused{};      ///< why its content will not be applied; empty: it may
    std::string applied{};      ///< the payload that is applied, or was being; empty: none
    bool operator==(const Durable&) const = default;
};

/// Content on the device's disk, as found at start.
struct HeldBlob {
    std::string digest{};
    std::size_t bytes = 0;  ///< compressed
    bool complete = false;  ///< its digest was checked
};

/// The time, in both of its senses.
struct Moment {
    SteadyTime steady;
    DeviceClock clock{};
};

class Device {
public:
    struct Config {
        Trust trust;
        ProtocolRange protocol = our_protocol;
        std::string agent{};
        std::string arch{};
        std::string boot_id{};
        std::string session_id{};  ///< random for each start
        std::uint32_t seed = 1;    ///< of the jitter
    };

    // --- What `next` asks for. All but Send and Drop are answered.

    /// Publish below up/.
    struct Send {
        std::string leaf{};
        std::string payload{};
        bool retain = false;
    };
    /// Make this durable: `saved`, or `failed`.
    struct Save {
        Durable state;
    };
    /// Write to the part file of the blob at `offset` and end it there; when `last`, check the
    /// digest of the whole, make it durable, and give it its name: `appended`, `corrupt` when the
    /// digest is not met, or `failed`.
    struct Append {
        BlobRef blob{};
        std::size_t offset = 0;
        std::string bytes{};
        bool last = false;
    };
    /// Read a complete blob: `loaded` with its plain bytes, `corrupt`, or `failed`.
    struct Load {
        BlobRef blob{};
    };
    /// Read and check the bundles and secrets, and plan the workloads: `prepared`, `refuse` where
    /// the content is wrong for good, `corrupt`, or `failed`. The plan is kept for Apply.
    struct Prepare {
        Assignment assignment{};
        Document document{};
    };
    /// Make the runtime run what was prepared, and nothing else: `applied`, or `failed`.
    struct Apply {};
    /// Remove a blob that nothing needs any more.
    struct Drop {
        std::string digest{};
    };
    using Action = std::variant<Send, Save, Append, Load, Prepare, Apply, Drop>;

    /// `durable.session` is already this start's: raised and saved. What is applied there is
    /// prepared and applied first of all, with or without a network. Error(denied|invalid) when
    /// what is saved was not signed by who is trusted.
    Device(Config config, Durable durable, const std::vector<HeldBlob>& held);

    /// One thing to do now; nullopt: nothing until something happens or `wake_at`. While an answer
    /// is awaited, only Send is returned.
    [[nodiscard]] std::optional<Action> next(const Moment& now);
    [[nodiscard]] SteadyTime wake_at() const noexcept;

    // --- What happened

    /// Subscribed. Says hello.
    void connected(const Moment& now);
    void disconnected() noexcept;
    /// A message below dn/. What is wrong with it becomes a condition, never an exception.
    void message(std::string_view leaf, std::string payload, const Moment& now);
    /// kled/v1/<fleet>/hub
    void hub_notice(std::string_view payload, const Moment& now);

    void saved();
    void appended();
    /// Content on the disk does not have its digest; the caller removed it.
    void corrupt(const std::string& digest, const std::string& why, const Moment& now);
    void loaded(std::string_view plain);
    void prepared();
    void applied();
    /// The content itself is wrong: another assignment has to come; what runs goes on.
    void refuse(const std::string& why);
    /// The disk or the runtime failed: what runs goes on, and it is tried again later.
    void failed(const std::string& reason, const std::string& why, const Moment& now);

    /// The runtime's view, whenever it changes; conditions are its own ("ImageNotSupported").
    void observed(std::vector<WorkloadReport> workloads, std::vector<Condition> conditions);

    // --- For status and tests

    [[nodiscard]] Phase phase() const;
    [[nodiscard]] Report report(const Moment& now) const;
    [[nodiscard]] const Durable& durable() const noexcept { return durable_; }
    [[nodiscard]] bool online() const noexcept { return online_; }

private:
    /// What is sent again, with growing pauses, until the hub has answered it.
    struct Repeated {
        std::uint64_t seq = 0;
        std::uint64_t acknowledged = 0;
        SteadyTime due = SteadyTime::max();
        std::chrono::seconds pause{};
    };
    struct Download {
        BlobRef blob{};
        std::size_t got = 0;               // chunks on disk
        std::deque<std::string> chunks{};  // received, from `got` on
        std::size_t asked = 0;             // the hub was asked for those below
        SteadyTime due{};                  // ask again then
        std::chrono::seconds pause{};
    };
    /// An assignment on its way to the runtime.
    struct Work {
        Assignment assignment{};
        std::string payload{};
        std::optional<Document> document{};
        bool prepared = false;
    };
    enum class Waiting { no, save, append, load, prepare, apply };

    std::optional<Action> next_io(const Moment& now);
    std::optional<Action> next_step();
    std::optional<Action> next_message(const Moment& now);
    Action save(Durable state);
    void desired(std::string payload, const Moment& now);
    void chunk(const ChunkName& name, std::string bytes, const Moment& now);
    void acknowledged(const Ack& ack, const Moment& now);
    void say_hello(SteadyTime when) noexcept;
    void ask_anew() noexcept;
    void choose_work();
    void content_lost();
    void done(Waiting expected) noexcept;
    void set_condition(const std::string& type, std::string reason, std::string message);
    void clear_condition(std::string_view type);
    [[nodiscard]] const BlobRef* missing(const Work& work) const;
    [[nodiscard]] bool complete(std::string_view digest) const;
    [[nodiscard]] Session session() const;
    [[nodiscard]] std::string hello_text(const Moment& now) const;
    [[nodiscard]] SteadyTime within(SteadyTime now, std::chrono::milliseconds spread);

    Config config_;
    Durable durable_;
    std::optional<Assignment> desired_{};  // durable_.desired
    std::optional<Assignment> running_{};  // what the runtime was last told
    std::map<std::string, HeldBlob, std::less<>> held_{};
    std::set<std::string, std::less<>> needed_{};  // blobs of what runs
    bool booted_ = false;                          // durable_.applied has reached the runtime

    Waiting waiting_ = Waiting::no;
    Durable saving_;
    std::optional<std::pair<std::string, Assignment>> accepted_{};  // not yet durable
    bool disputed_ = false;             // the hub means something else by the accepted position
    std::uint64_t session_wanted_ = 0;  // not yet durable
    std::string refusing_{};            // not yet durable
    std::optional<Work> work_{};
    std::optional<Download> download_{};
    SteadyTime retry_at_{};
    std::chrono::seconds retry_pause_{};

    bool online_ = false;
    bool state_due_ = false;
    bool welcome_ = true;
    std::string incarnation_{};
    Repeated hello_;
    Repeated report_;
    bool report_dirty_ = true;
    SteadyTime report_not_before_{};
    std::minstd_rand random_{};

    std::vector<WorkloadReport> workloads_{};
    std::vector<Condition> runtime_conditions_{};
    std::map<std::string, Condition, std::less<>> conditions_{};
};

}  // namespace kled::edge
