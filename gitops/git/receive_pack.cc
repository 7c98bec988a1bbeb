#include "gitops/git/receive_pack.h"

#include "base/error.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace kled::gitops::git {

namespace {

constexpr std::size_t header = 4;
constexpr std::size_t packet_limit = 65'520;
constexpr std::size_t said_limit = 1024;
constexpr std::string_view zero = "0000000000000000000000000000000000000000";

std::string without_newline(std::string text) {
    while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
    return text;
}

/// One line for a message, without what a terminal would act on.
std::string readable(std::string_view text) {
    std::string result{text.substr(0, said_limit)};
    for (auto& c : result) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
    }
    while (result.ends_with(' ')) result.pop_back();
    return result;
}

Error refused(const std::string& what) { return {ErrorKind::denied, what}; }

std::set<std::string> words_of(std::string_view text) {
    std::set<std::string> result;
    while (!text.empty()) {
        const auto end = std::min(text.find(' '), text.size());
        if (end > 0) result.emplace(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return result;
}

/// Takes the bands of a server's answer apart: the report comes back, what it says to people is
/// kept in `said`.
class SideBand {
public:
    explicit SideBand(PacketReader& packets) : packets_{packets} {}

    std::size_t read(char* buffer, std::size_t size) {
        while (at_ == report_.size()) {
            auto packet = packets_.next();
            if (!packet) return 0;
            const auto band = packet->empty() ? '\0' : packet->front();
            if (band == '\3') throw refused("the server ends the push: " + readable(*packet));
            if (band == '\2') {
                const auto room = said_limit - std::min(said.size(), said_limit);
                said += packet->substr(1, room);
            } else if (band == '\1') {
                report_ = packet->substr(1);
                at_ = 0;
            } else {
                throw Error{ErrorKind::invalid, "the server's report is none"};
            }
        }
        const auto count = std::min(size, report_.size() - at_);
        report_.copy(buffer, count, at_);
        at_ += count;
        return count;
    }

    std::string said;

private:
    PacketReader& packets_;
    std::string report_;
    std::size_t at_ = 0;
};

/// Of a reference that the server did not change.
Error refusal(const std::string& name, const std::string& reason, const std::string& said) {
    // What git-receive-pack says when someone else was faster; others have their own words.
    constexpr std::array moved{"non-fast-forward", "fetch first",    "failed to update ref",
                               "cannot lock ref",  "already exists", "stale info",
                               "incorrect old",    "failed to lock"};
    const bool conflict = std::ranges::any_of(
        moved, [&](const char* words) { return reason.find(words) != std::string::npos; });
    auto text = "the server does not change " + name + ": " + readable(reason);
    if (!said.empty()) text += " (" + readable(said) + ")";
    return {conflict ? ErrorKind::conflict : ErrorKind::denied, text};
}

}  // namespace

bool PacketReader::fill(char* buffer, std::size_t size) {
    std::size_t have = 0;
    while (have < size) {
        const auto count = read_(buffer + have, size - have);
        if (count == 0) {
            if (have == 0) return false;
            throw Error{ErrorKind::unavailable, "the server's answer ends within a line"};
        }
        have += count;
    }
    return true;
}

std::optional<std::string> PacketReader::next() {
    std::array<char, header> digits{};
    if (ended_ || !fill(digits.data(), digits.size())) {
        ended_ = true;
        return std::nullopt;
    }
    std::size_t length = 0;
    const auto* end = digits.data() + digits.size();
    if (std::from_chars(digits.data(), end, length, 16).ptr != end || length > packet_limit ||
        (length > 0 && length < header)) {
        throw Error{ErrorKind::invalid, "the server's answer is not Git's protocol"};
    }
    if (length == 0) return std::nullopt;
    std::string content(length - header, '\0');
    if (!content.empty() && !fill(content.data(), content.size()))
        throw Error{ErrorKind::unavailable, "the server's answer ends within a line"};
    return content;
}

std::string packet(std::string_view content) {
    constexpr std::string_view hex = "0123456789abcdef";
    const auto length = content.size() + header;
    if (length > packet_limit)
        throw Error{ErrorKind::exhausted, "a line for the server is too long"};
    std::string result;
    for (int shift = 12; shift >= 0; shift -= 4) result += hex[(length >> shift) & 15U];
    return result + std::string{content};
}

Advertisement Advertisement::read(PacketReader& packets, bool announced) {
    Advertisement result;
    if (announced) {
        auto line = packets.next();
        if (!line || !line->starts_with("# service=git-receive-pack"))
            throw Error{ErrorKind::invalid, "the server does not offer git-receive-pack"};
        while (packets.next()) {
        }
    }
    bool first = true;
    while (auto line = packets.next()) {
        auto text = without_newline(std::move(*line));
        if (text.starts_with("ERR ")) throw refused("the server says: " + readable(text.substr(4)));
        if (text.starts_with("version ") || text.starts_with("shallow ")) continue;
        if (const auto nul = text.find('\0'); nul != std::string::npos) {
            if (first) result.capabilities = words_of(std::string_view{text}.substr(nul + 1));
            text.resize(nul);
        }
        first = false;
        const auto oid = Oid::parse(std::string_view{text}.substr(0, zero.size()));
        if (!oid || text.size() < zero.size() + 2 || text[zero.size()] != ' ')
            throw Error{ErrorKind::invalid, "the server's list of references is none"};
        const auto name = text.substr(zero.size() + 1);
        if (*oid == Oid{}) continue;  // "capabilities^{}" of an empty repository
        if (result.references.size() == reference_limit)
            throw Error{ErrorKind::exhausted, "the server has too many references"};
        result.references.emplace(name, *oid);
    }
    if (first && packets.ended())
        throw Error{ErrorKind::unavailable, "the server ended before it listed its references"};
    for (const auto& capability : result.capabilities) {
        if (capability.starts_with("object-format=") && capability != "object-format=sha1")
            throw Error{ErrorKind::invalid, "the repository is not one of SHA-1: " + capability};
    }
    return result;
}

std::string push_request(const Advertisement& server, const ReferenceUpdate& update,
                         const std::vector<std::string>& options) {
    if (!options.empty() && !server.capabilities.contains("push-options"))
        throw Error{ErrorKind::invalid, "the server takes no push options (spec.git.push.options)"};
    std::string capabilities = "report-status agent=git/kled";
    if (server.capabilities.contains("side-band-64k")) capabilities += " side-band-64k";
    if (!options.empty()) capabilities += " push-options";
    auto result = packet(update.from.hex() + " " + update.to.hex() + " " + update.name +
                         std::string(1, '\0') + capabilities);
    result += flush_packet;
    if (options.empty()) return result;
    for (const auto& option : options) {
        if (option.find_first_of(std::string_view{"\n\0", 2}) != std::string::npos)
            throw Error{ErrorKind::invalid, "spec.git.push.options: a line break in an option"};
        result += packet(option);
    }
    return result += flush_packet;
}

void read_report(PacketReader& packets, const Advertisement& server, const std::string& name) {
    SideBand band{packets};
    const bool banded = server.capabilities.contains("side-band-64k");
    PacketReader inner{[&](char* buffer, std::size_t size) { return band.read(buffer, size); }};
    auto& report = banded ? inner : packets;
    bool unpacked = false;
    std::optional<std::string> answer;
    while (auto line = report.next()) {
        const auto text = without_newline(std::move(*line));
        if (text == "unpack ok") {
            unpacked = true;
        } else if (text.starts_with("unpack ")) {
            throw Error{ErrorKind::unavailable,
                        "the server could not keep what was sent: " + readable(text.substr(7)) +
                            (band.said.empty() ? "" : " (" + readable(band.said) + ")")};
        } else if (text == "ok " + name) {
            answer = std::string{};
        } else if (text.starts_with("ng " + name + " ")) {
            answer = text.substr(name.size() + 4);
        }
    }
    if (banded) {
        while (!packets.ended() && packets.next()) {  // what it says after its report
        }
    }
    if (answer && !answer->empty()) throw refusal(name, *answer, band.said);
    if (!unpacked || !answer) {
        throw Error{ErrorKind::unavailable,
                    "the server did not say what became of the push" +
                        (band.said.empty() ? "" : ": " + readable(band.said))};
    }
}

}  // namespace kled::gitops::git
