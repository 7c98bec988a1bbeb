#include "gitops/source/cache_names.h"

#include "gitops/objects/source_kinds.h"

namespace kled::gitops {

std::string cache_name(const Key& key, std::string_view what) {
    if (what.empty() && key.kind != repository_kind) what = key.kind;
    auto name = key.ns + "_" + key.name;
    if (!what.empty()) name.append("+").append(what);
    return name;
}

std::optional<Key> owner_of_cache(std::string_view folder) {
    // Neither character is in the name of an object.
    const auto blank = folder.find('_');
    const auto plus = folder.find('+');
    if (folder.starts_with('.') || blank == std::string_view::npos || plus < blank)
        return std::nullopt;
    const auto name = folder.substr(blank + 1, plus - blank - 1);
    auto kind = plus == std::string_view::npos ? std::string_view{repository_kind}
                                               : folder.substr(plus + 1);
    if (kind == modules_cache || kind == push_cache) kind = repository_kind;
    return Key{.kind = std::string{kind},
               .ns = std::string{folder.substr(0, blank)},
               .name = std::string{name}};
}

}  // namespace kled::gitops
