/// The agent: carries out what edge/device.h decides, over MQTT, on a disk and in a runtime.
#pragma once

#include "base/offload.h"
#include "crypto/seal.h"
#include "crypto/sign.h"
#include "edge/mqtt_session.h"
#include "edge/protocol.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

namespace kled::edge {

/// Who this device is, as enrolment wrote it: `<state>/agent.json` and the files beside it.
struct DeviceIdentity {
    std::string fleet;
    std::string device;
    std::string broker_host;
    std::uint16_t broker_port = 8883;
    std::optional<MqttTls> tls;  ///< nullopt: a broker without TLS, on the loopback only
    crypto::VerifyingKey delivery;
    crypto::Identity sealing;  ///< opens the secrets that are sealed to this device
};
/// Error(not_found) when the device has not joined, Error(invalid) names the file and the field.
[[nodiscard]] DeviceIdentity load_identity(const std::filesystem::path& state);

struct AgentOptions {
    std::filesystem::path state;
    std::string version = "0";     ///< of the program, for the hub
    bool process_runtime = false;  ///< --enable-process-runtime
    std::filesystem::path cgroups = "/sys/fs/cgroup";
    std::chrono::seconds keepalive{60};
    std::chrono::milliseconds first_reconnect{1'000};  ///< upper bounds of random pauses
    std::chrono::milliseconds longest_reconnect{120'000};
    ProtocolRange protocol = our_protocol;
};

class Agent {
public:
    /// Opens the store. Error(conflict) when another agent uses it.
    Agent(boost::asio::any_io_executor executor, ThreadPool& pool, DeviceIdentity identity,
          AgentOptions options);
    ~Agent();
    /// Until cancelled.
    boost::asio::awaitable<void> run();
    /// Stops what runs and waits for it, beside `run`: they else go on, and are found again.
    boost::asio::awaitable<void> stop_workloads();

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// What a running agent last knew of itself, for people; empty: none runs on this state.
[[nodiscard]] std::string read_status(const std::filesystem::path& state);

}  // namespace kled::edge
