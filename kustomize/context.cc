#include "kustomize/context.h"

#include "base/error.h"
#include "kustomize/scalar.h"

#include <cstddef>
#include <deque>
#include <set>
#include <utility>

namespace kled::kustomize {

namespace {

bool is_below(std::string_view path, std::string_view directory) {
    return directory.empty() || (path.starts_with(directory) && (path.size() == directory.size() ||
                                                                 path[directory.size()] == '/'));
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

Remotes& remotes_of(const Context& context, const std::string& url) {
    if (context.options.remotes == nullptr)
        throw Error{ErrorKind::denied, url + ": remote resources are not allowed here"};
    return *context.options.remotes;
}

}  // namespace

void Budget::stop(const std::string& what) {
    exhausted_ = true;
    throw Error{ErrorKind::exhausted, "the build is too large: more than " + what};
}

void Budget::kustomization() {
    if (++kustomizations_ > limits_.kustomizations)
        stop(std::to_string(limits_.kustomizations) +
             " kustomizations, each as often as it is named");
}

void Budget::depth(std::size_t depth) {
    if (depth > limits_.depth)
        stop(std::to_string(limits_.depth) + " kustomizations within each other");
}

void Budget::object() {
    if (++objects_ > limits_.objects) stop(std::to_string(limits_.objects) + " objects");
}

void Budget::bytes(std::size_t size, std::size_t count) {
    const auto left = limits_.bytes - bytes_;
    if (count != 0 && size > left / count)
        stop(std::to_string(limits_.bytes) + " bytes, with what transformers put into objects");
    bytes_ += size * count;
}

std::string Root::find_file(const std::string& path) const {
    const auto target = resolve(directory_, path);
    const auto entry = target ? files_->find(*target) : std::nullopt;
    if (!entry) throw Error{ErrorKind::not_found, "no such file: " + path};
    if (entry->kind == Files::Kind::directory)
        throw Error{ErrorKind::not_found, "a directory, not a file: " + path};
    if (!context_.options.load_anywhere && !is_below(parent_of(entry->path), directory_)) {
        throw Error{ErrorKind::denied, "outside the kustomization's directory: " + path};
    }
    return entry->path;
}

Source Root::load(const std::string& path_or_url) const {
    Source source;
    if (is_http_url(path_or_url)) {
        source = {remotes_of(context_, path_or_url).file(path_or_url), path_or_url};
    } else {
        const auto path = find_file(path_or_url);
        source = {files_->read(path), files_->display(path)};
    }
    context_.budget.bytes(source.text.size());
    return source;
}

Root Root::enter(const std::string& path) const {
    if (path.empty()) throw Error{ErrorKind::invalid, "an empty path"};
    if (path.starts_with('/')) throw Error{ErrorKind::invalid, "an absolute path: " + path};
    const auto target = resolve(directory_, path);
    if (!target) throw Error{ErrorKind::not_found, "no such file or directory: " + path};
    auto below = enter(*files_, *target, path);
    below.remote_ = remote_;
    return below;
}

Root Root::enter(const RepositoryUrl& url) const {
    auto files = remotes_of(context_, url.url).repository(url);
    auto below = enter(*files, url.directory, url.url + "//" + url.directory);
    below.remote_ = std::move(files);
    return below;
}

Root Root::enter(const Files& files, const std::string& directory, const std::string& shown) const {
    const auto entry = files.find(directory);
    if (!entry) throw Error{ErrorKind::not_found, "no such file or directory: " + shown};
    if (entry->kind == Files::Kind::file)
        throw Error{ErrorKind::not_found, "a file, not a directory: " + shown};
    for (const auto* root = this; root != nullptr; root = root->parent_) {
        if (root->files_ == &files && is_below(root->directory_, entry->path)) {
            throw Error{ErrorKind::invalid,
                        "a cycle: " + shown + " leads back to " + files.display(root->directory_)};
        }
    }
    Root below{context_, entry->path};
    below.files_ = &files;
    below.parent_ = this;
    below.depth_ = depth_ + 1;
    context_.budget.depth(below.depth_);
    return below;
}

kube::YamlDocument read_document(const Root& root, const std::string& path) {
    const auto source = root.load(path);
    const kube::YamlOptions options{.dialect = kube::YamlDialect::configuration,
                                    .file = source.file,
                                    .with_lines = true,
                                    .duplicate_keys_are_errors = false};
    auto documents = kube::parse_yaml_stream(source.text, options);
    if (!documents.empty()) return std::move(documents.front());
    return {.value = nullptr, .origin = {.file = options.file, .line = 1, .lines = nullptr}};
}

bool is_inline(std::string_view text_or_path) noexcept {
    return text_or_path.find('\n') != text_or_path.npos ||
           text_or_path.find(": ") != text_or_path.npos || text_or_path.starts_with('{');
}

namespace {

Notation notation_of(const kube::YamlDocument& document) {
    const auto marks = [](const auto& in_order) {
        if (in_order == nullptr) return Notation::Marks{};
        return Notation::Marks{std::set<std::size_t>(in_order->begin(), in_order->end())};
    };
    return {.quoted = marks(document.quoted),
            .spelled = document.spelled == nullptr ? Notation::Texts{}
                                                   : Notation::Texts{*document.spelled},
            .folded = marks(document.folded)};
}

/// kustomize keeps its own notes among the annotations. Of a list it makes pairs where it only
/// reads them, and stops where it writes one.
void require_annotations(const Resource& resource) {
    const auto* value = kube::find(resource.object.fields(), {"metadata", "annotations"});
    const auto* list = value == nullptr ? nullptr : value->if_array();
    if (list == nullptr || list->empty()) return;
    throw Error{ErrorKind::invalid, resource.origin.at("/metadata/annotations") +
                                        ": metadata.annotations: expected a map, found a list"};
}

}  // namespace

std::vector<ResourceMap::Item> load_resources(std::string_view text, const std::string& file,
                                              bool scalars_are_text) {
    std::vector<ResourceMap::Item> resources;
    struct Pending {
        json::value value;
        kube::Origin origin;
        Notation notation;
        bool alone = false;  ///< the only document of a file
    };
    std::deque<Pending> queue;
    kube::YamlOptions options;
    options.file = file;
    options.scalars_are_text = scalars_are_text;
    options.note_quoted = true;
    auto documents = kube::parse_yaml_stream(text, options);
    const bool alone = documents.size() == 1;
    for (auto& document : documents) {
        queue.push_back(
            {std::move(document.value), std::move(document.origin), notation_of(document), alone});
    }
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
                // kustomize writes the items as JSON and reads them again, if this is not all the
                // file says.
                const bool kept = document.alone && kind_name == "List";
                for (auto& item : items->get_array()) {
                    auto notation = kept ? document.notation.about(item)
                                         : Notation{.written = Notation::Written::as_json};
                    queue.push_back({std::move(item), document.origin, std::move(notation)});
                }
                continue;
            }
        }
        resource->object = kube::Object{std::move(*map)};
        resource->origin = std::move(document.origin);
        resource->notation = std::move(document.notation);
        resource->refresh();
        if (resource->id.name.empty() && !kind_name.ends_with("List")) {
            throw Error{ErrorKind::invalid,
                        resource->origin.at("") + ": " + kind_name + " has no `metadata.name`"};
        }
        require_annotations(*resource);
        take_previous_ids(*resource);
        resources.push_back(std::move(resource));
    }
    return resources;
}

std::vector<ResourceMap::Item> load_resources(std::string_view text, const std::string& file,
                                              Context& context) {
    auto resources = load_resources(text, file);
    for (const auto& resource : resources)
        context.uses_builtin_api = context.uses_builtin_api || !scope_is_known(resource->id.gvk);
    return resources;
}

}  // namespace kled::kustomize
