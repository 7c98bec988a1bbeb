#include "kustomize/context.h"

#include "base/error.h"
#include "kustomize/scalar.h"

#include <deque>

namespace kled::kustomize {

namespace {

bool is_below(std::string_view path, std::string_view directory) {
    return directory.empty() || (path.starts_with(directory) && (path.size() == directory.size() ||
                                                                 path[directory.size()] == '/'));
}

bool is_url(std::string_view path) {
    return path.find("://") != path.npos || path.starts_with("git@") || path.starts_with("git::") ||
           path.starts_with("github.com/") || path.starts_with("github.com:");
}

/// "a,b" of an annotation; empty when it is absent.
std::vector<std::string> annotation_list(const Resource& resource, std::string_view key) {
    const auto* annotations = resource.metadata_map("annotations");
    const auto* value = annotations == nullptr ? nullptr : annotations->if_contains(key);
    if (value == nullptr) return {};
    std::vector<std::string> parts{""};
    for (const auto c : text_of(*value)) {
        if (c == ',') {
            parts.emplace_back();
        } else {
            parts.back() += c;
        }
    }
    return parts;
}

/// Names from an earlier build, which kustomize keeps in annotations while it works.
void take_previous_ids(Resource& resource) {
    const auto names = annotation_list(resource, "internal.config.kubernetes.io/previousNames");
    const auto kinds = annotation_list(resource, "internal.config.kubernetes.io/previousKinds");
    const auto namespaces =
        annotation_list(resource, "internal.config.kubernetes.io/previousNamespaces");
    if (names.size() != kinds.size() || names.size() != namespaces.size()) return;
    for (std::size_t i = 0; i < names.size(); ++i)
        resource.previous.push_back({kinds[i], names[i], namespaces[i]});
}

void refuse_url(const std::string& path) {
    if (is_url(path)) throw Error{ErrorKind::denied, path + ": remote resources are not supported"};
}

}  // namespace

std::string Root::find_file(const std::string& path) const {
    refuse_url(path);
    const auto& files = context_.files;
    const auto target = resolve(directory_, path);
    const auto entry = target ? files.find(*target) : std::nullopt;
    if (!entry) throw Error{ErrorKind::not_found, "no such file: " + path};
    if (entry->kind == Files::Kind::directory)
        throw Error{ErrorKind::not_found, "a directory, not a file: " + path};
    if (!context_.options.load_anywhere && !is_below(parent_of(entry->path), directory_)) {
        throw Error{ErrorKind::denied, "outside the kustomization's directory: " + path};
    }
    return entry->path;
}

Root Root::enter(const std::string& path) const {
    refuse_url(path);
    if (path.empty()) throw Error{ErrorKind::invalid, "an empty path"};
    if (path.starts_with('/')) throw Error{ErrorKind::invalid, "an absolute path: " + path};
    const auto target = resolve(directory_, path);
    const auto entry = target ? context_.files.find(*target) : std::nullopt;
    if (!entry) throw Error{ErrorKind::not_found, "no such file or directory: " + path};
    if (entry->kind == Files::Kind::file)
        throw Error{ErrorKind::not_found, "a file, not a directory: " + path};
    for (const auto* root = this; root != nullptr; root = root->parent_) {
        if (is_below(root->directory_, entry->path)) {
            throw Error{ErrorKind::invalid, "a cycle: " + path + " leads back to " +
                                                context_.files.display(root->directory_)};
        }
    }
    return Root{context_, entry->path, this};
}

kube::YamlDocument read_document(const Root& root, const std::string& path) {
    const auto& files = root.context().files;
    const auto file = root.find_file(path);
    const kube::YamlOptions options{.dialect = kube::YamlDialect::configuration,
                                    .file = files.display(file),
                                    .with_lines = true,
                                    .duplicate_keys_are_errors = false};
    auto documents = kube::parse_yaml_stream(files.read(file), options);
    if (!documents.empty()) return std::move(documents.front());
    return {.value = nullptr, .origin = {.file = options.file, .line = 1, .lines = nullptr}};
}

bool is_inline(std::string_view text_or_path) noexcept {
    return text_or_path.find('\n') != text_or_path.npos ||
           text_or_path.find(": ") != text_or_path.npos || text_or_path.starts_with('{');
}

std::vector<ResourceMap::Item> load_resources(std::string_view text, const std::string& file) {
    std::vector<ResourceMap::Item> resources;
    std::deque<kube::YamlDocument> queue;
    for (auto& document : kube::parse_yaml_stream(text, {.file = file}))
        queue.push_back(std::move(document));
    while (!queue.empty()) {
        auto document = std::move(queue.front());
        queue.pop_front();
        if (is_null_or_empty(document.value)) continue;
        const auto fail = [&](const std::string& what) {
            throw Error{ErrorKind::invalid, document.origin.at("") + ": " + what};
        };
        auto* map = document.value.if_object();
        if (map == nullptr)
            fail("expected a Kubernetes object, found a " + std::string{type_name(document.value)});
        auto resource = std::make_unique<Resource>();
        const auto* kind = map->if_contains("kind");
        const auto kind_name = kind == nullptr ? std::string{} : text_of(*kind);
        if (kind_name.empty()) fail("the object has no `kind`");
        if (kind_name.ends_with("List")) {
            // The items follow what is left of the file, as with kustomize.
            if (auto* items = map->if_contains("items")) {
                if (!items->is_array() && !items->is_null()) fail("`items` of a list is no list");
                if (items->is_null()) continue;
                for (auto& item : items->get_array())
                    queue.push_back({std::move(item), document.origin});
                continue;
            }
        }
        resource->object = kube::Object{std::move(*map)};
        resource->origin = std::move(document.origin);
        resource->refresh();
        if (resource->id.name.empty() && !kind_name.ends_with("List"))
            fail(kind_name + " has no `metadata.name`");
        take_previous_ids(*resource);
        resources.push_back(std::move(resource));
    }
    return resources;
}

}  // namespace kled::kustomize
