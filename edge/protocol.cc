#include "edge/protocol.h"

#include "edge/fields.h"
#include "kube/object.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace kled::edge {

namespace {

constexpr std::size_t id_limit = 64;
constexpr std::size_t name_limit = 253;  // RFC 1123 subdomain, the longest name in Kubernetes
constexpr std::size_t text_limit = 1024;
constexpr std::size_t conditions_limit = 64;
constexpr std::size_t workloads_limit = 512;

constexpr std::array<std::string_view, 8> phases{"Pending", "Downloading", "Verified",   "Applying",
                                                 "Healthy", "Degraded",    "RolledBack", "Refused"};

std::uint64_t seconds_of(WallTime time) {
    const auto seconds =
        std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
    return static_cast<std::uint64_t>(std::max<decltype(seconds)>(0, seconds));
}

WallTime read_time(const Fields& fields, std::string_view key) {
    constexpr std::uint64_t year_2200 = 7'258'118'400;
    return WallTime{std::chrono::seconds{fields.number_or(key, year_2200, 0)}};
}

json::object write(const Session& session) {
    return {{"counter", session.counter}, {"id", session.id}};
}

Session read_session(const Fields& fields) {
    return {.counter = fields.number("counter"), .id = fields.text("id", id_limit)};
}

json::object write(const Position& at) { return {{"epoch", at.epoch}, {"gen", at.gen}}; }

Position read_position(const Fields& message, std::string_view key) {
    if (!message.has(key)) return {};
    const auto fields = message.object(key);
    return {.epoch = fields.number("epoch"), .gen = fields.number("gen")};
}

json::object write(const DeviceClock& clock) {
    return {{"wall", seconds_of(clock.wall)},
            {"mono", std::max<std::int64_t>(0, clock.mono.count())},
            {"synced", clock.synced}};
}

DeviceClock read_clock(const Fields& message) {
    if (!message.has("clock")) return {};
    const auto fields = message.object("clock");
    return {.wall = read_time(fields, "wall"),
            .mono = std::chrono::milliseconds{fields.number_or("mono", INT64_MAX, 0)},
            .synced = fields.flag_or("synced", false)};
}

json::string cut(std::string_view text, std::size_t longest) {
    if (text.size() <= longest) return json::string(text);
    // Not through the middle of a character: back over UTF-8 continuation bytes.
    while (longest > 0 && (static_cast<unsigned char>(text[longest]) & 0xC0U) == 0x80U) --longest;
    return json::string(text.substr(0, longest));
}

std::string bytes_of(json::object object) { return kube::to_json(json::value(std::move(object))); }

}  // namespace

std::optional<unsigned> common_protocol(ProtocolRange a, ProtocolRange b) noexcept {
    const auto highest = std::min(a.max, b.max);
    if (highest < std::max(a.min, b.min)) return std::nullopt;
    return highest;
}

std::string_view to_string(Phase phase) noexcept { return phases[static_cast<std::size_t>(phase)]; }

std::string to_json(const Hello& hello) {
    json::object message{{"protocol", {{"min", hello.protocol.min}, {"max", hello.protocol.max}}},
                         {"agent", hello.agent},
                         {"arch", hello.arch},
                         {"boot_id", hello.boot_id},
                         {"session", write(hello.session)},
                         {"seq", hello.seq},
                         {"have", write(hello.have)},
                         {"digest", hello.digest},
                         {"clock", write(hello.clock)}};
    if (hello.secrets) message["secrets"] = *hello.secrets;
    return bytes_of(std::move(message));
}

Hello parse_hello(std::string_view payload) {
    const auto message = parse_message("hello", payload, message_limit);
    const Fields fields{message, "hello"};
    const auto range = fields.object("protocol");
    Hello hello{
        .protocol = {.min = static_cast<unsigned>(range.number("min", UINT16_MAX)),
                     .max = static_cast<unsigned>(range.number("max", UINT16_MAX))},
        .agent = fields.text("agent", id_limit),
        .arch = fields.text_or("arch", id_limit, ""),
        .boot_id = fields.text_or("boot_id", id_limit, ""),
        .session = read_session(fields.object("session")),
        .seq = fields.number("seq"),
        .have = read_position(fields, "have"),
        .digest = fields.text_or("digest", 64, ""),
        .secrets = std::nullopt,
        .clock = read_clock(fields),
    };
    if (fields.has("secrets")) hello.secrets = fields.text("secrets", 64);
    if (hello.protocol.min > hello.protocol.max) range.fail("min", "is above max");
    return hello;
}

std::string to_json(const Report& report) {
    json::array conditions;
    for (const auto& c : report.conditions) {
        if (conditions.size() == conditions_limit) break;
        conditions.push_back(json::object{{"type", cut(c.type, id_limit)},
                                          {"status", c.status},
                                          {"reason", cut(c.reason, id_limit)},
                                          {"message", cut(c.message, text_limit)}});
    }
    json::object message{{"session", write(report.session)},
                         {"seq", report.seq},
                         {"stored", write(report.stored)},
                         {"observed", write(report.observed)},
                         {"digest", report.digest},
                         {"phase", to_string(report.phase)},
                         {"conditions", std::move(conditions)},
                         {"clock", write(report.clock)}};
    json::array workloads;
    // A JSON string may take six bytes for one; what is left for workloads is counted exactly.
    auto room = message_limit - kube::to_json(json::value(message)).size() - 64;
    for (const auto& w : report.workloads) {
        json::object entry{{"kind", w.kind},         {"namespace", w.ns},
                           {"name", w.name},         {"deployment", w.deployment},
                           {"phase", w.phase},       {"ready", w.ready},
                           {"restarts", w.restarts}, {"message", cut(w.message, text_limit)}};
        const auto size = kube::to_json(json::value(entry)).size() + 1;
        if (size > room || workloads.size() == workloads_limit) break;
        room -= size;
        workloads.push_back(std::move(entry));
    }
    message["workloads"] = std::move(workloads);
    return bytes_of(std::move(message));
}

Report parse_report(std::string_view payload) {
    const auto message = parse_message("report", payload, message_limit);
    const Fields fields{message, "report"};
    Report report{
        .session = read_session(fields.object("session")),
        .seq = fields.number("seq"),
        .stored = read_position(fields, "stored"),
        .observed = read_position(fields, "observed"),
        .digest = fields.text_or("digest", 64, ""),
        .clock = read_clock(fields),
    };
    const auto phase = std::ranges::find(phases, fields.text("phase", id_limit));
    if (phase == phases.end()) fields.fail("phase", "is not one of Pending … Refused");
    report.phase = static_cast<Phase>(phase - phases.begin());

    const auto& conditions = fields.array("conditions", conditions_limit);
    for (std::size_t i = 0; i < conditions.size(); ++i) {
        const auto c = fields.element("conditions", conditions, i);
        report.conditions.push_back({.type = c.text("type", id_limit),
                                     .status = c.flag_or("status", true),
                                     .reason = c.text_or("reason", id_limit, ""),
                                     .message = c.text_or("message", text_limit, "")});
    }
    const auto& workloads = fields.array("workloads", workloads_limit);
    for (std::size_t i = 0; i < workloads.size(); ++i) {
        const auto w = fields.element("workloads", workloads, i);
        report.workloads.push_back({.kind = w.text("kind", id_limit),
                                    .ns = w.text_or("namespace", name_limit, ""),
                                    .name = w.text("name", name_limit),
                                    .deployment = w.text_or("deployment", 2 * name_limit, ""),
                                    .phase = w.text("phase", id_limit),
                                    .ready = w.flag_or("ready", false),
                                    .restarts = w.number_or("restarts", INT64_MAX, 0),
                                    .message = w.text_or("message", text_limit, "")});
    }
    return report;
}

std::string to_json(const Get& get) {
    json::array have;
    for (const auto& [first, count] : get.have) have.push_back(json::array{first, count});
    return bytes_of({{"digest", get.digest}, {"have", std::move(have)}, {"window", get.window}});
}

Get parse_get(std::string_view payload) {
    constexpr std::size_t most_chunks = blob_limit / chunk_bytes;
    const auto message = parse_message("get", payload, message_limit);
    const Fields fields{message, "get"};
    Get get{.digest = fields.digest("digest"),
            .have = {},
            .window = fields.number_or("window", window_limit, window_limit)};
    for (const auto& range : fields.array("have", most_chunks)) {
        const auto* pair = range.if_array();
        std::array<std::uint64_t, 2> values{};
        if (pair == nullptr || pair->size() != 2) fields.fail("have", "must be pairs of numbers");
        for (std::size_t i = 0; i < 2; ++i) {
            boost::system::error_code ec;
            values[i] = (*pair)[i].to_number<std::uint64_t>(ec);
            if (ec || values[i] > most_chunks) fields.fail("have", "a number is out of range");
        }
        get.have.emplace_back(values[0], values[1]);
    }
    return get;
}

std::string to_json(const State& state) {
    return bytes_of(
        {{"state", state.online ? "online" : "offline"}, {"session", write(state.session)}});
}

State parse_state(std::string_view payload) {
    const auto message = parse_message("state", payload, message_limit);
    const Fields fields{message, "state"};
    const auto state = fields.text("state", id_limit);
    if (state != "online" && state != "offline")
        fields.fail("state", "is neither online nor offline");
    return {.online = state == "online", .session = read_session(fields.object("session"))};
}

std::string to_json(const Ack& ack) {
    return bytes_of({{"session", write(ack.session)},
                     {"hello", ack.hello},
                     {"seq", ack.seq},
                     {"protocol", ack.protocol},
                     {"refused", cut(ack.refused, text_limit)},
                     {"time", seconds_of(ack.time)}});
}

Ack parse_ack(std::string_view payload) {
    const auto message = parse_message("ack", payload, message_limit);
    const Fields fields{message, "ack"};
    return {.session = read_session(fields.object("session")),
            .hello = fields.number("hello"),
            .seq = fields.number("seq"),
            .protocol = static_cast<unsigned>(fields.number("protocol", UINT16_MAX)),
            .refused = fields.text_or("refused", text_limit, ""),
            .time = read_time(fields, "time")};
}

std::string to_json(const HubNotice& notice) {
    return bytes_of({{"epoch", notice.epoch},
                     {"incarnation", notice.incarnation},
                     {"spread_ms", notice.spread.count()}});
}

HubNotice parse_hub_notice(std::string_view payload) {
    constexpr std::uint64_t ten_minutes = 600'000;
    const auto message = parse_message("hub", payload, message_limit);
    const Fields fields{message, "hub"};
    return {.epoch = fields.number("epoch"),
            .incarnation = fields.text("incarnation", id_limit),
            .spread = std::chrono::milliseconds{fields.number_or("spread_ms", ten_minutes, 0)}};
}

std::string chunk_leaf(std::string_view digest, std::size_t index) {
    return std::string{"blob/"}.append(digest).append(".").append(std::to_string(index));
}

std::optional<ChunkName> parse_chunk_leaf(std::string_view leaf) noexcept {
    constexpr std::string_view prefix = "blob/";
    constexpr std::size_t digits = 64;
    if (!leaf.starts_with(prefix) || leaf.size() < prefix.size() + digits + 2 ||
        leaf[prefix.size() + digits] != '.')
        return std::nullopt;
    ChunkName name{.digest = leaf.substr(prefix.size(), digits)};
    const auto number = leaf.substr(prefix.size() + digits + 1);
    const auto [end, error] =
        std::from_chars(number.data(), number.data() + number.size(), name.index);
    if (error != std::errc{} || end != number.data() + number.size()) return std::nullopt;
    return name;
}

}  // namespace kled::edge
