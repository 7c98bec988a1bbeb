/// `status.history` of a Kustomization: what was tried last, in Flux's form (apis/meta History).
#pragma once

#include "base/clock.h"
#include "kube/object.h"

#include <cstddef>
#include <string>
#include <string_view>

namespace kled::gitops {

class History {
public:
    static constexpr std::size_t limit = 5;

    struct Attempt {
        std::string digest;    ///< of the objects, "sha256:<hex>"
        std::string result;    ///< the reason of the condition Ready: "ReconciliationSucceeded"
        std::string revision;  ///< of the source
        std::string origin{};  ///< what that was made of, if it says so
        Duration took{};
    };

    /// What is there is kept as it was read, at most `limit` of it.
    static History from_status(const kube::json::object* status);
    [[nodiscard]] kube::json::array to_json() const { return snapshots_; }

    /// Whether what it was last successful with is this.
    [[nodiscard]] bool succeeded_last(std::string_view digest) const;
    /// The newest revision that was applied before `now`, or the one whose commit begins with
    /// `commit`. Error(not_found) that lists what there is; Error(invalid): several begin so.
    [[nodiscard]] std::string revision_before(std::string_view now, std::string_view commit) const;

    /// Newest first; the same objects with the same result are one snapshot that counts.
    void add(const Attempt& attempt, WallTime now);

    /// The newest, which succeeded, is what `revision` brings as well.
    void follow(const std::string& revision, const std::string& origin);

    bool operator==(const History&) const = default;

private:
    kube::json::array snapshots_;
};

}  // namespace kled::gitops
