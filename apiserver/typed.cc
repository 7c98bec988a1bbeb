#include "apiserver/typed.h"

#include "apiserver/status.h"

#include <boost/json/basic_parser_impl.hpp>

#include <set>
#include <utility>

namespace kled::api {

namespace {

using Kind = kube::TypeSchema::Kind;

std::string_view short_name(std::string_view name) { return name.substr(name.rfind('.') + 1); }

/// How Go prints the type in its error: "v1.PodSpec" is the last two parts of the name.
std::string go_name(const kube::TypeSchema& type) {
    switch (type.kind()) {
        case Kind::string: return "string";
        case Kind::bytes: return "[]uint8";
        case Kind::boolean: return "bool";
        case Kind::int32: return "int32";
        case Kind::int64: return "int64";
        case Kind::number: return "float64";
        case Kind::time: return "v1.Time";
        case Kind::micro_time: return "v1.MicroTime";
        case Kind::duration: return "v1.Duration";
        case Kind::quantity: return "resource.Quantity";
        case Kind::int_or_string: return "intstr.IntOrString";
        case Kind::list: return "[]" + go_name(type.element());
        case Kind::map: return "map[string]" + go_name(type.element());
        case Kind::any:
        case Kind::object: break;
    }
    const auto name = type.name();
    const auto last = name.rfind('.');
    if (last == std::string_view::npos || last == 0) return std::string{name};
    return std::string{name.substr(name.rfind('.', last - 1) + 1)};
}

std::string_view json_name(const json::value& value) {
    switch (value.kind()) {
        case json::kind::object: return "object";
        case json::kind::array: return "array";
        case json::kind::string: return "string";
        case json::kind::bool_: return "bool";
        case json::kind::null: return "null";
        default: return "number";
    }
}

class Conform {
public:
    explicit Conform(const kube::GroupVersionKind& gvk) : gvk_{gvk} {}

    void object(json::object& fields, const kube::TypeSchema& type, const std::string& path) {
        std::vector<std::string> drop;
        for (auto& [key, value] : fields) {
            const auto field = type.field(key);
            const auto below = path.empty() ? std::string{key} : path + "." + std::string{key};
            if (!field) {
                unknown_.push_back("unknown field \"" + below + '"');
                drop.emplace_back(key);
            } else if (value.is_null()) {
                if (field->type.kind() != Kind::any) drop.emplace_back(key);
            } else {
                this->value(value, field->type, below, type);
            }
        }
        for (const auto& key : drop) fields.stable_erase(key);
    }

    [[nodiscard]] std::vector<std::string> unknown() { return std::move(unknown_); }

private:
    void value(json::value& value, const kube::TypeSchema& type, const std::string& path,
               const kube::TypeSchema& owner) {
        const auto wrong = [&] { throw mismatch(value, type, path, owner); };
        switch (type.kind()) {
            case Kind::any: return;
            case Kind::string:
            case Kind::bytes:
            case Kind::time:
            case Kind::micro_time:
            case Kind::duration:
                if (!value.is_string()) wrong();
                return;
            case Kind::boolean:
                if (!value.is_bool()) wrong();
                return;
            case Kind::int32:
            case Kind::int64: integer(value, type, path, owner); return;
            case Kind::number:
                if (!value.is_number()) wrong();
                return;
            case Kind::quantity:
                if (value.is_number()) value = json::value(json::string{kube::to_json(value)});
                if (!value.is_string()) wrong();
                return;
            case Kind::int_or_string:
                if (!value.is_string()) integer(value, type, path, owner);
                return;
            case Kind::object: {
                auto* fields = value.if_object();
                if (fields == nullptr) wrong();
                object(*fields, type, path);
                return;
            }
            case Kind::list: {
                auto* items = value.if_array();
                if (items == nullptr) wrong();
                for (std::size_t i = 0; i < items->size(); ++i) {
                    auto& item = (*items)[i];
                    if (item.is_null()) item = zero(type.element());
                    this->value(item, type.element(), path + "[" + std::to_string(i) + "]", owner);
                }
                return;
            }
            case Kind::map: {
                auto* entries = value.if_object();
                if (entries == nullptr) wrong();
                for (auto& [key, entry] : *entries) {
                    if (entry.is_null()) entry = zero(type.element());
                    this->value(entry, type.element(), path + "." + std::string{key}, owner);
                }
                return;
            }
        }
    }

    void integer(json::value& value, const kube::TypeSchema& type, const std::string& path,
                 const kube::TypeSchema& owner) {
        constexpr auto exact = std::int64_t{1} << 53U;
        if (const auto* real = value.if_double(); real != nullptr && *real >= -double(exact) &&
                                                  *real <= double(exact) &&
                                                  double(static_cast<std::int64_t>(*real)) == *real)
            value = static_cast<std::int64_t>(*real);
        const auto* whole = value.if_int64();
        const bool fits = whole != nullptr && (type.kind() == Kind::int64 ||
                                               (*whole >= INT32_MIN && *whole <= INT32_MAX));
        if (!fits) throw mismatch(value, type, path, owner);
    }

    /// What Go makes of a null in a list or map.
    static json::value zero(const kube::TypeSchema& type) {
        switch (type.kind()) {
            case Kind::string:
            case Kind::bytes: return json::value(json::string{});
            case Kind::boolean: return json::value(false);
            case Kind::int32:
            case Kind::int64:
            case Kind::number:
            case Kind::int_or_string: return json::value(0);
            case Kind::quantity: return json::value(json::string{"0"});
            case Kind::list: return json::value(json::array{});
            case Kind::object:
            case Kind::map: return json::value(json::object{});
            default: return nullptr;
        }
    }

    Refusal mismatch(const json::value& value, const kube::TypeSchema& type,
                     const std::string& path, const kube::TypeSchema& owner) const {
        auto got = std::string{json_name(value)};
        if (value.is_number()) got += " " + kube::to_json(value);
        return bad_request(gvk_.kind + " in version \"" + gvk_.version +
                           "\" cannot be handled as a " + gvk_.kind + ": json: cannot unmarshal " +
                           got + " into Go struct field " + std::string{short_name(owner.name())} +
                           "." + path + " of type " + go_name(type));
    }

    const kube::GroupVersionKind& gvk_;
    std::vector<std::string> unknown_;
};

void defaults(json::value& value, const kube::TypeSchema& type) {
    switch (type.kind()) {
        case Kind::list:
            for (auto& item : value.get_array()) defaults(item, type.element());
            return;
        case Kind::map:
            for (auto& entry : value.get_object()) defaults(entry.value(), type.element());
            return;
        case Kind::object: break;
        default: return;
    }
    auto& fields = value.get_object();
    for (std::size_t i = 0; i < type.field_count(); ++i) {
        const auto field = type.field_at(i);
        if (auto* present = fields.if_contains(field.name)) {
            defaults(*present, field.type);
            continue;
        }
        // Most described defaults are Go's zero values, which JSON leaves out.
        const auto text = field.default_json;
        if (text.empty() || text == "\"\"" || text == "0" || text == "{}" || text == "[]" ||
            text == "false" || text == "null")
            continue;
        fields[field.name] = kube::parse_json(text);
    }
}

/// A handler for Boost.JSON's parser that keeps only the path and the keys seen at each level.
struct DuplicateHandler {
    static constexpr std::size_t max_object_size = static_cast<std::size_t>(-1);
    static constexpr std::size_t max_array_size = static_cast<std::size_t>(-1);
    static constexpr std::size_t max_key_size = static_cast<std::size_t>(-1);
    static constexpr std::size_t max_string_size = static_cast<std::size_t>(-1);
    using error_code = boost::system::error_code;
    using string_view = json::string_view;

    struct Level {
        bool array = false;
        std::set<std::string, std::less<>> keys;
        std::string key;        // the current one of an object
        std::size_t index = 0;  // … of an array
    };
    std::vector<Level> levels;
    std::string partial;
    std::vector<std::string> duplicates;

    void end_value() {
        if (!levels.empty() && levels.back().array) ++levels.back().index;
    }
    [[nodiscard]] std::string path() const {
        std::string text;
        for (const auto& level : levels) {
            if (level.array) {
                text += "[" + std::to_string(level.index) + "]";
            } else {
                if (!text.empty()) text += '.';
                text += level.key;
            }
        }
        return text;
    }

    bool on_document_begin(error_code&) { return true; }
    bool on_document_end(error_code&) { return true; }
    bool on_array_begin(error_code&) {
        levels.push_back({.array = true, .keys = {}, .key = {}});
        return true;
    }
    bool on_array_end(std::size_t, error_code&) {
        levels.pop_back();
        end_value();
        return true;
    }
    bool on_object_begin(error_code&) {
        levels.push_back({});
        return true;
    }
    bool on_object_end(std::size_t, error_code&) {
        levels.pop_back();
        end_value();
        return true;
    }
    bool on_string_part(string_view, std::size_t, error_code&) { return true; }
    bool on_string(string_view, std::size_t, error_code&) {
        end_value();
        return true;
    }
    bool on_key_part(string_view part, std::size_t, error_code&) {
        partial += part;
        return true;
    }
    bool on_key(string_view last, std::size_t, error_code&) {
        partial += last;
        auto& level = levels.back();
        level.key = std::exchange(partial, {});
        if (!level.keys.insert(level.key).second && duplicates.size() < 100)
            duplicates.push_back("duplicate field \"" + path() + '"');
        return true;
    }
    bool on_number_part(string_view, error_code&) { return true; }
    bool on_int64(std::int64_t, string_view, error_code&) { return on_scalar(); }
    bool on_uint64(std::uint64_t, string_view, error_code&) { return on_scalar(); }
    bool on_double(double, string_view, error_code&) { return on_scalar(); }
    bool on_bool(bool, error_code&) { return on_scalar(); }
    bool on_null(error_code&) { return on_scalar(); }
    bool on_comment_part(string_view, error_code&) { return true; }
    bool on_comment(string_view, error_code&) { return true; }
    bool on_scalar() {
        end_value();
        return true;
    }
};

}  // namespace

std::vector<std::string> conform(json::object& object, const kube::GroupVersionKind& gvk) {
    const auto type = kube::schema_of(gvk);
    if (!type) return {};
    Conform conform{gvk};
    conform.object(object, *type, "");
    return conform.unknown();
}

std::vector<std::string> conform_metadata(json::object& object, const kube::GroupVersionKind& gvk) {
    auto* metadata = object.if_contains("metadata");
    if (metadata == nullptr) return {};
    // Every kind has the same ObjectMeta.
    const auto type = kube::schema_of({"", "v1", "ConfigMap"})->field("metadata")->type;
    if (!metadata->is_object())
        throw bad_request(gvk.kind + " in version \"" + gvk.version + "\" cannot be handled as a " +
                          gvk.kind + ": metadata is not an object");
    Conform conform{gvk};
    conform.object(metadata->get_object(), type, "metadata");
    return conform.unknown();
}

void fill_defaults(json::object& object, const kube::GroupVersionKind& gvk) {
    const auto type = kube::schema_of(gvk);
    if (!type) return;
    json::value value(std::move(object));
    defaults(value, *type);
    object = std::move(value.get_object());
}

std::vector<std::string> duplicate_fields(std::string_view text) {
    json::parse_options options;
    options.max_depth = 512;
    json::basic_parser<DuplicateHandler> parser{options};
    boost::system::error_code error;
    parser.write_some(false, text.data(), text.size(), error);
    return std::move(parser.handler().duplicates);
}

}  // namespace kled::api
