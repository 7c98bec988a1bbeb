/// Stored bytes in the form a client asked for: as they are, as rows of a table, or metadata alone.
#pragma once

#include "apiserver/registry.h"
#include "apiserver/request.h"
#include "apiserver/storage.h"
#include "base/clock.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kled::api {

struct ListMeta {
    Version version = 0;
    std::string continue_token;
    std::optional<std::size_t> remaining;
};

/// `now`: what the ages in a table are counted from.
class Renderer {
public:
    Renderer(ResourcePtr resource, Form form) : resource_{std::move(resource)}, form_{form} {}

    [[nodiscard]] std::string object(const Bytes& bytes, WallTime now) const;
    [[nodiscard]] std::string list(const std::vector<Bytes>& items, const ListMeta& meta,
                                   WallTime now) const;

    /// One line of a watch. `type`: ADDED, MODIFIED, DELETED. `version` replaces the object's own
    /// when given. The first line of tables has the column definitions.
    void event(std::string& out, std::string_view type, const Bytes& bytes,
               std::optional<Version> version, WallTime now);
    /// `initial_end`: the mark that the initial events are all sent.
    void bookmark(std::string& out, Version version, bool initial_end) const;

    [[nodiscard]] std::string content_type() const;
    [[nodiscard]] const Form& form() const noexcept { return form_; }

private:
    [[nodiscard]] json::object table(const std::vector<Bytes>& items, const ListMeta& meta,
                                     bool headers, WallTime now) const;
    [[nodiscard]] const kube::TablePrinter& printer() const;
    [[nodiscard]] std::string finish(std::string text) const;

    ResourcePtr resource_;
    Form form_;
    bool headers_sent_ = false;
};

}  // namespace kled::api
