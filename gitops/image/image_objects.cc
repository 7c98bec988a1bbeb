#include "gitops/image/image_objects.h"

#include "base/error.h"

#include <initializer_list>
#include <utility>

namespace kled::gitops {

namespace asio = boost::asio;

namespace {

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
    : FollowedObjects{loop, client, events, options.label_selector},
      loop_{loop},
      pool_{pool},
      options_{std::move(options)} {}

void ImageObjects::start() {
    for (const auto* kind : {"ImageRepository", "ImagePolicy", "ImageUpdateAutomation"})
        follow(image_group, kind);
    follow(source_group, "GitRepository");
}

template <typename Wanted>
void ImageObjects::touch_all(std::string_view kind, Wanted wanted) {
    for (const auto& [key, node] : nodes_) {
        if (key.kind == kind && wanted(node->object)) turns_.touch(key);
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
    const auto before = find(key);
    const auto product = before ? product_of(before->object) : std::string{};
    const bool asked = take(std::move(object));
    if (product_of(nodes_[key]->object) != product) touch_users(key);
    if (asked && key.kind != "GitRepository") turns_.touch(key);
}

void ImageObjects::removed(const Key& key) {
    FollowedObjects::removed(key);
    if (key.kind == "GitRepository") {
        tasks_.spawn(discard(key));
    } else if (key.kind != "ImageUpdateAutomation") {
        touch_users(key);
    }
}

/// Those that named one that was not there waited for this.
void ImageObjects::known(std::string_view kind) {
    FollowedObjects::known(kind);
    const auto any = [](const kube::Object&) { return true; };
    if (kind == "GitRepository") touch_all("ImageUpdateAutomation", any);
    if (kind == "ImageRepository") touch_all("ImagePolicy", any);
}

void ImageObjects::listed(std::string_view kind, const std::set<Key>& others) {
    if (kind == "GitRepository") tasks_.spawn(sweep(others));
}

asio::awaitable<ImageObjects::Again> ImageObjects::look(NodePtr node) {
    const auto kind = node->object.kind();
    if (kind == "ImageUpdateAutomation") {
        auto work = bring<ImageUpdateAutomation, ImageUpdateAutomationStatus>(
            node, &ImageObjects::automate);
        co_return co_await std::move(work);
    }
    if (!options_.registry) co_return std::nullopt;
    if (kind == "ImageRepository") {
        auto work = bring<ImageRepository, ImageRepositoryStatus>(node, &ImageObjects::scan);
        co_return co_await std::move(work);
    }
    auto work = bring<ImagePolicy, ImagePolicyStatus>(node, &ImageObjects::elect);
    co_return co_await std::move(work);
}

template <typename Spec, typename Status>
asio::awaitable<ImageObjects::Again> ImageObjects::bring(NodePtr node, Work<Spec, Status> work) {
    const auto object = node->object;
    auto status = Status::from_object(object);
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
    }
    // Of automations, what they push is told when it happens.
    const bool quiet = object.kind() == "ImageUpdateAutomation";
    auto concluding = conclude(node, object, std::move(status), std::move(ended), quiet);
    co_return co_await std::move(concluding);
}

}  // namespace kled::gitops
