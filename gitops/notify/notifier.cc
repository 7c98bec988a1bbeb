#include "gitops/notify/notifier.h"

#include "base/error.h"
#include "base/log.h"
#include "base/metrics.h"
#include "crypto/hash.h"
#include "gitops/access/client_options.h"
#include "gitops/access/secret_data.h"
#include "gitops/notify/commit_status.h"
#include "kube/served.h"
#include "kube/yaml.h"

#include <boost/asio/error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <exception>
#include <optional>
#include <random>
#include <utility>

namespace kled::gitops {

namespace asio = boost::asio;

namespace {

constexpr std::string_view alert_kind = "Alert";
constexpr std::string_view provider_kind = "Provider";
constexpr std::size_t answer_limit = 1U << 20U;

void count(std::string_view outcome) {
    metrics::registry()
        .counter("kled_gitops_notifications_total", "Notifications to providers",
                 {{"outcome", std::string{outcome}}})
        .add();
}

bool may_succeed_later(unsigned status) {
    return status == 429 || (status >= 500 && status != 501);
}

/// RFC 9110 §5.1 and §5.5: what may stand in a header.
bool is_header(std::string_view name, std::string_view value) {
    constexpr std::string_view others = "!#$%&'*+-.^_`|~";
    const auto token = [&](unsigned char c) {
        return std::isalnum(c) != 0 || others.find(static_cast<char>(c)) != std::string_view::npos;
    };
    const auto plain = [](unsigned char c) { return c == '\t' || (c >= 0x20 && c != 0x7f); };
    return !name.empty() && std::ranges::all_of(name, token) && std::ranges::all_of(value, plain);
}

std::map<std::string, std::string> headers_of(const SecretData& secret) {
    std::map<std::string, std::string> result;
    const auto text = secret.text({"headers"});
    if (text.empty()) return result;
    // What a parser says about it would quote it.
    const Error bad{ErrorKind::invalid,
                    "Secret " + secret.name() + ": data.headers is no YAML mapping of headers"};
    kube::json::value parsed;
    try {
        parsed = kube::parse_yaml(text);
    } catch (const Error&) {
        throw bad;
    }
    if (!parsed.is_object()) throw bad;
    for (const auto& item : parsed.get_object()) {
        if (!item.value().is_string()) throw bad;
        const std::string name{item.key()};
        const std::string value{item.value().get_string()};
        if (!is_header(name, value)) throw bad;
        result.emplace(name, value);
    }
    return result;
}

}  // namespace

bool Repetitions::is_new(const Event& event, SteadyTime now) {
    std::string key;
    for (const std::string_view part :
         {std::string_view{event.about.kind()}, std::string_view{event.about.ns()},
          std::string_view{event.about.name()}, std::string_view{event.message},
          std::string_view{event.revision}}) {
        key += std::to_string(part.size()) + ":" + std::string{part};
    }
    key = crypto::sha256_hex(key);
    if (const auto known = seen_.find(key); known != seen_.end() && now < known->second)
        return false;
    if (seen_.size() >= limit)
        std::erase_if(seen_, [&](const auto& item) { return item.second <= now; });
    if (seen_.size() >= limit) seen_.clear();
    seen_.insert_or_assign(std::move(key), now + window_);
    return true;
}

Notifier::Notifier(asio::any_io_executor loop, kube::Client& client, Events& events,
                   Options options)
    : loop_{loop},
      client_{client},
      api_{client, {}},
      events_{events},
      options_{options},
      repetitions_{options.window},
      tasks_{loop} {}

asio::awaitable<void> Notifier::run() {
    tasks_.spawn(follow());
    tasks_.spawn(settle());
    co_await even_if_cancelled;
    co_await tasks_.join();
}

asio::awaitable<void> Notifier::follow() {
    // Without Alerts nobody waits for Providers.
    const kube::GroupVersionKind alerts{
        .group = std::string{notification_group}, .version = {}, .kind = std::string{alert_kind}};
    co_await kube::until_served(client_, alerts);
    tasks_.spawn(api_.follow(std::string{notification_group}, std::string{provider_kind}, *this));
    co_await api_.follow(std::string{notification_group}, std::string{alert_kind}, *this);
}

asio::awaitable<void> Notifier::settle() {
    asio::steady_timer timer{loop_, options_.settle};
    co_await timer.async_wait(asio::use_awaitable);
    settled_ = true;
    for (const auto& event : std::exchange(early_, {})) match(event);
}

void Notifier::changed(kube::Object object) {
    const auto key = key_of(object);
    try {
        if (key.kind == alert_kind) {
            alerts_.erase(key);  // until the new one is known to be good
            alerts_[key] = std::make_shared<const Alert>(Alert::from_object(object));
        } else {
            providers_.erase(key);
            auto provider = std::make_shared<const Provider>(Provider::from_object(object));
            if (!provider->unsupported.empty()) {
                events_.record(object, true, "UnsupportedField",
                               provider->unsupported.front().field +
                                   " is not supported; nothing is sent to it");
                return;
            }
            providers_[key] = std::move(provider);
        }
    } catch (const Error& error) {
        events_.record(object, true, "InvalidSpec", error.what());
    }
}

void Notifier::removed(const Key& key) {
    alerts_.erase(key);
    providers_.erase(key);
    events_.forget(key);
}

void Notifier::take(const Event& event) {
    try {
        if (event.about.gvk().group == notification_group) return;  // about ourselves
        if (settled_) {
            match(event);
        } else {
            early_.push_back(event);
            if (early_.size() > options_.waiting) early_.pop_front();
        }
    } catch (const std::exception& error) {
        log::error("gitops", error.what());
    }
}

void Notifier::match(const Event& event) {
    const auto wanted = [&](const auto& item) {
        return item.second->wants(event, options_.no_cross_namespace_refs);
    };
    if (std::ranges::none_of(alerts_, wanted)) return;
    if (!repetitions_.is_new(event, std::chrono::steady_clock::now())) return;
    for (const auto& [key, alert] : alerts_) {
        if (!alert->wants(event, options_.no_cross_namespace_refs)) continue;
        const Key provider{
            .kind = std::string{provider_kind}, .ns = key.ns, .name = alert->provider};
        auto& lane = lanes_[provider];
        lane.waiting.push_back(
            {.alert = alert->object, .notification = alert->notification(event)});
        if (lane.waiting.size() > options_.waiting) {
            lane.waiting.pop_front();
            count("dropped");
        }
        if (!std::exchange(lane.running, true)) tasks_.spawn(drain(provider));
    }
}

asio::awaitable<void> Notifier::drain(Key key) {
    auto& lane = lanes_[key];  // nobody else takes it out
    while (!lane.waiting.empty()) {
        auto item = std::move(lane.waiting.front());
        lane.waiting.pop_front();
        const auto found = providers_.find(key);
        if (found == providers_.end()) {
            count("failed");
            events_.record(item.alert, true, "ProviderNotFound",
                           "Provider " + key.ns + "/" + key.name + " is not there, or of no use");
            continue;
        }
        const auto provider = found->second;
        if (provider->suspend) continue;
        const auto wrong = co_await tell(provider, std::move(item.notification));
        count(wrong.empty() ? "sent" : "failed");
        if (!wrong.empty()) events_.record(provider->object, true, "NotificationFailed", wrong);
    }
    lanes_.erase(key);
}

asio::awaitable<std::string> Notifier::tell(std::shared_ptr<const Provider> provider,
                                            Notification notification) {
    ProviderAccess access;
    std::string wrong;
    try {
        access = co_await read_access(*provider);
        if (!provider->sets_commit_status()) {
            const auto message = message_for(*provider, access, notification);
            const auto response = co_await exchange(*provider, access, message);
            if (const auto why = refused_by(*provider, access, response)) wrong = *why;
        } else if (const auto status = commit_status_for(*provider, access, notification)) {
            const auto there = co_await exchange(*provider, access, status->list);
            if (!has_status(*provider, *status, there.body))
                co_await exchange(*provider, access, status->create);
        }
    } catch (const boost::system::system_error& error) {
        if (error.code() == asio::error::operation_aborted) throw;
        wrong = error.what();
    } catch (const std::exception& error) {
        wrong = error.what();
    }
    co_return access.redacted(std::move(wrong));
}

asio::awaitable<ProviderAccess> Notifier::read_access(const Provider& provider) {
    ProviderAccess access;
    access.address = provider.address;
    access.proxy = provider.proxy;
    const std::string ns{provider.object.ns()};
    if (!provider.secret_name.empty()) {
        const auto secret = co_await read_secret(client_, ns, provider.secret_name);
        if (auto address = secret.text({"address"}); !address.empty())
            access.address = std::move(address);
        access.token = secret.secret({"token"});
        access.user = secret.text({"username"});
        access.password = secret.secret({"password"});
        if (auto proxy = secret.text({"proxy"}); !proxy.empty()) access.proxy = std::move(proxy);
        access.headers = headers_of(secret);
    }
    if (!provider.certificate_secret_name.empty()) {
        const auto secret = co_await read_secret(client_, ns, provider.certificate_secret_name);
        access.ca_pem = secret.text({"ca.crt", "caFile"});
        access.certificate_pem = secret.text({"tls.crt", "certFile"});
        access.key_pem = secret.secret({"tls.key", "keyFile"});
    }
    if (!provider.proxy_secret_name.empty())
        access.proxy = co_await read_proxy(client_, ns, provider.proxy_secret_name);
    while (access.address.ends_with('\n')) access.address.pop_back();
    co_return access;
}

asio::awaitable<net::Response> Notifier::exchange(const Provider& provider,
                                                  const ProviderAccess& access,
                                                  const Message& message) {
    net::HttpClient client{loop_, message.url,
                           client_options(access, provider.timeout, answer_limit)};
    Backoff backoff{options_.retry, std::random_device{}()};
    asio::steady_timer timer{loop_};
    for (unsigned attempt = 1;; ++attempt) {
        std::optional<net::Response> response;
        try {
            auto request = message.request;
            response = co_await client.send(std::move(request));
        } catch (const Error& error) {
            if (error.kind() != ErrorKind::unavailable || attempt >= options_.attempts) throw;
        }
        if (response && response->status / 100 == 2) co_return std::move(*response);
        if (response && (attempt >= options_.attempts || !may_succeed_later(response->status))) {
            throw Error{ErrorKind::invalid,
                        message.url.host + ": the server says " + std::to_string(response->status)};
        }
        timer.expires_after(backoff.next());
        co_await timer.async_wait(asio::use_awaitable);
    }
}

}  // namespace kled::gitops
