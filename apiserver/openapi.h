/// OpenAPI v3 as kubectl reads it for apply, diff and explain: an index, and a document for each
/// group and version. Generated from the schema table and from CustomResourceDefinitions.
#pragma once

#include "apiserver/registry.h"
#include "net/http.h"

#include <map>
#include <string>

namespace kled::api {

struct Answer;

class OpenApi {
public:
    /// `registry` outlives it.
    explicit OpenApi(const Registry& registry) : registry_{registry} {}
    /// Refusal 404 for a path below /openapi/ that is none.
    [[nodiscard]] Answer answer(const net::Target& target, const net::Request& request);

private:
    [[nodiscard]] std::string index();
    [[nodiscard]] std::string document(std::string_view group, std::string_view version) const;
    [[nodiscard]] const std::string& hash(std::string_view group, std::string_view version);

    const Registry& registry_;
    std::uint64_t revision_ = 0;
    std::map<std::string, std::string> hashes_;
};

}  // namespace kled::api
