#include "edge/device.h"

#include "base/error.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace kled::edge {

using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr seconds first_pause{2};
constexpr seconds longest_pause{60};
constexpr seconds refused_pause{600};    // a hub that cannot speak to us is asked again then
constexpr seconds chunk_pause{10};       // without any chunk, ask again
constexpr seconds first_retry{5};        // after a full disk
constexpr milliseconds report_gap{200};  // several changes at once make one report

seconds longer(seconds pause) {
    return pause == seconds{0} ? first_pause : std::min(pause * 2, longest_pause);
}

}  // namespace

Device::Device(Config config, Durable durable, const std::vector<HeldBlob>& held)
    : config_{std::move(config)}, durable_{std::move(durable)}, random_{config_.seed} {
    if (!durable_.desired.empty())
        desired_ = verify_assignment(durable_.desired, config_.trust, std::nullopt);
    if (!durable_.refused.empty()) set_condition("Refused", "ContentRefused", durable_.refused);
    for (const auto& blob : held) held_.emplace(blob.digest, blob);
    booted_ = durable_.applied.empty();
    choose_work();
}

// --- What to do

std::optional<Device::Action> Device::next(const Moment& now) {
    if (auto action = next_message(now)) return action;
    if (auto action = next_io(now)) return action;
    return next_message(now);  // a download may have begun
}

std::optional<Device::Action> Device::next_message(const Moment& now) {
    if (!online_) return std::nullopt;
    if (std::exchange(state_due_, false)) {
        return Send{.leaf = "state",
                    .payload = to_json(State{.online = true, .session = session()}),
                    .retain = true};
    }
    if (disputed_ && !accepted_) {
        disputed_ = false;
        say_hello(now.steady);
    }
    if (hello_.due <= now.steady) {
        hello_.pause = welcome_ ? longer(hello_.pause) : refused_pause;
        hello_.due = now.steady + hello_.pause;
        return Send{.leaf = "hello", .payload = hello_text(now)};
    }
    // A hub that has not answered the hello would not hear the rest either.
    if (hello_.acknowledged < hello_.seq || !welcome_) return std::nullopt;
    if (report_dirty_ && report_not_before_ <= now.steady) {
        report_dirty_ = false;
        ++report_.seq;
        report_.pause = seconds{0};
        report_.due = now.steady;
        report_not_before_ = now.steady + report_gap;
    }
    if (report_.seq > report_.acknowledged && report_.due <= now.steady) {
        report_.pause = longer(report_.pause);
        report_.due = now.steady + report_.pause;
        return Send{.leaf = "report", .payload = to_json(report(now))};
    }
    if (download_ && retry_at_ <= now.steady) {
        auto& d = *download_;
        const auto have = d.got + d.chunks.size();
        const bool next_window = have == d.asked;
        if (have < d.blob.chunks() && (next_window || d.due <= now.steady)) {
            d.pause = next_window ? chunk_pause : std::min(d.pause * 2, longest_pause);
            d.due = now.steady + d.pause;
            d.asked = std::min(have + window_limit, d.blob.chunks());
            Get get{.digest = d.blob.digest, .have = {}, .window = window_limit};
            if (have > 0) get.have.emplace_back(0, have);
            return Send{.leaf = "get", .payload = to_json(get)};
        }
    }
    return std::nullopt;
}

std::optional<Device::Action> Device::next_io(const Moment& now) {
    if (waiting_ != Waiting::no || retry_at_ > now.steady) return std::nullopt;
    if (session_wanted_ > durable_.session) {
        auto state = durable_;
        state.session = session_wanted_;
        return save(std::move(state));
    }
    if (accepted_) {
        auto state = durable_;
        state.desired = accepted_->first;
        state.refused.clear();
        return save(std::move(state));
    }
    if (!refusing_.empty()) {
        auto state = durable_;
        state.refused = refusing_;
        return save(std::move(state));
    }
    if (download_ && !download_->chunks.empty()) {
        waiting_ = Waiting::append;
        return Append{.blob = download_->blob,
                      .offset = download_->got * chunk_bytes,
                      .bytes = download_->chunks.front(),
                      .last = download_->got + 1 == download_->blob.chunks()};
    }
    return next_step();
}

std::optional<Device::Action> Device::next_step() {
    if (!work_) {
        // Nothing is on its way: what neither runs nor is wanted may go.
        const auto unneeded = std::ranges::find_if(
            held_, [this](const auto& entry) { return !needed_.contains(entry.first); });
        if (!booted_ || unneeded == held_.end()) return std::nullopt;
        auto digest = unneeded->first;
        held_.erase(unneeded);
        return Drop{.digest = std::move(digest)};
    }
    if (const auto* blob = missing(*work_)) {
        if (!download_ || download_->blob.digest != blob->digest) {
            const auto part = held_.find(blob->digest);
            const auto got = part == held_.end() ? 0 : part->second.bytes / chunk_bytes;
            // The last chunk is written and checked in one step, so a part never has all.
            download_.emplace(Download{.blob = *blob, .got = std::min(got, blob->chunks() - 1)});
            download_->asked = download_->got;
        }
        return std::nullopt;
    }
    download_.reset();
    if (!work_->document) {
        waiting_ = Waiting::load;
        return Load{.blob = work_->assignment.document};
    }
    if (!work_->prepared) {
        waiting_ = Waiting::prepare;
        return Prepare{.assignment = work_->assignment, .document = *work_->document};
    }
    if (durable_.applied != work_->payload) {
        auto state = durable_;
        state.applied = work_->payload;
        return save(std::move(state));
    }
    waiting_ = Waiting::apply;
    return Apply{};
}

Device::Action Device::save(Durable state) {
    waiting_ = Waiting::save;
    saving_ = state;
    return Save{.state = std::move(state)};
}

SteadyTime Device::wake_at() const noexcept {
    auto at = SteadyTime::max();
    if (waiting_ == Waiting::no && retry_at_ > SteadyTime{}) at = std::min(at, retry_at_);
    if (!online_) return at;
    at = std::min(at, hello_.due);
    if (hello_.acknowledged < hello_.seq || !welcome_) return at;
    if (report_dirty_) at = std::min(at, report_not_before_);
    if (report_.seq > report_.acknowledged) at = std::min(at, report_.due);
    if (download_) at = std::min(at, std::max(download_->due, retry_at_));
    return at;
}

// --- The connection

void Device::connected(const Moment& now) {
    online_ = true;
    state_due_ = true;
    incarnation_.clear();
    say_hello(now.steady);
    ask_anew();  // what was asked for on the connection before will not come
}

void Device::disconnected() noexcept {
    online_ = false;
    hello_.due = SteadyTime::max();
}

void Device::say_hello(SteadyTime when) noexcept {
    ++hello_.seq;
    hello_.pause = seconds{0};
    hello_.due = when;
}

void Device::hub_notice(std::string_view payload, const Moment& now) {
    HubNotice notice;
    try {
        notice = parse_hub_notice(payload);
    } catch (const Error&) {
        return;  // a nudge and no more: the hello is repeated anyway
    }
    const bool known = notice.incarnation == incarnation_;
    const bool first = incarnation_.empty();
    incarnation_ = notice.incarnation;
    // Right after connecting a hello is on its way; if it was sent before the hub listened, the
    // notice comes a second time, with another incarnation.
    if (known || (first && hello_.acknowledged < hello_.seq && hello_.pause == seconds{0})) return;
    say_hello(within(now.steady, notice.spread));
    // The hub before it had our questions, and took them along.
    ask_anew();
}

void Device::ask_anew() noexcept {
    if (download_) download_->asked = download_->got + download_->chunks.size();
}

SteadyTime Device::within(SteadyTime now, milliseconds spread) {
    if (spread <= milliseconds{0}) return now;
    return now +
           milliseconds{std::uniform_int_distribution<std::int64_t>{0, spread.count()}(random_)};
}

// --- Messages

void Device::message(std::string_view leaf, std::string payload, const Moment& now) {
    try {
        if (leaf == "desired") {
            if (!payload.empty()) desired(std::move(payload), now);
        } else if (leaf == "ack") {
            acknowledged(parse_ack(payload), now);
        } else if (const auto name = parse_chunk_leaf(leaf)) {
            chunk(*name, std::move(payload), now);
        }
    } catch (const Error& error) {
        set_condition(leaf == "desired" ? "AssignmentRefused" : "MessageRefused",
                      error.kind() == ErrorKind::denied ? "NotTrusted" : "NotUnderstood",
                      error.what());
    }
}

void Device::desired(std::string payload, const Moment& now) {
    const auto judged =
        now.clock.synced ? std::optional<WallTime>{now.clock.wall} : std::optional<WallTime>{};
    auto assignment = verify_assignment(payload, config_.trust, judged);
    clear_condition("AssignmentRefused");
    const auto& accepted = accepted_ ? std::optional{accepted_->second} : desired_;
    if (accepted && assignment.at <= accepted->at) {
        // The same again, or one from before: the broker keeps what it likes. Or the hub lost its
        // memory and gives a number for the second time; once it knows, it takes a higher one.
        disputed_ = assignment.at == accepted->at && (assignment.document != accepted->document ||
                                                      assignment.secrets != accepted->secrets);
        return;
    }
    accepted_.emplace(std::move(payload), std::move(assignment));
    retry_at_ = {};
}

void Device::acknowledged(const Ack& ack, const Moment& now) {
    clear_condition("MessageRefused");
    if (ack.session != session()) {
        // The hub knows a later start than this one: our disk went back in time, or a second
        // device has our name. The newest start wins, so become it.
        if (ack.session.counter >= durable_.session)
            session_wanted_ = std::max(session_wanted_, ack.session.counter + 1);
        return;
    }
    hello_.acknowledged = std::max(hello_.acknowledged, std::min(ack.hello, hello_.seq));
    report_.acknowledged = std::max(report_.acknowledged, std::min(ack.seq, report_.seq));
    welcome_ = ack.refused.empty();
    if (!welcome_) {
        set_condition("HubRefuses", "Refused", ack.refused);
        hello_.due = now.steady + refused_pause;
        return;
    }
    clear_condition("HubRefuses");
    if (hello_.acknowledged == hello_.seq) hello_.due = SteadyTime::max();
}

void Device::chunk(const ChunkName& name, std::string bytes, const Moment& now) {
    if (!download_ || name.digest != download_->blob.digest) return;
    auto& d = *download_;
    const auto expected = d.got + d.chunks.size();
    // The broker keeps the order of one sender, so another index is a repetition, or one after a
    // loss; the rest is asked for again.
    if (name.index != expected || d.chunks.size() == window_limit) return;
    const bool last = expected + 1 == d.blob.chunks();
    const auto size = last ? d.blob.wire - expected * chunk_bytes : chunk_bytes;
    if (bytes.size() != size) return;
    d.chunks.push_back(std::move(bytes));
    d.asked = std::max(d.asked, expected + 1);
    d.pause = chunk_pause;
    d.due = now.steady + d.pause;
}

// --- Answers

void Device::done([[maybe_unused]] Waiting expected) noexcept {
    assert(waiting_ == expected);
    waiting_ = Waiting::no;
    retry_pause_ = seconds{0};
    retry_at_ = {};
}

void Device::saved() {
    done(Waiting::save);
    clear_condition("StorageFailed");
    const auto before = std::exchange(durable_, std::move(saving_));
    report_dirty_ = true;
    if (durable_.session != before.session) {
        // A new session counts from the start.
        hello_ = {};
        report_ = {};
        if (online_) {
            state_due_ = true;
            say_hello(SteadyTime{});
        }
    }
    if (accepted_ && durable_.desired == accepted_->first) {
        desired_ = std::move(accepted_->second);
        accepted_.reset();
        refusing_.clear();
        clear_condition("Refused");
        if (booted_) {
            work_.reset();
            download_.reset();
        }
    }
    if (!refusing_.empty() && durable_.refused == refusing_) refusing_.clear();
    choose_work();
}

void Device::choose_work() {
    if (work_) return;
    if (!booted_) {
        work_.emplace(
            Work{.assignment = verify_assignment(durable_.applied, config_.trust, std::nullopt),
                 .payload = durable_.applied});
        if (missing(*work_) != nullptr) content_lost();
        return;
    }
    const bool runs = running_ && desired_ && running_->at == desired_->at;
    if (!desired_ || runs || !durable_.refused.empty() || !refusing_.empty()) return;
    work_.emplace(Work{.assignment = *desired_, .payload = durable_.desired});
}

const BlobRef* Device::missing(const Work& work) const {
    if (!complete(work.assignment.document.digest)) return &work.assignment.document;
    if (work.document) {
        for (const auto& bundle : work.document->bundles)
            if (!complete(bundle.blob.digest)) return &bundle.blob;
    }
    if (work.assignment.secrets && !complete(work.assignment.secrets->digest))
        return &*work.assignment.secrets;
    return nullptr;
}

bool Device::complete(std::string_view digest) const {
    const auto held = held_.find(digest);
    return held != held_.end() && held->second.complete;
}

void Device::appended() {
    done(Waiting::append);
    clear_condition("StorageFailed");
    auto& d = *download_;
    d.chunks.pop_front();
    ++d.got;
    auto& held = held_[d.blob.digest];
    held = {.digest = d.blob.digest,
            .bytes = std::min(d.got * chunk_bytes, d.blob.wire),
            .complete = d.got == d.blob.chunks()};
    if (held.complete) {
        clear_condition("ContentCorrupt");
        download_.reset();
        report_dirty_ = true;
    }
}

void Device::corrupt(const std::string& digest, const std::string& why, const Moment& now) {
    held_.erase(digest);
    download_.reset();
    failed("ContentCorrupt", why, now);
    if (!booted_) content_lost();
}

void Device::content_lost() {
    set_condition("ContentLost", "BlobsMissing",
                  "content of what was applied is not on this device any more; it will be fetched "
                  "again");
    work_.reset();
    booted_ = true;
    choose_work();
}

void Device::loaded(std::string_view plain) {
    done(Waiting::load);
    try {
        work_->document = parse_document(plain, config_.trust);
    } catch (const Error& error) {
        refuse(error.what());
        return;
    }
    if (!booted_ && missing(*work_) != nullptr) content_lost();
}

void Device::prepared() {
    done(Waiting::prepare);
    work_->prepared = true;
    report_dirty_ = true;
}

void Device::applied() {
    done(Waiting::apply);
    clear_condition("RuntimeFailed");
    clear_condition("ContentLost");
    needed_ = {work_->assignment.document.digest};
    for (const auto& bundle : work_->document->bundles) needed_.insert(bundle.blob.digest);
    if (work_->assignment.secrets) needed_.insert(work_->assignment.secrets->digest);
    running_ = std::move(work_->assignment);
    work_.reset();
    booted_ = true;
    report_dirty_ = true;
    choose_work();
}

void Device::refuse(const std::string& why) {
    waiting_ = Waiting::no;
    set_condition("Refused", "ContentRefused", why);
    work_.reset();
    download_.reset();
    if (booted_) {
        refusing_ = why.empty() ? "refused" : why;
    } else {
        // What ran before cannot be read any more; what is desired may be better.
        booted_ = true;
        choose_work();
    }
}

void Device::failed(const std::string& reason, const std::string& why, const Moment& now) {
    const auto* type = waiting_ == Waiting::apply || waiting_ == Waiting::prepare ? "RuntimeFailed"
                                                                                  : "StorageFailed";
    if (reason == "ContentCorrupt") type = "ContentCorrupt";
    waiting_ = Waiting::no;
    if (download_) download_->chunks.clear();
    ask_anew();
    set_condition(type, reason, why);
    retry_pause_ =
        retry_pause_ == seconds{0} ? first_retry : std::min(retry_pause_ * 2, longest_pause);
    retry_at_ = now.steady + retry_pause_;
}

void Device::observed(std::vector<WorkloadReport> workloads, std::vector<Condition> conditions) {
    if (workloads == workloads_ && conditions == runtime_conditions_) return;
    workloads_ = std::move(workloads);
    runtime_conditions_ = std::move(conditions);
    report_dirty_ = true;
}

// --- What is said

void Device::set_condition(const std::string& type, std::string reason, std::string message) {
    Condition condition{
        .type = type, .status = true, .reason = std::move(reason), .message = std::move(message)};
    auto& held = conditions_[type];
    if (held == condition) return;
    held = std::move(condition);
    report_dirty_ = true;
}

void Device::clear_condition(std::string_view type) {
    const auto held = conditions_.find(type);
    if (held == conditions_.end()) return;
    conditions_.erase(held);
    report_dirty_ = true;
}

Session Device::session() const { return {.counter = durable_.session, .id = config_.session_id}; }

Phase Device::phase() const {
    if (!durable_.refused.empty() || !refusing_.empty()) return Phase::refused;
    if (work_) {
        if (work_->prepared || !booted_) return Phase::applying;
        return missing(*work_) != nullptr || !work_->document ? Phase::downloading
                                                              : Phase::verified;
    }
    if (accepted_) return Phase::downloading;
    if (!running_) return Phase::pending;
    const bool failing = std::ranges::any_of(
        workloads_, [](const auto& w) { return w.phase == "Failed" || w.phase == "Refused"; });
    if (failing || !runtime_conditions_.empty()) return Phase::degraded;
    const bool ready = std::ranges::all_of(workloads_, [](const auto& w) { return w.ready; });
    return ready ? Phase::healthy : Phase::applying;
}

Report Device::report(const Moment& now) const {
    Report report{.session = session(),
                  .seq = report_.seq,
                  .stored = {},
                  .observed = running_ ? running_->at : Position{},
                  .digest = running_ ? running_->document.digest : std::string{},
                  .phase = phase(),
                  .conditions = runtime_conditions_,
                  .workloads = workloads_,
                  .clock = now.clock};
    if (work_ && booted_ && work_->document && missing(*work_) == nullptr)
        report.stored = work_->assignment.at;
    else if (running_)
        report.stored = running_->at;
    for (const auto& [type, condition] : conditions_) report.conditions.push_back(condition);
    return report;
}

std::string Device::hello_text(const Moment& now) const {
    return to_json(
        Hello{.protocol = config_.protocol,
              .agent = config_.agent,
              .arch = config_.arch,
              .boot_id = config_.boot_id,
              .session = session(),
              .seq = hello_.seq,
              .have = desired_ ? desired_->at : Position{},
              .digest = desired_ ? desired_->document.digest : std::string{},
              .secrets = desired_ && desired_->secrets ? desired_->secrets->digest : std::string{},
              .clock = now.clock});
}

}  // namespace kled::edge
