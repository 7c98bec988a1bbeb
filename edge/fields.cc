#include "edge/fields.h"

#include "base/encoding.h"
#include "base/error.h"
#include "kube/object.h"

#include <algorithm>
#include <utility>

namespace kled::edge {

json::object parse_message(std::string_view what, std::string_view payload,
                           std::size_t limit_bytes) {
    constexpr std::size_t deepest = 64;
    if (payload.size() > limit_bytes) {
        throw Error{ErrorKind::invalid, std::string{what} + ": " + std::to_string(payload.size()) +
                                            " bytes, at most " + std::to_string(limit_bytes) +
                                            " are allowed"};
    }
    try {
        auto value = kube::parse_json(payload, deepest);
        if (auto* object = value.if_object()) return std::move(*object);
    } catch (const Error& error) {
        throw error.within(what);
    }
    throw Error{ErrorKind::invalid, std::string{what} + ": not a JSON object"};
}

std::string Fields::path(std::string_view key) const { return path_ + "." + std::string{key}; }

void Fields::fail(std::string_view key, std::string_view why) const {
    throw Error{ErrorKind::invalid, path(key) + ": " + std::string{why}};
}

const json::value& Fields::at(std::string_view key) const {
    const auto* value = object_.if_contains(key);
    if (value == nullptr) fail(key, "is missing");
    return *value;
}

std::string Fields::text(std::string_view key, std::size_t longest) const {
    const auto* text = at(key).if_string();
    if (text == nullptr) fail(key, "must be text");
    if (text->size() > longest) fail(key, "longer than " + std::to_string(longest) + " bytes");
    return {text->data(), text->size()};
}

std::string Fields::text_or(std::string_view key, std::size_t longest,
                            std::string_view absent) const {
    return has(key) ? text(key, longest) : std::string{absent};
}

std::uint64_t Fields::number(std::string_view key, std::uint64_t largest) const {
    const auto& value = at(key);
    std::uint64_t number = 0;
    if (value.is_uint64()) {
        number = value.get_uint64();
    } else if (value.is_int64() && value.get_int64() >= 0) {
        number = static_cast<std::uint64_t>(value.get_int64());
    } else {
        fail(key, "must be a whole number from 0");
    }
    if (number > largest) fail(key, "must be at most " + std::to_string(largest));
    return number;
}

std::uint64_t Fields::number_or(std::string_view key, std::uint64_t largest,
                                std::uint64_t absent) const {
    return has(key) ? number(key, largest) : absent;
}

bool Fields::flag_or(std::string_view key, bool absent) const {
    if (!has(key)) return absent;
    const auto* flag = at(key).if_bool();
    if (flag == nullptr) fail(key, "must be true or false");
    return *flag;
}

std::string Fields::digest(std::string_view key) const {
    auto digest = text(key, 64);
    const auto hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
    if (digest.size() != 64 || !std::ranges::all_of(digest, hex))
        fail(key, "must be 64 lower-case hex digits");
    return digest;
}

std::string Fields::bytes(std::string_view key, std::size_t bytes) const {
    auto decoded = from_base64(text(key, bytes * 2 + 4));
    if (!decoded || decoded->size() != bytes)
        fail(key, "must be " + std::to_string(bytes) + " bytes in base64");
    return *std::move(decoded);
}

Fields Fields::object(std::string_view key) const {
    const auto* object = at(key).if_object();
    if (object == nullptr) fail(key, "must be an object");
    return {*object, path(key)};
}

const json::array& Fields::array(std::string_view key, std::size_t most) const {
    static const json::array none;
    if (!has(key)) return none;
    const auto* array = at(key).if_array();
    if (array == nullptr) fail(key, "must be a list");
    if (array->size() > most) fail(key, "more than " + std::to_string(most) + " elements");
    return *array;
}

Fields Fields::element(std::string_view key, const json::array& array, std::size_t index) const {
    auto place = path(key) + "[" + std::to_string(index) + "]";
    const auto* object = array[index].if_object();
    if (object == nullptr) throw Error{ErrorKind::invalid, place + ": must be an object"};
    return {*object, std::move(place)};
}

}  // namespace kled::edge
