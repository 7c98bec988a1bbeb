#include "kube/object.h"

#include "base/error.h"

#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/value_stack.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>

namespace kled::kube {

namespace {

/// What boost::json::parse builds, but with every double correctly rounded (its own conversion may
/// be off by a unit in the last place) and whole doubles as integers.
class JsonHandler {
public:
    static constexpr std::size_t max_object_size = json::object::max_size();
    static constexpr std::size_t max_array_size = json::array::max_size();
    static constexpr std::size_t max_key_size = json::string::max_size();
    static constexpr std::size_t max_string_size = json::string::max_size();

    json::value release() { return stack_.release(); }
    void reset() { stack_.reset(); }

    using Failure = boost::system::error_code;
    bool on_document_begin(Failure&) { return true; }
    bool on_document_end(Failure&) { return true; }
    bool on_object_begin(Failure&) { return true; }
    bool on_object_end(std::size_t n, Failure&) { return stack_.push_object(n), true; }
    bool on_array_begin(Failure&) { return true; }
    bool on_array_end(std::size_t n, Failure&) { return stack_.push_array(n), true; }
    bool on_key_part(json::string_view s, std::size_t, Failure&) {
        return stack_.push_chars(s), true;
    }
    bool on_key(json::string_view s, std::size_t, Failure&) { return stack_.push_key(s), true; }
    bool on_string_part(json::string_view s, std::size_t, Failure&) {
        return stack_.push_chars(s), true;
    }
    bool on_string(json::string_view s, std::size_t, Failure&) {
        return stack_.push_string(s), true;
    }
    bool on_number_part(json::string_view s, Failure&) { return number_.append(s), true; }
    bool on_int64(std::int64_t i, json::string_view, Failure&) {
        number_.clear();
        return stack_.push_int64(i), true;
    }
    bool on_uint64(std::uint64_t u, json::string_view, Failure&) {
        number_.clear();
        return stack_.push_uint64(u), true;
    }
    bool on_double(double d, json::string_view s, Failure& failure) {
        number_.append(s);
        const auto* end = number_.data() + number_.size();
        // Out of range leaves `d` as it is: infinity or zero.
        if (double exact = 0; std::from_chars(number_.data(), end, exact).ec == std::errc{})
            d = exact;
        number_.clear();
        if (!std::isfinite(d)) {
            failure = json::error::exponent_overflow;
            return false;
        }
        const auto value = number_value(d);
        if (value.is_int64()) {
            stack_.push_int64(value.get_int64());
        } else if (value.is_uint64()) {
            stack_.push_uint64(value.get_uint64());
        } else {
            stack_.push_double(d);
        }
        return true;
    }
    bool on_bool(bool b, Failure&) { return stack_.push_bool(b), true; }
    bool on_null(Failure&) { return stack_.push_null(), true; }
    bool on_comment_part(json::string_view, Failure&) { return true; }
    bool on_comment(json::string_view, Failure&) { return true; }

private:
    json::value_stack stack_;
    std::string number_;
};

void write_string(std::string& out, std::string_view text) {
    constexpr std::string_view digits = "0123456789abcdef";
    out += '"';
    std::size_t written = 0;
    for (std::size_t i = 0; i != text.size(); ++i) {
        const auto c = static_cast<unsigned char>(text[i]);
        if (c >= 0x20 && c != '"' && c != '\\') continue;
        out.append(text, written, i - written);
        written = i + 1;
        out += '\\';
        switch (c) {
            case '"': out += '"'; break;
            case '\\': out += '\\'; break;
            case '\b': out += 'b'; break;
            case '\f': out += 'f'; break;
            case '\n': out += 'n'; break;
            case '\r': out += 'r'; break;
            case '\t': out += 't'; break;
            default: out.append("u00") += digits[c >> 4U], out += digits[c & 0xFU];
        }
    }
    out.append(text, written);
    out += '"';
}

template <typename Integer>
void write_integer(std::string& out, Integer value) {
    std::array<char, 20> text{};
    out.append(text.data(), std::to_chars(text.data(), text.data() + text.size(), value).ptr);
}

// Recursion is as deep as the value: what parse_json and parse_yaml let through.
void write(std::string& out, const json::value& value, bool sorted);

void write(std::string& out, const json::object& object, bool sorted) {
    out += '{';
    bool first = true;
    const auto member = [&](const json::key_value_pair& entry) {
        if (!first) out += ',';
        first = false;
        write_string(out, entry.key());
        out += ':';
        write(out, entry.value(), sorted);
    };
    if (sorted) {
        std::vector<const json::key_value_pair*> entries;
        entries.reserve(object.size());
        for (const auto& entry : object) entries.push_back(&entry);
        std::ranges::sort(entries, {}, [](const auto* entry) { return entry->key(); });
        for (const auto* entry : entries) member(*entry);
    } else {
        for (const auto& entry : object) member(entry);
    }
    out += '}';
}

void write(std::string& out, const json::value& value, bool sorted) {
    switch (value.kind()) {
        case json::kind::null: out += "null"; break;
        case json::kind::bool_: out += value.get_bool() ? "true" : "false"; break;
        case json::kind::int64: write_integer(out, value.get_int64()); break;
        case json::kind::uint64: write_integer(out, value.get_uint64()); break;
        case json::kind::double_: out += json_number(value.get_double()); break;
        case json::kind::string: write_string(out, value.get_string()); break;
        case json::kind::array: {
            out += '[';
            bool first = true;
            for (const auto& element : value.get_array()) {
                if (!first) out += ',';
                first = false;
                write(out, element, sorted);
            }
            out += ']';
            break;
        }
        case json::kind::object: write(out, value.get_object(), sorted); break;
    }
}

std::string to_text(const json::value& value, bool sorted) {
    std::string out;
    write(out, value, sorted);
    return out;
}

std::string_view text_of(const json::value* value) noexcept {
    const auto* text = value == nullptr ? nullptr : value->if_string();
    return text == nullptr ? std::string_view{} : std::string_view{*text};
}

/// fields[key] as a mapping, made (or made one) if it is not.
json::object& child(json::object& fields, std::string_view key) {
    auto& value = fields[key];
    if (!value.is_object()) value.emplace_object();
    return value.get_object();
}

}  // namespace

json::value parse_json(std::string_view text, std::size_t max_depth) {
    json::parse_options options;
    options.max_depth = max_depth;
    json::basic_parser<JsonHandler> parser{options};
    boost::system::error_code failure;
    parser.handler().reset();
    const auto used = parser.write_some(false, text.data(), text.size(), failure);
    if (!failure && used != text.size()) failure = json::error::extra_data;
    if (failure) {
        const auto kind =
            failure == json::error::too_deep ? ErrorKind::exhausted : ErrorKind::invalid;
        throw Error{kind, "JSON: byte " + std::to_string(used) + ": " + failure.message()};
    }
    return parser.handler().release();
}

std::string to_json(const json::value& value) { return to_text(value, false); }

std::string to_canonical_json(const json::value& value) { return to_text(value, true); }

json::value number_value(double number) {
    // Beyond 2^64 nothing fits; Go prints the shortest digits, filled with zeros, and reads those.
    if (std::trunc(number) != number || std::abs(number) >= 18446744073709551616.0) {
        return json::value(number);
    }
    const auto text = json_number(number);
    const auto* end = text.data() + text.size();
    if (std::int64_t i = 0; std::from_chars(text.data(), end, i).ec == std::errc{}) {
        return json::value(i);
    }
    if (std::uint64_t u = 0; std::from_chars(text.data(), end, u).ec == std::errc{}) {
        return json::value(u);
    }
    return json::value(number);
}

std::string json_number(double number) {
    if (!std::isfinite(number)) {
        throw Error{ErrorKind::invalid, "JSON has no infinity and no NaN"};
    }
    std::array<char, 32> buffer{};
    const auto* end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), number,
                                    std::chars_format::scientific)
                          .ptr;
    std::string_view text{buffer.data(), static_cast<std::size_t>(end - buffer.data())};
    std::string out;
    if (text.front() == '-') {
        out += '-';
        text.remove_prefix(1);
    }
    const auto e = text.find('e');
    int exponent = 0;
    const auto* digits = text.data() + e + 1;
    std::from_chars(*digits == '+' ? digits + 1 : digits, end, exponent);
    if (const auto size = std::abs(number); size != 0 && (size < 1e-6 || size >= 1e21)) {
        out.append(text, 0, e).append(exponent < 0 ? "e" : "e+");
        return out.append(std::to_string(exponent));
    }
    std::string mantissa{text.substr(0, 1)};
    if (e > 2) mantissa.append(text, 2, e - 2);
    if (exponent < 0) {
        return out.append("0.")
            .append(static_cast<std::size_t>(-exponent) - 1, '0')
            .append(mantissa);
    }
    const auto whole = static_cast<std::size_t>(exponent) + 1;
    if (mantissa.size() <= whole) {
        if (mantissa == "0") out.clear();  // -0 is 0
        return out.append(mantissa).append(whole - mantissa.size(), '0');
    }
    return out.append(mantissa, 0, whole).append(".").append(mantissa, whole);
}

const json::value* find(const json::object& root,
                        std::initializer_list<std::string_view> path) noexcept {
    const json::object* object = &root;
    const json::value* value = nullptr;
    for (const auto step : path) {
        if (object == nullptr) return nullptr;
        value = object->if_contains(step);
        if (value == nullptr) return nullptr;
        object = value->if_object();
    }
    return value;
}

const json::value* find(const json::value& root,
                        std::initializer_list<std::string_view> path) noexcept {
    if (path.size() == 0) return &root;
    const auto* object = root.if_object();
    return object == nullptr ? nullptr : find(*object, path);
}

std::string_view find_string(const json::object& root,
                             std::initializer_list<std::string_view> path) noexcept {
    return text_of(find(root, path));
}

Object Object::from(json::value value) {
    if (!value.is_object()) {
        throw Error{ErrorKind::invalid, "an object must be a mapping, not a " +
                                            std::string{json::to_string(value.kind())}};
    }
    return Object{std::move(value.get_object())};
}

std::string_view Object::api_version() const noexcept {
    return find_string(fields_, {"apiVersion"});
}
std::string_view Object::kind() const noexcept { return find_string(fields_, {"kind"}); }
std::string_view Object::name() const noexcept {
    return find_string(fields_, {"metadata", "name"});
}
std::string_view Object::ns() const noexcept {
    return find_string(fields_, {"metadata", "namespace"});
}
std::string_view Object::uid() const noexcept { return find_string(fields_, {"metadata", "uid"}); }
std::string_view Object::resource_version() const noexcept {
    return find_string(fields_, {"metadata", "resourceVersion"});
}

std::int64_t Object::generation() const noexcept {
    const auto* value = find(fields_, {"metadata", "generation"});
    const auto* number = value == nullptr ? nullptr : value->if_int64();
    return number == nullptr ? 0 : *number;
}

bool Object::deleting() const noexcept {
    return !find_string(fields_, {"metadata", "deletionTimestamp"}).empty();
}

GroupVersionKind Object::gvk() const { return GroupVersionKind::parse(api_version(), kind()); }

ObjectId Object::id() const {
    return {.group = gvk().group,
            .kind = std::string{kind()},
            .ns = std::string{ns()},
            .name = std::string{name()}};
}

std::string_view Object::label(std::string_view key) const noexcept {
    return find_string(fields_, {"metadata", "labels", key});
}

std::string_view Object::annotation(std::string_view key) const noexcept {
    return find_string(fields_, {"metadata", "annotations", key});
}

// The value may be a part of this very object, which moves when a key is added: copied first.

void Object::set_label(std::string_view key, std::string_view value) {
    json::string text{value};
    child(metadata(), "labels")[key] = std::move(text);
}

void Object::set_annotation(std::string_view key, std::string_view value) {
    json::string text{value};
    child(metadata(), "annotations")[key] = std::move(text);
}

void Object::set_name(std::string_view name) {
    json::string text{name};
    metadata()["name"] = std::move(text);
}

void Object::set_namespace(std::string_view ns) {
    json::string text{ns};
    metadata()["namespace"] = std::move(text);
}

json::object& Object::metadata() {
    if (fields_.contains("metadata")) return child(fields_, "metadata");
    // A json::object grows at its end only: apiVersion, kind, metadata, then the rest again.
    json::object ordered{fields_.storage()};
    ordered.reserve(fields_.size() + 1);
    for (const auto* key : {"apiVersion", "kind"}) {
        if (auto* value = fields_.if_contains(key)) ordered.emplace(key, std::move(*value));
    }
    ordered.emplace("metadata", json::object(fields_.storage()));
    for (auto& [key, value] : fields_) {
        if (key != "apiVersion" && key != "kind") ordered.emplace(key, std::move(value));
    }
    fields_ = std::move(ordered);
    return fields_["metadata"].get_object();
}

const json::object* Object::metadata() const noexcept {
    const auto* value = fields_.if_contains("metadata");
    return value == nullptr ? nullptr : value->if_object();
}

const json::object* Object::spec() const noexcept {
    const auto* value = fields_.if_contains("spec");
    return value == nullptr ? nullptr : value->if_object();
}

const json::object* Object::status() const noexcept {
    const auto* value = fields_.if_contains("status");
    return value == nullptr ? nullptr : value->if_object();
}

std::string Origin::at(std::string_view pointer) const {
    int best = line;
    while (lines != nullptr && !pointer.empty()) {
        if (const auto known = lines->find(pointer); known != lines->end()) {
            best = known->second;
            break;
        }
        const auto slash = pointer.rfind('/');
        pointer = pointer.substr(0, slash == std::string_view::npos ? 0 : slash);
    }
    return best == 0 ? file : file + ":" + std::to_string(best);
}

}  // namespace kled::kube
