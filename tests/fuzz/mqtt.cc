/// Lines of "<leaf> <payload>", as they come from a broker: to the hub, which reads messages, and
/// to a device. `sign` is a document that the fleet's keys put into an assignment, so that the
/// device goes on to fetch and apply it; `plain` is content behind a digest that was right.
#include "base/error.h"
#include "edge/bundle.h"
#include "edge/device.h"
#include "edge/enrolment.h"
#include "edge/names.h"
#include "edge/protocol.h"
#include "edge/trust.h"
#include "tests/fuzz/target.h"

#include <algorithm>
#include <map>
#include <string>
#include <variant>

namespace {

using namespace kled;
using namespace kled::edge;

const crypto::SigningKey& delivery() {
    static const auto key = crypto::SigningKey::generate();
    return key;
}

const crypto::SigningKey& hub() {
    static const auto key = crypto::SigningKey::generate();
    return key;
}

constexpr auto far = WallTime{std::chrono::seconds{4'000'000'000}};

const HubCertificate& certificate() {
    static const auto made = certify_hub(delivery(), "lab", hub().verifying_key(), far);
    return made;
}

Trust trust() { return {"lab", "d1", delivery().verifying_key()}; }

template <typename Parse>
bool read(std::string_view payload, Parse parse) {
    try {
        const auto text = to_json(parse(payload));
        if (to_json(parse(text)) != text) fuzz::broken("a message comes back as another", text);
        return true;
    } catch (const Error&) {
        return false;
    }
}

bool read_message(std::string_view leaf, std::string_view payload) {
    if (leaf == "hello") return read(payload, parse_hello);
    if (leaf == "report") return read(payload, parse_report);
    if (leaf == "get") return read(payload, parse_get);
    if (leaf == "state") return read(payload, parse_state);
    if (leaf == "ack") return read(payload, parse_ack);
    if (leaf == "hub") return read(payload, parse_hub_notice);
    if (leaf == "renew") return read(payload, parse_renewal_request);
    if (leaf == "certificate") {
        try {
            static_cast<void>(verify_renewal(payload, trust()));
            return true;
        } catch (const Error&) {
            return false;
        }
    }
    return false;
}

bool read_plain(std::string_view payload) {
    bool taken = false;
    try {
        (void)parse_bundle(payload, "web/app");
        taken = true;
    } catch (const Error&) {
    }
    try {
        (void)parse_document(payload, trust());
        taken = true;
    } catch (const Error&) {
    }
    static const auto identity = crypto::Identity::generate();
    try {
        (void)open_secrets(payload, "d1", {1, 1}, identity);
        taken = true;
    } catch (const Error&) {
    }
    return taken;
}

/// A device whose disk and runtime do at once what they are told.
class Simulation {
public:
    Simulation() { device_.connected(now_); }

    void message(std::string_view leaf, std::string_view payload) {
        if (leaf == "hub") {
            device_.hub_notice(payload, now_);
        } else {
            device_.message(leaf, std::string{payload}, now_);
        }
        settle();
    }

    void sign(std::string_view document) {
        const auto blob = pack(document);
        offered_[blob.ref.digest] = {blob, std::string{document}};
        const Assignment assignment{.fleet = "lab",
                                    .device = "d1",
                                    .at = {1, ++generation_},
                                    .document = blob.ref,
                                    .secrets = std::nullopt,
                                    .not_before = WallTime{},
                                    .expires = far};
        message("desired", sign_assignment(assignment, hub(), certificate()));
        for (std::size_t i = 0; i * chunk_bytes < blob.wire.size(); ++i) {
            message("blob/" + chunk_leaf(blob.ref.digest, i),
                    blob.wire.substr(i * chunk_bytes, chunk_bytes));
        }
    }

    [[nodiscard]] bool has_applied() const noexcept { return applied_; }

private:
    void settle() {
        for (int step = 0; step != 10'000; ++step) {
            auto action = device_.next(now_);
            if (!action) return;
            std::visit([this](const auto& what) { carry_out(what); }, *action);
        }
        fuzz::broken("a device does not come to rest", "");
    }
    void carry_out(const Device::Send&) {}
    void carry_out(const Device::Drop&) {}
    void carry_out(const Device::Save&) { device_.saved(); }
    void carry_out(const Device::Append&) { device_.appended(); }
    void carry_out(const Device::Load& load) {
        const auto found = offered_.find(load.blob.digest);
        if (found == offered_.end()) return device_.corrupt(load.blob.digest, "lost", now_);
        device_.loaded(found->second.second);
    }
    void carry_out(const Device::Prepare&) { device_.prepared(); }
    void carry_out(const Device::Apply&) {
        applied_ = true;
        device_.applied();
    }

    Moment now_{.steady = SteadyTime{} + std::chrono::hours{1},
                .clock = {.wall = WallTime{std::chrono::seconds{1'795'000'000}}, .synced = true}};
    Device device_{
        {.trust = trust(), .agent = "0.1.0", .arch = "x86_64", .boot_id = "b", .session_id = "s"},
        {.session = 1},
        {}};
    std::map<std::string, std::pair<Blob, std::string>> offered_;
    std::uint64_t generation_ = 0;
    bool applied_ = false;
};

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    auto text = fuzz::text_of(data, size);
    Simulation device;
    bool taken = false;
    for (int lines = 0; !text.empty() && lines != 100; ++lines) {
        const auto line = fuzz::take_line(text);
        const auto leaf = line.substr(0, line.find(' '));
        const auto payload = line.substr(std::min(leaf.size() + 1, line.size()));
        (void)parse_up_topic("lab", leaf);
        (void)parse_down_topic("lab", "d1", leaf);
        if (leaf == "sign") {
            device.sign(payload);
        } else if (leaf == "plain") {
            taken |= read_plain(payload);
        } else {
            taken |= read_message(leaf, payload);
            device.message(leaf, payload);
        }
    }
    if (taken || device.has_applied()) fuzz::accepted();
    return 0;
}
