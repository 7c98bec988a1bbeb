/// The client's side of git-receive-pack(1), protocol version 0 (gitprotocol-pack(5)): libgit2 1.5
/// sends no push options, and does not tell a branch that moved from any other refusal. Included by
/// the sources of this folder only.
#pragma once

#include "gitops/git/revision.h"

#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace kled::gitops::git {

/// Fills at most `size` bytes, at least one; 0 at the end. May throw.
using ReadBytes = std::function<std::size_t(char* buffer, std::size_t size)>;

/// Lines as Git frames them. Error(invalid) for what is none, and for an end within one.
class PacketReader {
public:
    explicit PacketReader(ReadBytes read) : read_{std::move(read)} {}

    /// nullopt: a flush packet, or the end.
    [[nodiscard]] std::optional<std::string> next();
    [[nodiscard]] bool ended() const noexcept { return ended_; }

private:
    bool fill(char* buffer, std::size_t size);

    ReadBytes read_;
    bool ended_ = false;
};

[[nodiscard]] std::string packet(std::string_view content);
inline constexpr std::string_view flush_packet = "0000";

/// What the server has, before anything is sent.
struct Advertisement {
    static constexpr std::size_t reference_limit = 500'000;
    std::map<std::string, Oid> references;
    std::set<std::string> capabilities;  ///< "side-band-64k", "push-options"

    /// `announced`: over HTTP, a line with the name of the service comes first. Error(invalid),
    /// Error(exhausted); Error(denied) with what the server says instead of an answer.
    static Advertisement read(PacketReader& packets, bool announced);
};

/// One reference that is asked to change from `from` to `to`.
struct ReferenceUpdate {
    std::string name;
    Oid from;  ///< all zero: it is made
    Oid to;
};

/// What comes before the pack. Error(invalid) when `options` are given and the server takes none.
[[nodiscard]] std::string push_request(const Advertisement& server, const ReferenceUpdate& update,
                                       const std::vector<std::string>& options);

/// Reads what became of it. Error(conflict): the reference is not what it was; Error(denied): the
/// server or a hook of its refuses, with what it says; Error(unavailable): it could not.
void read_report(PacketReader& packets, const Advertisement& server, const std::string& name);

}  // namespace kled::gitops::git
