#include "edge/names.h"

#include "base/error.h"

#include <algorithm>

namespace kled::edge {

namespace {

constexpr std::string_view root = "kled/v1/";
constexpr std::size_t longest_label = 63;  // RFC 1123 §2.1

/// What is wrong with a label; empty: nothing.
std::string_view fault(std::string_view name) noexcept {
    const auto edge = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
    if (name.empty()) return "it is empty";
    if (name.size() > longest_label) return "it is longer than 63 characters";
    if (!std::ranges::all_of(name, [&](char c) { return edge(c) || c == '-'; }) ||
        !edge(name.front()) || !edge(name.back()))
        return "it must be lower-case letters, digits and '-', and begin and end with one of the "
               "first two";
    if (name == "hub" || name == "all") return "the name is reserved";
    return {};
}

bool take(std::string_view& text, std::string_view prefix) noexcept {
    if (!text.starts_with(prefix)) return false;
    text.remove_prefix(prefix.size());
    return true;
}

std::string device_topic(std::string_view fleet, std::string_view device,
                         std::string_view direction, std::string_view leaf) {
    std::string topic{root};
    topic.append(fleet).append("/d/").append(device).append(direction).append(leaf);
    return topic;
}

}  // namespace

void check_name(std::string_view what, std::string_view name) {
    if (const auto why = fault(name); !why.empty()) {
        // Hostile input may be long; a message need not be.
        throw Error{ErrorKind::invalid, std::string{what} + " \"" +
                                            std::string{name.substr(0, longest_label)} +
                                            "\": " + std::string{why}};
    }
}

std::string down_topic(std::string_view fleet, std::string_view device, std::string_view leaf) {
    return device_topic(fleet, device, "/dn/", leaf);
}

std::string up_topic(std::string_view fleet, std::string_view device, std::string_view leaf) {
    return device_topic(fleet, device, "/up/", leaf);
}

std::string hub_topic(std::string_view fleet) {
    return std::string{root}.append(fleet).append("/hub");
}

std::optional<UpTopic> parse_up_topic(std::string_view fleet, std::string_view topic) noexcept {
    if (!take(topic, root) || !take(topic, fleet) || !take(topic, "/d/")) return std::nullopt;
    const auto device = topic.substr(0, topic.find('/'));
    topic.remove_prefix(device.size());
    if (!fault(device).empty() || !take(topic, "/up/") || topic.empty()) return std::nullopt;
    return UpTopic{.device = device, .leaf = topic};
}

std::optional<std::string_view> parse_down_topic(std::string_view fleet, std::string_view device,
                                                 std::string_view topic) noexcept {
    if (!take(topic, root) || !take(topic, fleet) || !take(topic, "/d/") || !take(topic, device) ||
        !take(topic, "/dn/") || topic.empty())
        return std::nullopt;
    return topic;
}

}  // namespace kled::edge
