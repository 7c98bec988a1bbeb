#include "kube/yaml.h"

#include "base/error.h"
#include "kube/yaml_reader.h"

#include <algorithm>
#include <deque>

namespace kled::kube {

namespace {

bool is_empty(const json::value& value) {
    return value.is_null() || (value.is_object() && value.get_object().empty()) ||
           (value.is_array() && value.get_array().empty());
}

std::string without_carriage_returns(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i != text.size(); ++i) {
        if (text[i] != '\r' || i + 1 == text.size() || text[i + 1] != '\n') out += text[i];
    }
    return out;
}

std::vector<Read> read_stream(std::string_view text, const YamlOptions& options) {
    const bool manifest = options.dialect == YamlDialect::manifest;
    std::string cleaned;
    if (manifest && text.find("\r\n") != std::string_view::npos) {
        text = cleaned = without_carriage_returns(text);
    }
    std::vector<Read> documents;
    int line = 0;
    const auto read = [&](std::string_view chunk) {
        auto document = read_yaml(chunk, options, line);
        if (document && !is_empty(document->document.value))
            documents.push_back(std::move(*document));
    };
    // A chunk begins at `begin`; a separator is a line of its own behind `from`.
    std::size_t begin = 0;
    std::size_t from = 0;
    for (;;) {
        std::size_t separator = std::string_view::npos;
        if (!manifest && from == begin && text.substr(begin).starts_with("---")) {
            separator = begin;
        } else if (const auto at = text.find("\n---", from); at != std::string_view::npos) {
            separator = at + 1;
        }
        if (separator == std::string_view::npos) break;
        const auto end = text.find('\n', separator);
        if (end == std::string_view::npos && manifest) break;
        const auto chunk = text.substr(begin, separator - begin);
        if (!manifest && chunk.starts_with('%')) {  // directives belong to what follows
            from = separator + 3;
            continue;
        }
        auto rest =
            text.substr(separator + 3, end == std::string_view::npos ? end : end - separator - 3);
        const auto content = rest.find_first_not_of(" \t\r\v\f");
        line += static_cast<int>(std::ranges::count(chunk, '\n'));
        if (content != std::string_view::npos && rest[content] != '#') {
            throw Error{ErrorKind::invalid, (options.file.empty() ? "yaml" : options.file) + ":" +
                                                std::to_string(line + 1) +
                                                ":1: invalid document separator: ---" +
                                                std::string{rest.substr(0, 60)}};
        }
        line -= static_cast<int>(std::ranges::count(chunk, '\n'));
        read(chunk);
        if (end == std::string_view::npos) return documents;
        line += static_cast<int>(std::ranges::count(chunk, '\n')) + 1;
        begin = from = end + 1;
    }
    read(text.substr(begin));
    return documents;
}

/// The lines below `pointer`, counted from it.
Origin origin_of_item(const Read& read, std::size_t index) {
    Origin origin{
        .file = read.document.origin.file, .line = read.document.origin.line, .lines = {}};
    if (index < read.item_lines.size()) origin.line = read.item_lines[index];
    if (const auto& lines = read.document.origin.lines) {
        const auto prefix = "/items/" + std::to_string(index) + "/";
        std::map<std::string, int, std::less<>> below;
        for (auto at = lines->lower_bound(prefix);
             at != lines->end() && at->first.starts_with(prefix); ++at) {
            below.emplace(at->first.substr(prefix.size() - 1), at->second);
        }
        origin.lines =
            std::make_shared<const std::map<std::string, int, std::less<>>>(std::move(below));
    }
    return origin;
}

bool is_list(const Object& object) {
    return object.kind().ends_with("List") && object.fields().contains("items");
}

[[noreturn]] void refuse(const Origin& origin, const std::string& what) {
    const auto where = origin.at("");
    throw Error{ErrorKind::invalid, where.empty() ? what : where + ": " + what};
}

Object checked(json::value value, const Origin& origin) {
    if (!value.is_object())
        refuse(origin,
               "not a Kubernetes object: a mapping with apiVersion, kind and metadata is needed");
    auto object = Object::from(std::move(value));
    if (object.kind().empty()) refuse(origin, "the object has no kind");
    if (object.api_version().empty())
        refuse(origin, "the " + std::string{object.kind()} + " has no apiVersion");
    if (is_list(object)) return object;
    // A name that is a number is the API server's to refuse.
    const auto* name = find(object.fields(), {"metadata", "name"});
    if (name == nullptr || name->is_null() || (name->is_string() && name->get_string().empty())) {
        refuse(origin, "the " + std::string{object.kind()} + " has no metadata.name");
    }
    return object;
}

}  // namespace

json::value parse_yaml(std::string_view text, const YamlOptions& options) {
    auto read = read_yaml(text, options, 0);
    return read ? std::move(read->document.value) : json::value{};
}

std::vector<YamlDocument> parse_yaml_stream(std::string_view text, const YamlOptions& options) {
    std::vector<YamlDocument> documents;
    for (auto& read : read_stream(text, options)) documents.push_back(std::move(read.document));
    return documents;
}

std::vector<LoadedObject> load_manifest(std::string_view text, const YamlOptions& options) {
    std::vector<LoadedObject> objects;
    std::deque<Read> lists;
    const auto take = [&](Read read) {
        auto object = checked(std::move(read.document.value), read.document.origin);
        if (!is_list(object)) {
            objects.push_back({std::move(object), std::move(read.document.origin)});
            return;
        }
        read.document.value = std::move(object.fields());
        lists.push_back(std::move(read));
    };
    for (auto& read : read_stream(text, options)) take(std::move(read));
    while (!lists.empty()) {
        auto list = std::move(lists.front());
        lists.pop_front();
        auto& items = list.document.value.get_object()["items"];
        if (items.is_null()) continue;
        if (!items.is_array()) refuse(list.document.origin, "items is not a list");
        std::size_t index = 0;
        for (auto& item : items.get_array()) {
            Read read{.document = {.value = std::move(item), .origin = origin_of_item(list, index)},
                      .item_lines = {}};
            ++index;
            take(std::move(read));
        }
    }
    return objects;
}

}  // namespace kled::kube
