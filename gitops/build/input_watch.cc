#include "gitops/build/input_watch.h"

#include "kube/watch.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace kled::gitops {

namespace asio = boost::asio;

bool is_made_of(const kube::Object& work, std::string_view kind, std::string_view name) {
    const auto* spec = work.spec();
    if (spec == nullptr || name.empty()) return false;
    const auto names = [&](std::initializer_list<std::string_view> path) {
        return kube::find_string(*spec, path) == name;
    };
    if (kind == "Secret" &&
        (names({"decryption", "secretRef", "name"}) || names({"kubeConfig", "secretRef", "name"})))
        return true;
    if (kind == "ConfigMap" && names({"kubeConfig", "configMapRef", "name"})) return true;
    const auto* from = kube::find(*spec, {"postBuild", "substituteFrom"});
    if (from == nullptr || !from->is_array()) return false;
    return std::ranges::any_of(from->get_array(), [&](const auto& item) {
        return item.is_object() && kube::find_string(item.get_object(), {"kind"}) == kind &&
               kube::find_string(item.get_object(), {"name"}) == name;
    });
}

namespace {

class Follower : public kube::WatchHandler {
public:
    Follower(std::string kind, std::function<void(const Key&)> told)
        : kind_{std::move(kind)}, told_{std::move(told)} {}

    void list_page(std::vector<kube::Object> items, bool) override {
        for (const auto& item : items) tell(item);
    }
    void list_complete() override {}
    void changed(kube::Object object) override { tell(object); }
    void deleted(kube::Object object) override { tell(object); }

private:
    /// What comes is a PartialObjectMetadata: that is not its kind.
    void tell(const kube::Object& object) const {
        const Key key{
            .kind = kind_, .ns = std::string{object.ns()}, .name = std::string{object.name()}};
        told_(key);
    }

    std::string kind_;
    std::function<void(const Key&)> told_;
};

}  // namespace

asio::awaitable<void> watch_inputs(kube::Client& client, std::string kind,
                                   std::function<void(const Key&)> changed) {
    const kube::GroupVersionKind gvk{.group = "", .version = "v1", .kind = kind};
    Follower follower{std::move(kind), std::move(changed)};
    kube::WatchOptions options;
    options.list.label_selector = std::string{watch_label} + "=Enabled";
    options.list.metadata_only = true;
    co_await kube::watch(client, gvk, options, follower);
}

}  // namespace kled::gitops
