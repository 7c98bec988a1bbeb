#include "kube/gvk.h"

namespace kled::kube {

GroupVersionKind GroupVersionKind::parse(std::string_view api_version, std::string_view kind) {
    const auto slash = api_version.find('/');
    if (slash == std::string_view::npos) {
        return {.group = {}, .version = std::string{api_version}, .kind = std::string{kind}};
    }
    return {.group = std::string{api_version.substr(0, slash)},
            .version = std::string{api_version.substr(slash + 1)},
            .kind = std::string{kind}};
}

std::string ObjectId::to_string() const {
    std::string text = kind;
    if (!group.empty()) text.append(".").append(group);
    text.append(" ");
    if (!ns.empty()) text.append(ns).append("/");
    return text.append(name);
}

}  // namespace kled::kube
