/// A commit of ours on top of one that was fetched, and its way to the server.
#pragma once

#include "gitops/git/access.h"
#include "gitops/git/mirror.h"
#include "gitops/git/push.h"
#include "gitops/git/revision.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace kled::gitops::git {

struct Author {
    std::string name;  ///< empty: the address
    std::string email;
};

/// Blocking, and used from one thread; nobody fetches into the mirror meanwhile. What is written
/// stays in memory: after the push the server has it, and it is fetched like everything else.
class Change {
public:
    static constexpr std::size_t entry_limit = 1'000'000;  ///< looked at below one folder

    /// Error(unavailable) when the commit is not in the mirror.
    Change(Mirror& mirror, const Revision& base);
    ~Change();
    Change(const Change&) = delete;
    Change& operator=(const Change&) = delete;

    using Wants = std::function<bool(std::string_view name)>;
    using Each = std::function<void(const std::string& path, std::string text)>;
    /// Every file at or below `path` ("": all) whose name is wanted, in order. Links, and what is
    /// behind them, and submodules are passed over; the paths of files with more than `limit_bytes`
    /// come back. Error(not_found): nothing at `path`; Error(exhausted): past `entry_limit`.
    [[nodiscard]] std::vector<std::string> visit(const std::string& path, std::size_t limit_bytes,
                                                 const Wants& wants, const Each& each,
                                                 const std::stop_token& stop) const;

    /// A signature in armor of the text of a commit.
    using Sign = std::function<std::string(std::string_view payload)>;
    /// The base with `files` in place of those of their paths, whose modes they keep. `time`:
    /// seconds since 1970; `sign`, when there is one, makes a signed commit of it.
    void commit(const std::map<std::string, std::string>& files, const std::string& message,
                const Author& author, std::int64_t time, const Sign& sign = {});
    /// Of what was committed.
    [[nodiscard]] Oid id() const;
    /// Whether `other`, which was fetched, is the same but for its time and message, and
    /// signed or not as this one.
    [[nodiscard]] bool same_as(const Oid& other) const;

    /// False: the reference stands there already. Error(conflict): it moved, and `push.force` is
    /// not set; others as of Mirror::fetch, with `access.timeout` for it as a whole.
    bool send(const Push& push, const Access& access, std::stop_token stop) const;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace kled::gitops::git
