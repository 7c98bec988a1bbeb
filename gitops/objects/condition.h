/// metav1.Condition, and the rules of kstatus for the conditions of our own objects.
#pragma once

#include "base/clock.h"
#include "kube/object.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kled::gitops {

struct Condition {
    std::string type;
    std::string status;  ///< "True", "False", "Unknown"
    std::string reason;
    std::string message;
    std::int64_t observed_generation = 0;
    std::string last_transition;  ///< RFC 3339

    [[nodiscard]] Condition named(std::string_view other) && {
        type = other;
        return std::move(*this);
    }
    bool operator==(const Condition&) const = default;
};

/// `status.conditions`, Ready first as Flux writes them.
class Conditions {
public:
    static Conditions from_status(const kube::json::object* status);
    [[nodiscard]] kube::json::array to_json() const;

    [[nodiscard]] const Condition* find(std::string_view type) const noexcept;
    [[nodiscard]] bool is_true(std::string_view type) const noexcept;
    /// lastTransitionTime changes with the status alone (metav1.Condition).
    void set(std::string_view type, std::string_view status, std::string_view reason,
             std::string_view message, std::int64_t generation, WallTime now);
    /// Just so, in place of one of its type.
    void put(Condition condition);
    void remove(std::string_view type);

    bool operator==(const Conditions&) const = default;

    // The states of a reconciled object (kstatus: Ready; Reconciling and Stalled are
    // "abnormal-true" and absent when they do not hold).
    void ready(std::string_view reason, std::string_view message, std::int64_t generation,
               WallTime now);
    /// Work is on its way; Ready is Unknown unless it was already decided for this generation.
    void reconciling(std::string_view message, std::int64_t generation, WallTime now);
    /// It failed and will be tried again.
    void failed(std::string_view reason, std::string_view message, std::int64_t generation,
                WallTime now);
    /// It failed, and only a change of the object or of the repository helps.
    void stalled(std::string_view reason, std::string_view message, std::int64_t generation,
                 WallTime now);

private:
    std::vector<Condition> list_;
};

}  // namespace kled::gitops
