/// What is served, told to clients: /api, /apis and below, each alone and aggregated.
#pragma once

#include "apiserver/registry.h"

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace kled::api {

struct Answer;

/// The body of /version.
[[nodiscard]] std::string version_document();

class Discovery {
public:
    /// `registry` outlives it.
    explicit Discovery(const Registry& registry) : registry_{registry} {}
    /// nullopt: no path of discovery. Documents are kept until the registry changes.
    [[nodiscard]] std::optional<Answer> answer(std::string_view path, std::string_view accept);

private:
    struct Document {
        std::string body;
        std::string content_type = "application/json";
    };
    [[nodiscard]] std::optional<Document> make(std::string_view path,
                                               std::string_view aggregated) const;
    [[nodiscard]] json::object group_list() const;
    [[nodiscard]] json::object group(const Registry::Group& group) const;
    [[nodiscard]] json::object resource_list(const Registry::Group& group,
                                             const Registry::Version& version) const;
    [[nodiscard]] json::object aggregated(bool core, std::string_view version) const;

    const Registry& registry_;
    std::uint64_t revision_ = 0;
    std::map<std::string, Document> documents_;
};

}  // namespace kled::api
