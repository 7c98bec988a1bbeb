/// The one object model: Kubernetes objects as JSON with key order kept.
#pragma once

#include "kube/gvk.h"

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kled::kube {

namespace json = boost::json;

/// Parses JSON as an API server does: UTF-8, one value, at most `max_depth` deep, integers kept as
/// 64 bits, whole doubles below 2^64 as integers (Go writes them so). Error(invalid) with the byte
/// offset; Error(exhausted) when it is deeper. A repeated key: the last one counts.
[[nodiscard]] json::value parse_json(std::string_view text, std::size_t max_depth = 512);
/// Compact, in key order; numbers as Go's encoder writes them. Error(invalid) for a NaN or
/// infinity.
[[nodiscard]] std::string to_json(const json::value& value);
/// Compact with sorted keys at every level: equal values give equal bytes (digests, signatures).
[[nodiscard]] std::string to_canonical_json(const json::value& value);

/// A double as Go's encoder writes it: shortest digits, `1` for 1.0, `1e-7`, `1e+21`.
[[nodiscard]] std::string json_number(double number);
/// The number as read again from that text: an int64 or uint64 when it is whole and fits.
[[nodiscard]] json::value number_value(double number);

/// Null-safe walks: nullptr, or empty, where a step is absent or of another type.
[[nodiscard]] const json::value* find(const json::value& root,
                                      std::initializer_list<std::string_view> path) noexcept;
[[nodiscard]] const json::value* find(const json::object& root,
                                      std::initializer_list<std::string_view> path) noexcept;
[[nodiscard]] std::string_view find_string(const json::object& root,
                                           std::initializer_list<std::string_view> path) noexcept;

/// A thin owner of a `json::object` with names for what every Kubernetes object has. Reading never
/// throws: an absent or mistyped field is empty. To erase a key use `fields().stable_erase`.
class Object {
public:
    Object() = default;
    explicit Object(json::object fields) : fields_{std::move(fields)} {}
    /// Error(invalid) unless `value` is a mapping.
    static Object from(json::value value);

    [[nodiscard]] const json::object& fields() const noexcept { return fields_; }
    [[nodiscard]] json::object& fields() noexcept { return fields_; }

    [[nodiscard]] std::string_view api_version() const noexcept;
    [[nodiscard]] std::string_view kind() const noexcept;
    [[nodiscard]] std::string_view name() const noexcept;
    [[nodiscard]] std::string_view ns() const noexcept;
    [[nodiscard]] std::string_view uid() const noexcept;
    [[nodiscard]] std::string_view resource_version() const noexcept;
    [[nodiscard]] std::int64_t generation() const noexcept;
    [[nodiscard]] bool deleting() const noexcept;  ///< metadata.deletionTimestamp is set
    [[nodiscard]] GroupVersionKind gvk() const;
    [[nodiscard]] ObjectId id() const;

    [[nodiscard]] std::string_view label(std::string_view key) const noexcept;
    [[nodiscard]] std::string_view annotation(std::string_view key) const noexcept;
    void set_label(std::string_view key, std::string_view value);
    void set_annotation(std::string_view key, std::string_view value);
    void set_name(std::string_view name);
    void set_namespace(std::string_view ns);
    /// metadata, made if absent (after apiVersion and kind).
    json::object& metadata();
    [[nodiscard]] const json::object* metadata() const noexcept;
    [[nodiscard]] const json::object* spec() const noexcept;
    [[nodiscard]] const json::object* status() const noexcept;

    bool operator==(const Object& other) const { return fields_ == other.fields_; }

private:
    json::object fields_;
};

/// Where a document stood, for messages: file, its first line, and a line for every path below it.
struct Origin {
    std::string file;
    int line = 0;
    /// JSON pointer → line of the key; shared because most copies of an object never ask.
    std::shared_ptr<const std::map<std::string, int, std::less<>>> lines;

    /// "file:line" of the deepest part of `pointer` that has a line.
    [[nodiscard]] std::string at(std::string_view pointer) const;
};

struct LoadedObject {
    Object object;
    Origin origin;
};

}  // namespace kled::kube
