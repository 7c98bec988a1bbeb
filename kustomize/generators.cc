#include "base/encoding.h"
#include "base/error.h"
#include "kustomize/scalar.h"
#include "kustomize/transformers.h"

#include <algorithm>

namespace kled::kustomize {

namespace {

/// Key → value, each key once.
class Data {
public:
    void add(const std::string& key, std::string value) {
        if (!pairs_.emplace(key, std::move(value)).second) {
            throw Error{ErrorKind::invalid, "the key " + key + " is there twice"};
        }
    }

    void add_literal(const std::string& source) {
        const auto equals = source.find('=');
        if (equals == std::string::npos || equals == 0) {
            throw Error{ErrorKind::invalid, "literals: expected key=value, found `" + source + "`"};
        }
        auto value = source.substr(equals + 1);
        const bool quoted = value.size() >= 2 && value.front() == value.back() &&
                            (value.front() == '"' || value.front() == '\'');
        if (quoted) value = value.substr(1, value.size() - 2);
        add(source.substr(0, equals), std::move(value));
    }

    void add_file(const std::string& source, const Root& root) {
        const auto equals = source.find('=');
        if (equals == std::string::npos) {
            add(source.substr(source.rfind('/') + 1), root.read_file(source));
            return;
        }
        const auto path = source.substr(equals + 1);
        if (equals == 0 || path.empty() || path.find('=') != std::string::npos) {
            throw Error{ErrorKind::invalid,
                        "files: expected path or key=path, found `" + source + "`"};
        }
        add(source.substr(0, equals), root.read_file(path));
    }

    void add_env_file(const std::string& path, const Root& root) {
        const auto text = root.read_file(path);
        std::string_view rest = text;
        if (rest.starts_with("\xEF\xBB\xBF")) rest.remove_prefix(3);
        while (!rest.empty()) {
            const auto end = std::min(rest.find('\n'), rest.size());
            auto line = rest.substr(0, end);
            rest.remove_prefix(std::min(end + 1, rest.size()));
            if (line.ends_with('\r')) line.remove_suffix(1);
            if (!is_utf8(line)) throw Error{ErrorKind::invalid, "envs: " + path + " is not UTF-8"};
            line.remove_prefix(std::min(line.find_first_not_of(" \t\v\f\r"), line.size()));
            if (line.empty() || line.front() == '#') continue;
            const auto equals = std::min(line.find('='), line.size());
            if (equals == 0) continue;
            add(std::string{line.substr(0, equals)},
                std::string{line.substr(std::min(equals + 1, line.size()))});
        }
    }

    [[nodiscard]] const Pairs& pairs() const noexcept { return pairs_; }

private:
    Pairs pairs_;
};

json::object config_map_data(const Pairs& pairs, json::object& binary) {
    json::object data;
    for (const auto& [key, value] : pairs) {
        if (is_utf8(value)) {
            data[key] = value;
        } else {
            binary[key] = base64_lines(value);
        }
    }
    return data;
}

Behavior behavior_of(const std::string& name) {
    if (name == "create") return Behavior::create;
    if (name == "replace") return Behavior::replace;
    if (name == "merge") return Behavior::merge;
    return Behavior::unspecified;
}

void add_metadata(json::object& metadata, const char* field, const Pairs& pairs) {
    if (pairs.empty()) return;
    auto& map = metadata[field].emplace_object();
    for (const auto& [key, value] : pairs) map[key] = value;
}

ResourceMap::Item make(const Generator& generator, const Root& root) {
    if (generator.name.empty()) throw Error{ErrorKind::invalid, "name: a generator needs one"};
    Data data;
    for (const auto& path : generator.envs) data.add_env_file(path, root);
    for (const auto& source : generator.literals) data.add_literal(source);
    for (const auto& source : generator.files) data.add_file(source, root);

    json::object object{{"apiVersion", "v1"}, {"kind", generator.secret ? "Secret" : "ConfigMap"}};
    auto& metadata = object["metadata"].emplace_object();
    metadata["name"] = generator.name;
    if (!generator.ns.empty()) metadata["namespace"] = generator.ns;
    add_metadata(metadata, "labels", generator.options.labels);
    add_metadata(metadata, "annotations", generator.options.annotations);
    if (generator.secret) {
        object["type"] = generator.type.empty() ? "Opaque" : generator.type;
        auto& encoded = object["data"].emplace_object();
        for (const auto& [key, value] : data.pairs()) encoded[key] = base64_lines(value);
    } else {
        json::object binary;
        auto text = config_map_data(data.pairs(), binary);
        if (!text.empty()) object["data"] = std::move(text);
        if (!binary.empty()) object["binaryData"] = std::move(binary);
    }
    if (generator.options.immutable) object["immutable"] = true;

    auto resource = std::make_unique<Resource>();
    resource->object = kube::Object{std::move(object)};
    resource->needs_hash = !generator.options.disable_name_suffix_hash;
    resource->behavior = behavior_of(generator.behavior);
    resource->refresh();
    return resource;
}

}  // namespace

ResourceMap::Item generate(const Generator& generator, const Root& root) {
    try {
        return make(generator, root);
    } catch (const Error& error) {
        throw Error{error.kind(), generator.at + error.what()};
    }
}

}  // namespace kled::kustomize
