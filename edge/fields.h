/// Reading a JSON object from the wire: every length and range is checked before it is used, and
/// what is wrong is said with its path ("hello.session.id: longer than 64 bytes"). Unknown fields
/// are left alone: a newer minor version may send them.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace kled::edge {

namespace json = boost::json;

/// One message: Error(invalid) "<what>: …" unless `payload` is a JSON object of at most
/// `limit_bytes` bytes.
[[nodiscard]] json::object parse_message(std::string_view what, std::string_view payload,
                                         std::size_t limit_bytes);

/// A view of an object and its path, both outlive it. Every call throws Error(invalid) when the
/// field is absent, of another type, or out of its bounds; the `…_or` forms take absence as the
/// default.
class Fields {
public:
    Fields(const json::object& object, std::string path)
        : object_{object}, path_{std::move(path)} {}

    [[nodiscard]] bool has(std::string_view key) const noexcept { return object_.contains(key); }
    [[nodiscard]] std::string text(std::string_view key, std::size_t longest) const;
    [[nodiscard]] std::string text_or(std::string_view key, std::size_t longest,
                                      std::string_view absent) const;
    [[nodiscard]] std::uint64_t number(std::string_view key,
                                       std::uint64_t largest = INT64_MAX) const;
    [[nodiscard]] std::uint64_t number_or(std::string_view key, std::uint64_t largest,
                                          std::uint64_t absent) const;
    [[nodiscard]] bool flag_or(std::string_view key, bool absent) const;
    /// 64 lower-case hex digits.
    [[nodiscard]] std::string digest(std::string_view key) const;
    /// Base64 of exactly `bytes` bytes, decoded.
    [[nodiscard]] std::string bytes(std::string_view key, std::size_t bytes) const;
    [[nodiscard]] Fields object(std::string_view key) const;
    /// At most `most` elements; absent: empty.
    [[nodiscard]] const json::array& array(std::string_view key, std::size_t most) const;
    /// Element `index` of array `key`, which is an object.
    [[nodiscard]] Fields element(std::string_view key, const json::array& array,
                                 std::size_t index) const;
    [[nodiscard]] std::string path(std::string_view key) const;
    [[noreturn]] void fail(std::string_view key, std::string_view why) const;

private:
    [[nodiscard]] const json::value& at(std::string_view key) const;

    const json::object& object_;
    std::string path_;
};

}  // namespace kled::edge
