#include "gitops/image/image_objects.h"

#include "base/error.h"
#include "base/log.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include <algorithm>
#include <chrono>
#include <utility>

namespace kled::gitops {

namespace asio = boost::asio;

namespace {

constexpr Duration pause{2'000};  // when the API server is away
constexpr Duration shortest_pause{500};

SteadyTime steady_now() { return std::chrono::steady_clock::now(); }
WallTime wall_now() { return std::chrono::system_clock::now(); }

std::string_view text_at(const kube::json::object* fields,
                         std::initializer_list<std::string_view> path) {
    return fields == nullptr ? std::string_view{} : kube::find_string(*fields, path);
}

/// The object that `spec.<field>` names.
Key named_in(const kube::Object& object, std::string_view field, std::string_view kind) {
    std::string ns{text_at(object.spec(), {field, "namespace"})};
    if (ns.empty()) ns = object.ns();
    return {.kind = std::string{kind},
            .ns = std::move(ns),
            .name = std::string{text_at(object.spec(), {field, "name"})}};
}

/// What automations act on, of an object that they name or select.
std::string product_of(const kube::Object& object) {
    if (object.kind() == "GitRepository")
        return std::string{text_at(object.status(), {"artifact", "revision"})};
    if (object.kind() != "ImagePolicy") return {};
    const auto* labels = kube::find(object.fields(), {"metadata", "labels"});
    return latest_ref(object).to_string() + (labels == nullptr ? "" : kube::to_json(*labels));
}

}  // namespace

ImageObjects::ImageObjects(asio::any_io_executor loop, ThreadPool& pool, kube::Client& client,
                           Events& events, Options options)
    : loop_{loop},
      pool_{pool},
      client_{client},
      api_{client, {.target_kinds = {}, .label_selector = options.label_selector}},
      events_{events},
      options_{std::move(options)},
      wake_{loop},
      tasks_{loop} {}

asio::awaitable<void> ImageObjects::run() {
    for (const auto* kind : {"ImageRepository", "ImagePolicy", "ImageUpdateAutomation"})
        tasks_.spawn(api_.follow(std::string{image_group}, kind, *this));
    tasks_.spawn(api_.follow(std::string{source_group}, "GitRepository", *this));
    tasks_.spawn(dispatch());
    co_await even_if_cancelled;
    co_await tasks_.join();
}

ImageObjects::Ended ImageObjects::ready(std::string message, std::optional<Duration> again) {
    return {.how = Ended::How::ready,
            .reason = "Succeeded",
            .message = std::move(message),
            .again = again};
}

ImageObjects::Ended ImageObjects::failed(std::string reason, std::string message) {
    return {.how = Ended::How::failed, .reason = std::move(reason), .message = std::move(message)};
}

ImageObjects::Ended ImageObjects::stalled(std::string reason, std::string message) {
    return {.how = Ended::How::stalled, .reason = std::move(reason), .message = std::move(message)};
}

ImageObjects::NodePtr ImageObjects::find(const Key& key) const {
    const auto found = nodes_.find(key);
    return found == nodes_.end() ? nullptr : found->second;
}

void ImageObjects::touch(const Key& key) {
    schedule_.touch(key, steady_now());
    wake_.cancel();
}

template <typename Wanted>
void ImageObjects::touch_all(std::string_view kind, Wanted wanted) {
    for (const auto& [key, node] : nodes_) {
        if (key.kind == kind && wanted(node->object)) touch(key);
    }
}

void ImageObjects::touch_users(const Key& key) {
    touch_all(key.kind == "ImageRepository" ? "ImagePolicy" : "ImageUpdateAutomation",
              [&](const kube::Object& user) {
                  if (key.kind == "GitRepository")
                      return named_in(user, "sourceRef", key.kind) == key;
                  if (key.kind == "ImageRepository")
                      return named_in(user, "imageRepositoryRef", key.kind) == key;
                  return user.ns() == key.ns;
              });
}

void ImageObjects::changed(kube::Object object) {
    const auto key = key_of(object);
    auto& node = nodes_[key];
    const bool known = node && node->object.uid() == object.uid();
    const auto before = known ? product_of(node->object) : std::string{};
    const bool asked = !known || node->object.generation() != object.generation() ||
                       node->object.deleting() != object.deleting() ||
                       reconcile_request(node->object) != reconcile_request(object);
    if (known) {
        // Perhaps of another image from now on: what was found before is not its.
        if (node->object.generation() != object.generation()) {
            node->tags = nullptr;
            node->scan_failure.clear();
        }
        node->object = std::move(object);
    } else {
        node = std::make_shared<Node>(std::move(object));
    }
    if (product_of(node->object) != before) touch_users(key);
    if (asked && key.kind != "GitRepository") touch(key);
}

void ImageObjects::removed(const Key& key) {
    nodes_.erase(key);
    if (key.kind == "GitRepository") {
        tasks_.spawn(discard(key));
        return;
    }
    schedule_.forget(key);
    events_.forget(key);
    if (key.kind != "ImageUpdateAutomation") touch_users(key);
}

void ImageObjects::listed(std::string_view kind, const std::set<Key>& others) {
    if (kind == "GitRepository") tasks_.spawn(sweep(others));
}

asio::awaitable<void> ImageObjects::dispatch() {
    for (;;) {
        while (const auto key = schedule_.next(steady_now())) tasks_.spawn(reconcile(*key));
        wake_.expires_at(schedule_.wake_at().value_or(SteadyTime::max()));
        co_await wake_.async_wait(asio::as_tuple(asio::use_awaitable));
    }
}

asio::awaitable<void> ImageObjects::reconcile(Key key) {
    std::optional<SteadyTime> again;
    try {
        if (const auto node = find(key)) again = co_await reconcile_node(node);
    } catch (const boost::system::system_error& error) {
        if (error.code() == asio::error::operation_aborted) throw;
        again = steady_now() + pause;
    } catch (const std::exception& error) {  // the API server could not be reached
        log::warn("gitops", error.what(), {{"object", key.to_string()}});
        again = steady_now() + pause;
    }
    schedule_.finished(key, again);
    wake_.cancel();
}

asio::awaitable<std::optional<SteadyTime>> ImageObjects::reconcile_node(NodePtr node) {
    const auto object = node->object;
    if (object.deleting()) {  // Flux's own controllers may have held it
        co_await api_.release(object);
        co_return std::nullopt;
    }
    if (object.kind() == "ImageUpdateAutomation") {
        auto work = bring<ImageUpdateAutomation, ImageUpdateAutomationStatus>(
            node, &ImageObjects::automate);
        co_return co_await std::move(work);
    }
    if (!options_.registry) co_return std::nullopt;
    if (object.kind() == "ImageRepository") {
        auto work = bring<ImageRepository, ImageRepositoryStatus>(node, &ImageObjects::scan);
        co_return co_await std::move(work);
    }
    auto work = bring<ImagePolicy, ImagePolicyStatus>(node, &ImageObjects::elect);
    co_return co_await std::move(work);
}

template <typename Spec, typename Status>
asio::awaitable<std::optional<SteadyTime>> ImageObjects::bring(NodePtr node,
                                                               Work<Spec, Status> work) {
    const auto object = node->object;
    const auto generation = object.generation();
    auto status = Status::from_object(object);
    const auto before = status;
    Ended ended;
    std::optional<Spec> spec;
    try {
        spec = Spec::from_object(object);
        if (spec->suspend) co_return std::nullopt;
        if (!spec->unsupported.empty()) {
            ended =
                stalled("UnsupportedField", spec->unsupported.front().field + " is not supported");
        }
    } catch (const Error& error) {
        ended = stalled("InvalidSpec", error.what());
    }
    if (ended.how == Ended::How::later) {
        auto working = (this->*work)(node, *spec, status);
        ended = co_await std::move(working);
        if (ended.how == Ended::How::later) co_return std::nullopt;
    }
    // It became different meanwhile, and runs again right away.
    if (node->object.generation() != generation) co_return std::nullopt;
    std::optional<SteadyTime> again;
    if (ended.again) again = steady_now() + std::max(*ended.again, shortest_pause);
    if (ended.how == Ended::How::ready) {
        node->backoff.reset();
        status.conditions.ready(ended.reason, ended.message, generation, wall_now());
    } else if (ended.how == Ended::How::failed) {
        again = steady_now() + std::max(node->backoff.next(), shortest_pause);
        status.conditions.failed(ended.reason, ended.message, generation, wall_now());
    } else {
        status.conditions.stalled(ended.reason, ended.message, generation, wall_now());
    }
    // Of automations, what they push is told when it happens.
    if (ended.how != Ended::How::ready || object.kind() != "ImageUpdateAutomation")
        events_.record(object, ended.how != Ended::How::ready, ended.reason, ended.message);
    status.observed_generation = generation;
    status.handled_request = reconcile_request(object);
    if (status == before) co_return again;
    kube::Object written{object.fields()};
    status.write_to(written);
    try {
        co_await api_.write_status(std::move(written));
    } catch (const Error& error) {
        if (error.kind() != ErrorKind::not_found) throw;  // it went meanwhile
    }
    co_return again;
}

}  // namespace kled::gitops
