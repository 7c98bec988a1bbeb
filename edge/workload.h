/// From the objects of a device's bundles to what its runtime runs: a pure function. Deployments,
/// DaemonSets and Pods whose pod carries the annotation `edge.kled.io/runtime: process` become
/// processes; what cannot run here is refused with a reason, never half run (docs/edge.md).
#pragma once

#include "edge/bundle.h"
#include "edge/protocol.h"
#include "kube/object.h"

#include <chrono>
#include <compare>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kled::edge {

inline constexpr std::string_view runtime_annotation = "edge.kled.io/runtime";

struct WorkloadId {
    std::string kind;
    std::string ns;
    std::string name;
    auto operator<=>(const WorkloadId&) const = default;
    /// "deployment.shop.web": a folder name, unique on a device.
    [[nodiscard]] std::string folder() const;
    /// "Deployment shop/web": for people.
    [[nodiscard]] std::string to_string() const;
};

struct Probe {
    enum class Kind { http, tcp, exec } kind = Kind::tcp;
    std::string host = "127.0.0.1";
    std::uint16_t port = 0;
    std::string path = "/";
    std::vector<std::string> command{};
    std::chrono::milliseconds initial_delay{0};
    std::chrono::milliseconds period{10'000};
    std::chrono::milliseconds timeout{1'000};
    unsigned failure_threshold = 3;
    unsigned success_threshold = 1;
};

/// What a volume puts at a path below the container's root.
struct Mount {
    struct File {
        std::string name;  ///< relative, without ".."
        std::string content;
        unsigned mode = 0644;
    };
    std::string path;  ///< absolute in the container: "/etc/app"
    std::vector<File> files{};
    bool secret = false;    ///< kept in memory (tmpfs), mode 0600
    bool directory = true;  ///< false: `path` is the one file (subPath)
};

struct Limits {
    std::uint64_t memory_bytes = 0;  ///< 0: none
    std::uint64_t cpu_millis = 0;
    bool operator==(const Limits&) const = default;
};

struct Container {
    std::string name;
    std::vector<std::string> argv{};
    std::vector<std::pair<std::string, std::string>> env{};
    std::string directory{};     ///< workingDir, below the root; empty: the root
    std::filesystem::path root;  ///< $KLED_ROOT
    std::vector<Mount> mounts{};
    std::optional<Probe> readiness{};
    std::optional<Probe> liveness{};
    std::optional<Probe> startup{};
    Limits limits{};
};

enum class RestartPolicy { always, on_failure, never };

struct Workload {
    WorkloadId id;
    std::string deployment{};  ///< the EdgeDeployment it came with, "namespace/name"
    std::string digest{};      ///< of all below: the same digest needs no restart
    std::vector<Container> containers{};
    RestartPolicy restart = RestartPolicy::always;
    std::chrono::seconds grace{30};
};

struct Plan {
    std::vector<Workload> workloads{};
    std::vector<WorkloadReport> refused{};
    std::vector<Condition> conditions{};
};

/// The opened content of one bundle.
struct BundleContent {
    std::string deployment;
    std::vector<kube::Object> objects;
    OpenedSecrets secrets;  ///< of this bundle, by (deployment, namespace, name)
};

struct PlanOptions {
    std::string device;            ///< spec.nodeName
    std::filesystem::path roots;   ///< $KLED_ROOT is <roots>/<folder>/<container>
    bool process_runtime = false;  ///< --enable-process-runtime
};

/// Workloads are sorted by id. Of two bundles with the same workload the first (by deployment) wins
/// and the other is refused.
[[nodiscard]] Plan plan_workloads(const std::vector<BundleContent>& bundles,
                                  const PlanOptions& options);

/// $(NAME) as Kubernetes expands it: unknown names stay, "$$" is "$".
[[nodiscard]] std::string expand(std::string_view text,
                                 const std::map<std::string, std::string, std::less<>>& variables);

}  // namespace kled::edge
