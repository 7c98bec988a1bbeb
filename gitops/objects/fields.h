/// Reading a spec with types, and reading and writing a status: what the objects have in common.
#pragma once

#include "base/clock.h"
#include "base/error.h"
#include "gitops/objects/api.h"

#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace kled::gitops {

/// Typed reading of a spec: a mistyped field is an error that names it.
class Reader {
public:
    explicit Reader(const kube::json::object* fields, std::string path = "spec")
        : fields_{fields}, path_{std::move(path)} {}

    [[nodiscard]] const std::string& path() const noexcept { return path_; }
    [[nodiscard]] Error bad(std::string_view name, const std::string& what) const {
        return {ErrorKind::invalid, path_ + "." + std::string{name} + ": " + what};
    }
    [[nodiscard]] const kube::json::value* field(std::string_view name) const {
        const auto* value = fields_ == nullptr ? nullptr : fields_->if_contains(name);
        return value == nullptr || value->is_null() ? nullptr : value;
    }
    [[nodiscard]] std::string text(std::string_view name) const {
        const auto* value = field(name);
        if (value == nullptr) return {};
        if (!value->is_string()) throw bad(name, "not a text");
        return std::string{value->get_string()};
    }
    [[nodiscard]] std::string required(std::string_view name) const {
        auto value = text(name);
        if (value.empty()) throw bad(name, "is required");
        return value;
    }
    [[nodiscard]] bool flag(std::string_view name) const {
        const auto* value = field(name);
        if (value == nullptr) return false;
        if (!value->is_bool()) throw bad(name, "not true or false");
        return value->get_bool();
    }
    [[nodiscard]] Duration duration(std::string_view name, Duration fallback) const {
        const auto value = text(name);
        if (value.empty()) return fallback;
        try {
            return parse_duration(value);
        } catch (const Error& error) {
            throw bad(name, error.what());
        }
    }
    [[nodiscard]] Reader object(std::string_view name) const {
        const auto* value = field(name);
        if (value == nullptr) return Reader{nullptr, path_ + "." + std::string{name}};
        if (!value->is_object()) throw bad(name, "not a mapping");
        return Reader{&value->get_object(), path_ + "." + std::string{name}};
    }
    [[nodiscard]] kube::json::array array(std::string_view name) const {
        const auto* value = field(name);
        if (value == nullptr) return {};
        if (!value->is_array()) throw bad(name, "not a list");
        return value->get_array();
    }
    [[nodiscard]] std::vector<Reader> objects(std::string_view name) const {
        std::vector<Reader> result;
        const auto* value = field(name);
        if (value == nullptr) return result;
        if (!value->is_array()) throw bad(name, "not a list");
        for (std::size_t i = 0; i < value->get_array().size(); ++i) {
            const auto place = std::string{name} + "[" + std::to_string(i) + "]";
            const auto& item = value->get_array()[i];
            if (!item.is_object()) throw bad(place, "not a mapping");
            result.emplace_back(&item.get_object(), path_ + "." + place);
        }
        return result;
    }
    [[nodiscard]] std::map<std::string, std::string> texts(std::string_view name) const {
        std::map<std::string, std::string> result;
        const auto inner = object(name);
        if (inner.fields_ == nullptr) return result;
        for (const auto& item : *inner.fields_) result.emplace(item.key(), inner.text(item.key()));
        return result;
    }
    /// Which of `names` are set to anything.
    [[nodiscard]] std::vector<Unsupported> unsupported(
        std::initializer_list<std::string_view> names) const {
        std::vector<Unsupported> result;
        for (const auto name : names) {
            const auto* value = field(name);
            if (value == nullptr || (value->is_bool() && !value->get_bool()) ||
                (value->is_array() && value->get_array().empty())) {
                continue;
            }
            result.push_back({path_ + "." + std::string{name}});
        }
        return result;
    }

private:
    const kube::json::object* fields_;
    std::string path_;
};

/// The GitRepository that `sourceRef` names; `ns`: where it is unless that says so.
inline Key repository_named(const Reader& spec, std::string_view ns) {
    const auto fields = spec.object("sourceRef");
    Key key{.kind = fields.text("kind"),
            .ns = fields.text("namespace"),
            .name = fields.required("name")};
    if (key.kind.empty()) key.kind = "GitRepository";
    if (key.kind != "GitRepository")
        throw fields.bad("kind", "'" + key.kind + "' is not GitRepository");
    if (key.ns.empty()) key.ns = ns;
    return key;
}

inline void append(std::vector<Unsupported>& list, std::vector<Unsupported> more) {
    list.insert(list.end(), std::make_move_iterator(more.begin()),
                std::make_move_iterator(more.end()));
}

inline void set_or_erase(kube::json::object& object, std::string_view key,
                         const std::string& value) {
    if (value.empty()) {
        if (const auto* found = object.find(key); found != object.end()) object.stable_erase(found);
    } else {
        object[key] = value;
    }
}

inline kube::json::object& status_of(kube::Object& object) {
    auto& value = object.fields()["status"];
    if (!value.is_object()) value.emplace_object();
    return value.get_object();
}

inline std::int64_t integer(const kube::json::object* status, std::string_view name) {
    const auto* value = status == nullptr ? nullptr : status->if_contains(name);
    return value != nullptr && value->is_int64() ? value->get_int64() : 0;
}

inline std::string text_in(const kube::Object& object,
                           std::initializer_list<std::string_view> path) {
    const auto* status = object.status();
    return status == nullptr ? std::string{} : std::string{kube::find_string(*status, path)};
}

}  // namespace kled::gitops
