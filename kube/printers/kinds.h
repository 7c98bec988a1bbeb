/// The built-in kinds as a stock server 1.34 prints them, by subject.
#pragma once

#include "base/clock.h"
#include "kube/object.h"

#include <span>
#include <string_view>

namespace kled::kube::printers {

/// Columns are divided by |. A name ends in # for an integer, ? for a boolean, @ for a date, ! when
/// its format is "name", and then in + when only -o wide shows it.
struct Kind {
    std::string_view group;
    std::string_view kind;
    std::string_view columns;
    void (*cells)(const Object&, WallTime, json::array&);
};

[[nodiscard]] std::span<const Kind> control_kinds() noexcept;
[[nodiscard]] std::span<const Kind> core_kinds() noexcept;
[[nodiscard]] std::span<const Kind> network_kinds() noexcept;
[[nodiscard]] std::span<const Kind> pod_kinds() noexcept;
[[nodiscard]] std::span<const Kind> storage_kinds() noexcept;
[[nodiscard]] std::span<const Kind> workload_kinds() noexcept;

}  // namespace kled::kube::printers
