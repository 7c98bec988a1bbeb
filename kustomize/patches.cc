#include "base/error.h"
#include "kube/patch.h"
#include "kube/yaml.h"
#include "kube/yaml_scalar.h"
#include "kustomize/merge.h"
#include "kustomize/scalar.h"
#include "kustomize/selector.h"
#include "kustomize/transformers.h"

#include <algorithm>
#include <array>
#include <memory>

namespace kled::kustomize {

namespace {

std::string trimmed(const std::string& text) {
    constexpr auto blanks = " \t\r\n";
    const auto first = text.find_first_not_of(blanks);
    if (first == std::string::npos) return {};
    return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

Source source_of(const Patch& patch, const Root& root) {
    auto text = trimmed(patch.text);
    if (text.empty() == patch.path.empty()) {
        throw Error{ErrorKind::invalid,
                    text.empty() ? "needs a `path` or a `patch`" : "has a `path` and a `patch`"};
    }
    if (!text.empty()) return {std::move(text), "patch"};
    return root.load(patch.path);
}

/// JSON or YAML operations. Error(invalid): something else.
json::value read_operations(const Source& source) {
    json::value operations;
    try {
        operations =
            source.text.starts_with('[')
                ? kube::parse_json(source.text)
                : kube::parse_yaml(source.text, {.dialect = kube::YamlDialect::configuration,
                                                 .file = source.file,
                                                 .duplicate_keys_are_errors = false});
    } catch (const Error& error) {
        throw error.within(source.file);
    }
    const auto* list = operations.if_array();
    if (list == nullptr && !operations.is_null()) {
        throw Error{ErrorKind::invalid, source.file + ": expected a list of operations, found a " +
                                            std::string{type_name(operations)}};
    }
    return operations;
}

/// The list or single map a text is, by its first character that is not blank or a comment.
bool looks_like_operations(std::string_view text) {
    while (!text.empty()) {
        const auto end = std::min(text.find('\n'), text.size());
        const auto line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        const auto first = line.find_first_not_of(" \t\r");
        if (first == line.npos || line[first] == '#' || line.starts_with("---")) continue;
        if (line[first] == '[') return true;
        return (line[first] == '-' && line.find_first_of(" \t\r", first + 1) == first + 1) ||
               line.substr(first) == "-";
    }
    return false;
}

/// As it stands there: a date is no text.
bool is_text(const json::object* map, const Notation& notation) {
    return map == nullptr ||
           (!map->empty() && std::all_of(map->begin(), map->end(), [&](const auto& entry) {
               return entry.value().is_string() &&
                      notation.other_spelling(entry.key(), entry.value()) == nullptr;
           }));
}

/// kustomize reads the labels and annotations of such a patch as maps of text: a null there is the
/// text "null" and takes nothing away, maps that say nothing are not there, and no text is folded.
void take_metadata_as_text(std::vector<ResourceMap::Item>& patches, const Source& source) {
    constexpr std::array<const char*, 2> fields{"labels", "annotations"};
    for (const auto& patch : patches) {
        for (const auto* field : fields) patch->unfold(patch->metadata_map(field));
    }
    const bool is_so = std::all_of(patches.begin(), patches.end(), [&](const auto& patch) {
        return std::all_of(fields.begin(), fields.end(), [&](const char* field) {
            const auto* value = kube::find(patch->object.fields(), {"metadata", field});
            return value == nullptr ||
                   (value->is_object() && is_text(value->if_object(), patch->notation));
        });
    });
    if (is_so) return;
    const auto texts = load_resources(source.text, source.file, true);
    for (std::size_t i = 0; i < patches.size() && i < texts.size(); ++i) {
        auto& metadata = patches[i]->object.metadata();
        for (const auto* field : fields) {
            const auto old = metadata.find(field);
            if (old == metadata.end()) continue;
            const auto* text = texts[i]->metadata_map(field);
            if (text != nullptr && !text->empty()) {
                old->value() = *text;
                for (auto& entry : old->value().get_object()) {
                    if (entry.value().is_structured()) entry.value() = "";
                }
            } else {
                metadata.stable_erase(old);
            }
        }
    }
}

void apply_strategic(Resource& target, const Resource& patch, const Patch& options,
                     Context& context) {
    const auto before = target.id;
    if (options.allow_name_change || options.allow_kind_change) target.store_previous_id();
    context.uses_builtin_api = true;
    auto schema = MergeSchema::of(before.gvk, context.open_api.get());
    if (!schema) schema = MergeSchema::of(patch.id.gvk, context.open_api.get());
    const auto shared = target.shared.before_merge(patch.object.fields());
    Restyled restyled;
    try {
        if (!merge(target.object.fields(), patch.object.fields(), schema,
                   {.target = target.notation, .patch = patch.notation, .restyled = &restyled})) {
            target.removed = true;
            return;
        }
    } catch (const Error& error) {
        throw error.within(target.describe());
    }
    target.shared.after_merge(target.object.fields(), shared);
    add_notation(target.notation, patch.notation, restyled);
    target.refresh();
    if (!options.allow_kind_change) target.set_kind(before.gvk.kind);
    if (!options.allow_name_change) target.set_name(before.name);
    target.set_namespace(before.ns);
}

/// To one the patch's own id names.
void apply_by_id(ResourceMap& resources, const Resource& patch, const Patch& options,
                 Context& context) {
    const auto targets = resources.with_any_id(patch.id);
    if (targets.empty())
        throw Error{ErrorKind::not_found, "nothing to patch is named " + patch.id.to_string()};
    if (targets.size() > 1) {
        throw Error{ErrorKind::invalid, "both " + targets[0]->describe() + " and " +
                                            targets[1]->describe() + " are or were named " +
                                            patch.id.to_string()};
    }
    apply_strategic(*targets[0], patch, options, context);
    resources.changed(*targets[0]);
}

/// kustomize notes the options of a patch among its annotations, which makes texts of them all.
void note_options(Resource& patch, const Patch& options) {
    if (!options.allow_name_change && !options.allow_kind_change) return;
    auto* annotations = patch.object.metadata().if_contains("annotations");
    if (annotations == nullptr) return;
    *annotations = texts_in(annotations, patch.notation, NullsAre::null_text);
}

void check_distinct(const ResourceMap& resources, const Resource& resource) {
    if (resource.removed) return;
    const auto same_id = resources.with_current_id(resource.id);
    if (same_id.size() > 1) {
        throw Error{ErrorKind::conflict, "the patch makes " + same_id[0]->describe() + " and " +
                                             same_id[1]->describe() + " the same object"};
    }
}

void apply_to_selected(ResourceMap& resources, Resource& patch, const Patch& options,
                       Context& context, std::size_t size) {
    const auto targets = Matcher{*options.target}.select(resources);
    context.budget.bytes(size, targets.size());
    for (auto* target : targets) {
        Resource copy;
        copy.object = patch.object;
        copy.notation = patch.notation;
        copy.object.fields()["apiVersion"] = target->id.gvk.api_version();
        copy.refresh();
        apply_strategic(*target, copy, options, context);
        resources.changed(*target);
    }
    for (const auto* target : targets) check_distinct(resources, *target);
}

/// kustomize keeps where an object came from in its annotations: new ones know nothing of it.
void forget_origin_in(Resource& resource, const json::value& operations) {
    for (const auto& operation : operations.get_array()) {
        const auto* path = kube::find(operation, {"path"});
        const auto* op = kube::find(operation, {"op"});
        if (path == nullptr || op == nullptr || text_equals(*op, "test")) continue;
        if (!text_equals(*path, "/metadata/annotations") && !text_equals(*path, "/metadata") &&
            !text_equals(*path, "")) {
            continue;
        }
        resource.provenance.reset();
        resource.transformations.clear();
    }
}

/// Annotations are text, after a patch as kustomize's JSON library writes the numbers.
void write_annotations_as_text(Resource& resource) {
    if (resource.metadata_map("annotations") == nullptr) return;
    for (auto& entry : resource.object.metadata()["annotations"].get_object()) {
        auto& value = entry.value();
        if (value.is_string()) continue;
        if (value.is_number()) {
            value = kube::general_number(value.to_number<double>());
        } else {
            value = value.is_null() ? "null" : text_of(value);
        }
    }
}

void apply_operations(Resource& resource, const json::value& operations) {
    resource.notation.require_readable(resource.object.fields());
    if (resource.has_build_annotations()) resource.make_annotations();
    resource.refold(true);
    resource.shared.clear();
    resource.notation = {.written = Notation::Written::as_yaml};  // the file's is gone
    forget_origin_in(resource, operations);
    json::value value = std::move(resource.object.fields());
    try {
        kube::apply_json_patch(value, operations);
    } catch (const Error& error) {
        resource.object = kube::Object{std::move(value.get_object())};
        throw error.within(resource.describe());
    }
    if (!value.is_object())
        throw Error{ErrorKind::invalid, resource.describe() + ": the patch leaves no object"};
    resource.object = kube::Object{std::move(value.get_object())};
    write_annotations_as_text(resource);
}

}  // namespace

void apply_patch(ResourceMap& resources, const Patch& patch, const Root& root) {
    const auto source = source_of(patch, root);
    if (looks_like_operations(source.text)) {
        if (!patch.target) throw Error{ErrorKind::invalid, "a JSON patch needs a `target`"};
        const auto operations = read_operations(source);
        if (operations.is_null()) return;
        for (auto* resource : Matcher{*patch.target}.select(resources)) {
            root.context().budget.bytes(source.text.size());
            resource->store_previous_id();
            apply_operations(*resource, operations);
            resources.changed(*resource);
        }
        return;
    }
    auto documents = load_resources(source.text, source.file, root.context());
    if (documents.empty()) return;
    for (const auto& document : documents) note_options(*document, patch);
    if (!patch.target) {
        for (const auto& document : documents)
            apply_by_id(resources, *document, patch, root.context());
        return;
    }
    take_metadata_as_text(documents, source);
    if (documents.size() > 1) {
        throw Error{ErrorKind::invalid,
                    source.file + ": several patches cannot share one `target`"};
    }
    apply_to_selected(resources, *documents.front(), patch, root.context(), source.text.size());
}

std::size_t apply_strategic_text(ResourceMap& resources, const std::string& text,
                                 const std::string& file, const Root& root) {
    auto documents = load_resources(text, file, root.context());
    take_metadata_as_text(documents, {text, file});
    for (const auto& document : documents) {
        const auto targets = resources.with_any_id(document->id);
        apply_by_id(resources, *document, {}, root.context());
        check_distinct(resources, *targets.front());
    }
    return documents.size();
}

std::size_t apply_strategic_patches(ResourceMap& resources, const std::string& text_or_path,
                                    const Root& root) {
    if (is_inline(text_or_path)) {
        return apply_strategic_text(resources, text_or_path, "patch", root);
    }
    const auto source = root.load(text_or_path);
    return apply_strategic_text(resources, source.text, source.file, root);
}

void apply_json_patch(ResourceMap& resources, const Patch& patch, const Root& root) {
    if (!patch.target || patch.target->name.empty())
        throw Error{ErrorKind::invalid, "target.name: a JSON patch needs it"};
    const auto source = source_of(patch, root);
    const auto operations = read_operations(source);
    if (operations.is_null() || operations.get_array().empty()) {
        throw Error{ErrorKind::invalid, source.file + ": no operations"};
    }
    for (auto* resource : Matcher{*patch.target}.select(resources)) {
        root.context().budget.bytes(source.text.size());
        apply_operations(*resource, operations);
        resources.changed(*resource);
    }
}

}  // namespace kled::kustomize
