#include "gitops/notify/message.h"

#include "base/encoding.h"
#include "base/error.h"
#include "crypto/hash.h"
#include "kube/object.h"

#include <algorithm>
#include <cctype>
#include <utility>

namespace kled::gitops {

namespace json = boost::json;

namespace {

constexpr std::string_view slack_api = "https://slack.com/api/chat.postMessage";

json::value slack(const Provider& provider, const Notification& n) {
    json::array fields;
    for (const auto& [key, value] : n.metadata) {
        json::object field;
        field["title"] = key;
        field["value"] = value;
        field["short"] = false;
        fields.push_back(std::move(field));
    }
    json::object attachment;
    attachment["color"] = n.error ? "danger" : "good";
    attachment["author_name"] = n.title();
    attachment["text"] = n.message;
    attachment["mrkdwn_in"] = json::array{"text"};
    attachment["fields"] = std::move(fields);
    json::array attachments;
    attachments.push_back(std::move(attachment));
    json::object result;
    result["channel"] = provider.channel;
    if (provider.username.empty()) {
        result["username"] = n.controller();
    } else {
        result["username"] = provider.username;
    }
    result["icon_url"] = "";
    result["icon_emoji"] = "";
    result["attachments"] = std::move(attachments);
    return json::value(std::move(result));
}

/// The summary first, then by name.
json::array facts(const Notification& n, std::string_view name) {
    json::array result;
    const auto add = [&](const std::string& key, const std::string& value) {
        json::object fact;
        fact[name] = key;
        fact["value"] = value;
        result.push_back(std::move(fact));
    };
    if (const auto summary = n.metadata.find("summary"); summary != n.metadata.end())
        add(summary->first, summary->second);
    for (const auto& [key, value] : n.metadata)
        if (key != "summary") add(key, value);
    return result;
}

/// The cards of the connectors that Microsoft is taking out of service.
json::value teams_connector(const Notification& n) {
    json::object section;
    section["activityTitle"] = n.message;
    section["activitySubtitle"] = n.title();
    section["facts"] = facts(n, "name");
    json::array sections;
    sections.push_back(std::move(section));
    json::object result;
    result["@type"] = "MessageCard";
    result["@context"] = "http://schema.org/extensions";
    result["themeColor"] = n.error ? "FF0000" : "0076D7";
    result["summary"] = n.title();
    result["sections"] = std::move(sections);
    return json::value(std::move(result));
}

json::value teams_card(const Notification& n) {
    json::object title;
    title["type"] = "TextBlock";
    title["text"] = n.title();
    title["size"] = "large";
    title["weight"] = "bolder";
    title["wrap"] = true;
    json::object text;
    text["type"] = "TextBlock";
    text["text"] = n.message;
    if (n.error) text["color"] = "attention";
    text["wrap"] = true;
    json::object set;
    set["type"] = "FactSet";
    if (!n.metadata.empty()) set["facts"] = facts(n, "title");
    json::array items;
    items.push_back(std::move(title));
    items.push_back(std::move(text));
    items.push_back(std::move(set));
    json::object container;
    container["type"] = "Container";
    container["items"] = std::move(items);
    json::array body;
    body.push_back(std::move(container));
    json::object width;
    width["width"] = "Full";
    json::object content;
    content["$schema"] = "http://adaptivecards.io/schemas/adaptive-card.json";
    content["type"] = "AdaptiveCard";
    content["version"] = "1.4";
    content["body"] = std::move(body);
    content["msteams"] = std::move(width);
    json::object attachment;
    attachment["contentType"] = "application/vnd.microsoft.card.adaptive";
    attachment["content"] = std::move(content);
    json::array attachments;
    attachments.push_back(std::move(attachment));
    json::object result;
    result["type"] = "message";
    result["attachments"] = std::move(attachments);
    return json::value(std::move(result));
}

/// "ReconciliationSucceeded" → "Reconciliationsucceeded": a title's case, as Flux writes it.
std::string title_case(std::string_view text) {
    std::string result{text};
    std::ranges::transform(result, result.begin(), [](unsigned char c) { return std::tolower(c); });
    if (!result.empty())
        result[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(result[0])));
    return result;
}

json::value alertmanager(const Notification& n) {
    json::object annotations;
    annotations["message"] = n.message;
    json::object labels;
    for (const auto& [key, value] : n.metadata) {
        if (key == "summary") {
            annotations[key] = value;
        } else {
            labels[key] = value;
        }
    }
    labels["alertname"] = "Flux" + n.kind + title_case(n.reason);
    labels["severity"] = n.severity();
    labels["reason"] = n.reason;
    labels["kind"] = n.kind;
    labels["name"] = n.name;
    labels["namespace"] = n.ns;
    labels["reportingcontroller"] = n.controller();
    json::object alert;
    alert["status"] = "firing";
    alert["labels"] = std::move(labels);
    alert["annotations"] = std::move(annotations);
    alert["startsAt"] = to_rfc3339(n.time);
    json::array result;
    result.push_back(std::move(alert));
    return json::value(std::move(result));
}

bool is_connector(const net::Url& url) { return url.host.ends_with(".webhook.office.com"); }

std::string_view token_of(const ProviderAccess& access) {
    return access.token ? access.token->reveal() : std::string_view{};
}

}  // namespace

std::string ProviderAccess::redacted(std::string text) const {
    const auto hide = [&](std::string_view secret) {
        if (secret.size() < 4) return;  // it would tear words apart
        constexpr std::string_view stars = "*****";
        for (auto at = text.find(secret); at != std::string::npos;
             at = text.find(secret, at + stars.size()))
            text.replace(at, secret.size(), stars);
    };
    hide(address);
    hide(proxy);
    if (token) hide(token->reveal());
    if (password) hide(password->reveal());
    for (const auto& [name, value] : headers) hide(value);
    return text;
}

net::Url provider_url(std::string_view address) {
    if (address.starts_with("https://") || address.starts_with("http://")) {
        try {
            return net::parse_url(address);
        } catch (const Error&) {  // its text would tell what is in it
        }
    }
    throw Error{ErrorKind::invalid, "the address is missing, or no http:// or https:// URL"};
}

Message message_for(const Provider& provider, const ProviderAccess& access,
                    const Notification& notification) {
    Message message;
    message.url = provider_url(access.address);
    auto& request = message.request;
    request.method = "POST";
    request.target = message.url.target;
    auto& headers = request.headers;
    headers.set("Content-Type", "application/json");
    json::value body;
    const auto token = token_of(access);
    if (provider.type == "slack") {
        body = slack(provider, notification);
        if (!token.empty()) headers.set("Authorization", "Bearer " + std::string{token});
    } else if (provider.type == "msteams") {
        body = is_connector(message.url) ? teams_connector(notification) : teams_card(notification);
    } else if (provider.type == "alertmanager") {
        body = alertmanager(notification);
        if (!access.user.empty() && access.password) {
            headers.set(
                "Authorization",
                "Basic " + to_base64(access.user + ":" + std::string{access.password->reveal()}));
        } else if (!token.empty()) {
            headers.set("Authorization", "Bearer " + std::string{token});
        }
    } else {
        body = json::value(notification.to_json());
        headers.set("gotk-component", std::string{notification.controller()});
    }
    request.body = kube::to_json(body);
    if (provider.type == "generic-hmac") {
        if (token.empty())
            throw Error{ErrorKind::invalid, "generic-hmac needs `token` in the Secret"};
        headers.set("X-Signature", "sha256=" + crypto::hmac_hex("sha256", token, request.body));
    }
    if (provider.type == "generic" || provider.type == "generic-hmac")
        for (const auto& [name, value] : access.headers) headers.set(name, value);
    return message;
}

std::optional<std::string> refused_by(const Provider& provider, const ProviderAccess& access,
                                      const net::Response& response) {
    if (provider.type != "slack" || access.address != slack_api) return std::nullopt;
    try {
        const auto answer = kube::parse_json(response.body, 8);
        const auto* ok = kube::find(answer, {"ok"});
        if (ok != nullptr && ok->is_bool() && ok->get_bool()) return std::nullopt;
        const auto* why = kube::find(answer, {"error"});
        if (why != nullptr && why->is_string())
            return "Slack says " + std::string{std::string_view{why->get_string()}.substr(0, 100)};
    } catch (const Error&) {  // said below
    }
    return "Slack's answer is none";
}

}  // namespace kled::gitops
