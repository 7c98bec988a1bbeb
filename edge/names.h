/// Names of fleets and devices, and the topics made of them:
///     kled/v1/<fleet>/d/<device>/{dn,up}/<leaf>    kled/v1/<fleet>/hub
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace kled::edge {

/// The MQTT user name (and certificate CN) of the hub: no device name has a colon.
inline constexpr std::string_view hub_user = "kled:hub";

/// A DNS-1123 label that is neither `hub` nor `all`. Error(invalid) "<what> "<name>": why".
void check_name(std::string_view what, std::string_view name);

/// What the hub sends to a device, "kled/v1/<fleet>/d/<device>/dn/<leaf>"; and back, ".../up/...".
[[nodiscard]] std::string down_topic(std::string_view fleet, std::string_view device,
                                     std::string_view leaf);
[[nodiscard]] std::string up_topic(std::string_view fleet, std::string_view device,
                                   std::string_view leaf);
/// Where the hub says who it is (HubNotice), retained.
[[nodiscard]] std::string hub_topic(std::string_view fleet);

/// A topic as its receiver sees it; views into the topic.
struct UpTopic {
    std::string_view device;
    std::string_view leaf;  ///< "hello", "report"
};
/// nullopt: not one of this fleet's `up` topics, or the device's name is not one.
[[nodiscard]] std::optional<UpTopic> parse_up_topic(std::string_view fleet,
                                                    std::string_view topic) noexcept;
/// The leaf of a topic below `dn/` of this device.
[[nodiscard]] std::optional<std::string_view> parse_down_topic(std::string_view fleet,
                                                               std::string_view device,
                                                               std::string_view topic) noexcept;

}  // namespace kled::edge
