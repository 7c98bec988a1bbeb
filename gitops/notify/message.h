/// What is sent to a provider of messages, as Flux's notification-controller sends it
/// (internal/notifier).
#pragma once

#include "base/secret.h"
#include "gitops/notify/alert.h"
#include "net/http.h"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace kled::gitops {

/// What a Provider's Secrets hold, and the address that counts. None of it is for a message or a
/// log: the address of a chat is a secret too.
struct ProviderAccess {
    std::string address;
    std::shared_ptr<const Secret> token;
    std::map<std::string, std::string> headers;
    std::string user;
    std::shared_ptr<const Secret> password;
    std::string ca_pem;
    std::string certificate_pem;
    std::shared_ptr<const Secret> key_pem;
    std::string proxy;

    /// `text` with what is secret replaced by "*****".
    [[nodiscard]] std::string redacted(std::string text) const;
};

/// One request and where it goes.
struct Message {
    net::Url url;
    net::Request request;
};

/// Error(invalid), without the text, when `address` is no http:// or https:// URL.
[[nodiscard]] net::Url provider_url(std::string_view address);

/// Error(invalid) when something is missing that the type needs.
[[nodiscard]] Message message_for(const Provider& provider, const ProviderAccess& access,
                                  const Notification& notification);

/// Why an answer of 200 is not one: Slack's API says so in the body.
[[nodiscard]] std::optional<std::string> refused_by(const Provider& provider,
                                                    const ProviderAccess& access,
                                                    const net::Response& response);

}  // namespace kled::gitops
