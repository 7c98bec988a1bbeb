#include "kube/managed_fields.h"

#include "kube/structured_merge.h"

#include <algorithm>
#include <map>
#include <optional>
#include <tuple>
#include <utility>

namespace kled::kube {

namespace {

constexpr std::string_view last_applied_annotation =
    "kubectl.kubernetes.io/last-applied-configuration";
constexpr std::string_view kubectl = "kubectl";  // the manager of `kubectl apply --server-side`
constexpr std::size_t most_update_managers = 10;

/// One entry of managedFields.
struct Manager {
    std::string name;
    bool applies = false;
    std::string api_version;
    std::string subresource;
    std::string time;  ///< empty: unknown
    FieldSet fields;

    /// Appliers are the same whatever version they apply.
    [[nodiscard]] auto identity() const {
        return std::tuple{std::string_view{name}, !applies,
                          applies ? std::string_view{} : std::string_view{api_version},
                          std::string_view{subresource}};
    }

    /// As conflicts name it.
    [[nodiscard]] std::string to_string() const {
        auto text = to_json(json::value(json::string(name)));
        if (!subresource.empty()) text += " with subresource \"" + subresource + "\"";
        if (!applies) text += " using " + api_version;
        return text;
    }
};

using Managers = std::vector<Manager>;

Manager* entry_of(Managers& managers, const Manager& wanted) {
    const auto found = std::ranges::find_if(
        managers, [&](const Manager& each) { return each.identity() == wanted.identity(); });
    return found == managers.end() ? nullptr : &*found;
}

std::string_view text_of(const json::object& object, std::string_view name) {
    const auto* const value = object.if_contains(name);
    return value != nullptr && value->is_string() ? std::string_view{value->get_string()}
                                                  : std::string_view{};
}

const json::value* managed_fields_of(const Object& object) {
    return find(object.fields(), {"metadata", "managedFields"});
}

/// Error(invalid): an entry is not as it should be.
Managers decode(const json::array& entries) {
    Managers managers;
    managers.reserve(entries.size());
    for (const auto& value : entries) {
        const auto* const entry = value.if_object();
        if (entry == nullptr)
            throw Error{ErrorKind::invalid, "managedFields: an entry is not an object"};
        const auto operation = text_of(*entry, "operation");
        if (operation != "Apply" && operation != "Update")
            throw Error{ErrorKind::invalid, "managedFields: operation must be Apply or Update"};
        if (text_of(*entry, "apiVersion").empty())
            throw Error{ErrorKind::invalid, "managedFields: apiVersion must not be empty"};
        if (text_of(*entry, "fieldsType") != "FieldsV1")
            throw Error{ErrorKind::invalid, "managedFields: fieldsType must be FieldsV1"};
        Manager manager{
            .name = std::string{text_of(*entry, "manager")},
            .applies = operation == "Apply",
            .api_version = std::string{text_of(*entry, "apiVersion")},
            .subresource = std::string{text_of(*entry, "subresource")},
            .time = std::string{text_of(*entry, "time")},
            .fields = {},
        };
        if (const auto* const fields = entry->if_contains("fieldsV1");
            fields != nullptr && fields->is_object())
            manager.fields = FieldSet::from_json(fields->get_object());
        if (auto* const known = entry_of(managers, manager)) {
            *known = std::move(manager);
        } else {
            managers.push_back(std::move(manager));
        }
    }
    return managers;
}

Managers decode_or_empty(const json::value* entries) {
    if (entries == nullptr || !entries->is_array()) return {};
    try {
        return decode(entries->get_array());
    } catch (const Error&) {
        return {};
    }
}

void encode(Object& object, Managers managers) {
    std::erase_if(managers, [](const Manager& manager) { return manager.fields.empty(); });
    if (managers.empty()) {
        if (object.metadata().contains("managedFields"))
            object.metadata().stable_erase(object.metadata().find("managedFields"));
        return;
    }
    std::ranges::sort(managers, {}, [](const Manager& m) {
        return std::tuple{!m.applies, std::string_view{m.time}, std::string_view{m.name},
                          std::string_view{m.api_version}, std::string_view{m.subresource}};
    });
    json::array entries;
    entries.reserve(managers.size());
    for (const auto& manager : managers) {
        json::object entry;
        entry.reserve(7);
        entry.emplace("manager", manager.name);
        entry.emplace("operation", manager.applies ? "Apply" : "Update");
        entry.emplace("apiVersion", manager.api_version);
        if (!manager.time.empty()) entry.emplace("time", manager.time);
        entry.emplace("fieldsType", "FieldsV1");
        entry.emplace("fieldsV1", manager.fields.to_json());
        if (!manager.subresource.empty()) entry.emplace("subresource", manager.subresource);
        entries.emplace_back(std::move(entry));
    }
    object.metadata()["managedFields"] = std::move(entries);
}

void drop_managed_fields(json::object& fields) {
    auto* const metadata = fields.if_contains("metadata");
    if (metadata == nullptr || !metadata->is_object()) return;
    auto& object = metadata->get_object();
    if (const auto found = object.find("managedFields"); found != object.end())
        object.stable_erase(found);
}

json::object copy_without_managed_fields(const json::object& fields) {
    json::object copy;
    copy.reserve(fields.size());
    for (const auto& [key, value] : fields) {
        const auto* const metadata = key == "metadata" ? value.if_object() : nullptr;
        if (metadata == nullptr) {
            copy.emplace(key, value);
            continue;
        }
        json::object kept;
        kept.reserve(metadata->size());
        for (const auto& [name, member] : *metadata) {
            if (name != "managedFields") kept.emplace(name, member);
        }
        copy.emplace(key, std::move(kept));
    }
    return copy;
}

/// What nobody owns: identity, and what the server writes itself.
const FieldSet& never_owned() {
    static const FieldSet fields = FieldSet::from_json(
        parse_json(
            R"({"f:apiVersion":{},"f:kind":{},"f:metadata":{".":{},"f:name":{},"f:namespace":{},"f:creationTimestamp":{},
        "f:selfLink":{},"f:uid":{},"f:clusterName":{},"f:generation":{},"f:managedFields":{},"f:resourceVersion":{}}})")
            .as_object());
    return fields;
}

struct Conflict {
    const Manager* manager;
    FieldPath path;
};

[[noreturn]] void refuse(std::vector<Conflict> conflicts) {
    std::ranges::stable_sort(conflicts, {},
                             [](const Conflict& conflict) { return conflict.manager->identity(); });
    std::vector<ApplyConflict::Cause> causes;
    causes.reserve(conflicts.size());
    for (const auto& [manager, path] : conflicts)
        causes.push_back(
            {.field = to_string(path), .message = "conflict with " + manager->to_string()});
    if (causes.size() == 1)
        throw ApplyConflict{
            "Apply failed with 1 conflict: " + causes[0].message + ": " + causes[0].field, causes};
    std::string text;
    const Manager* last = nullptr;
    for (std::size_t i = 0; i < conflicts.size(); ++i) {
        if (conflicts[i].manager != last)
            text += (text.empty() ? "" : "\n") +
                    ("conflicts with " + conflicts[i].manager->to_string()) + ":";
        last = conflicts[i].manager;
        text += "\n- " + causes[i].field;
    }
    throw ApplyConflict{
        "Apply failed with " + std::to_string(causes.size()) + " conflicts: " + text, causes};
}

/// Takes from every manager but `self` what a write changed or removed. Changed fields of others
/// are conflicts unless `force`; those in `excused` are not.
void disown(Managers& managers, const FieldChanges& changes, const Manager* self, bool force,
            const FieldSet* excused) {
    const auto changed = changes.modified.united(changes.added);
    if (!force) {
        std::vector<Conflict> conflicts;
        bool all_excused = true;
        for (const auto& manager : managers) {
            if (&manager == self) continue;
            for (auto& path : manager.fields.intersected(changed).paths()) {
                if (excused != nullptr && excused->contains(path)) continue;
                all_excused = false;
                conflicts.push_back({&manager, std::move(path)});
            }
        }
        if (!all_excused) refuse(std::move(conflicts));
    }
    for (auto& manager : managers) {
        if (&manager != self)
            manager.fields = manager.fields.without(changed).without(changes.removed);
    }
}

FieldChanges changes_between(const json::object& from, const json::object& to,
                             const StructuralSchema& schema, const FieldWriter& writer) {
    auto changes = compare_fields(from, to, schema);
    if (!writer.not_written.empty()) {
        changes.added = changes.added.without_trees(writer.not_written);
        changes.modified = changes.modified.without_trees(writer.not_written);
        changes.removed = changes.removed.without_trees(writer.not_written);
    }
    return changes;
}

/// More than ten entries of updates: the oldest become one per version.
void cap(Managers& managers) {
    std::vector<Manager*> updaters;
    for (auto& manager : managers) {
        if (!manager.applies && !manager.fields.empty()) updaters.push_back(&manager);
    }
    if (updaters.size() <= most_update_managers) return;
    std::ranges::sort(updaters, {}, [](const Manager* m) {
        return std::tuple{std::string_view{m->time}, m->identity()};
    });
    std::map<std::string, Manager*> buckets;  // by version
    auto count = updaters.size();
    for (auto* const manager : updaters) {
        if (count <= most_update_managers) break;
        auto& bucket = buckets[manager->api_version];
        if (bucket == nullptr) {
            bucket = manager;
            continue;
        }
        bucket->name = "ancient-changes";
        bucket->subresource.clear();
        bucket->fields = bucket->fields.united(manager->fields);
        bucket->time = manager->time;
        manager->fields = {};
        --count;
    }
}

/// Records that `writer` made `to` of `from`, on top of what is in `managers`.
void record_update(Managers& managers, const json::object& from, const json::object& to,
                   const StructuralSchema& schema, const FieldWriter& writer,
                   std::string_view api_version) {
    const auto changes = changes_between(from, to, schema, writer);
    disown(managers, changes, nullptr, true, nullptr);
    auto fields = changes.modified.united(changes.added).without(never_owned());
    if (!fields.empty()) {
        Manager self{.name = writer.manager.empty() ? "unknown" : writer.manager,
                     .applies = false,
                     .api_version = std::string{api_version},
                     .subresource = writer.subresource,
                     .time = writer.time,
                     .fields = std::move(fields)};
        if (auto* const known = entry_of(managers, self)) {
            known->fields = known->fields.united(self.fields);
            known->time = self.time;
        } else {
            managers.push_back(std::move(self));
        }
    }
    std::erase_if(managers, [](const Manager& manager) { return manager.fields.empty(); });
    cap(managers);
}

/// `merged` without what `self` applied last time, does not apply now, and nobody else owns.
json::object without_abandoned(json::object merged, const FieldSet& last, const Managers& managers,
                               const StructuralSchema& schema) {
    FieldSet owned;
    for (const auto& manager : managers) owned = owned.united(manager.fields);
    if (last.without(owned).empty()) return merged;
    const auto last_named = with_named_fields(last, schema);
    auto pruned = without_fields(merged, last_named, schema);

    const auto merged_fields = with_named_fields(fields_of(merged, schema), schema);
    const auto kept = with_named_fields(fields_of(pruned, schema), schema)
                          .united(with_named_fields(owned, schema));
    pruned = without_fields(merged, merged_fields.without(kept), schema);

    // What went only because something above it did, and was never applied by self, comes back.
    const auto gone = merged_fields.without(with_named_fields(fields_of(pruned, schema), schema));
    return without_fields(merged, gone.intersected(last_named), schema);
}

/// A null says that there is no value. It stays where `live` or `config` has it: a custom resource
/// may.
void drop_nulls(json::object& object, const json::object* live, const json::object* config) {
    const auto member_of = [](const json::object* of, std::string_view key) {
        return of == nullptr ? nullptr : of->if_contains(key);
    };
    for (auto member = object.begin(); member != object.end();) {
        const auto* const before = member_of(live, member->key());
        const auto* const given = member_of(config, member->key());
        if (!member->value().is_null()) {
            if (auto* const inner = member->value().if_object())
                drop_nulls(*inner, before == nullptr ? nullptr : before->if_object(),
                           given == nullptr ? nullptr : given->if_object());
            ++member;
        } else if ((before != nullptr && before->is_null()) ||
                   (given != nullptr && given->is_null())) {
            ++member;
        } else {
            member = object.stable_erase(member);
        }
    }
}

void drop_all_nulls(json::value& value) {
    if (auto* const object = value.if_object()) {
        for (auto member = object->begin(); member != object->end();) {
            if (member->value().is_null()) {
                member = object->stable_erase(member);
            } else {
                drop_all_nulls((member++)->value());
            }
        }
    } else if (auto* const array = value.if_array()) {
        for (auto& element : *array) drop_all_nulls(element);
    }
}

/// The conflicts that a switch from `kubectl apply` to `kubectl apply --server-side` may have:
/// fields that client-side apply set, and that are still as it set them.
std::optional<FieldSet> fields_of_last_applied(const Object& live, const json::object& live_fields,
                                               const StructuralSchema& schema) {
    const auto text = live.annotation(last_applied_annotation);
    if (text.empty()) return std::nullopt;
    try {
        const auto applied = parse_json(text);
        if (!applied.is_object() ||
            text_of(applied.get_object(), "apiVersion") != live.api_version())
            return std::nullopt;
        validate_structure(applied.get_object(), schema, false);
        const auto changes = compare_fields(applied.get_object(), live_fields, schema);
        return fields_of(applied.get_object(), schema)
            .without(changes.modified)
            .without(changes.added)
            .without(changes.removed);
    } catch (const Error&) {
        return std::nullopt;
    }
}

/// Keeps the annotation of client-side apply in step, so that one can go back to it.
void refresh_last_applied(Object& object, const json::object& config) {
    if (object.annotation(last_applied_annotation).empty()) return;
    auto applied = config;
    if (auto* const metadata = applied.if_contains("metadata");
        metadata != nullptr && metadata->is_object()) {
        auto* const annotations = metadata->get_object().if_contains("annotations");
        if (annotations != nullptr && annotations->is_object()) {
            auto& map = annotations->get_object();
            if (const auto found = map.find(last_applied_annotation); found != map.end())
                map.stable_erase(found);
            if (map.empty())
                metadata->get_object().stable_erase(metadata->get_object().find("annotations"));
        }
    }
    object.set_annotation(last_applied_annotation,
                          to_canonical_json(json::value(std::move(applied))) + "\n");
}

}  // namespace

FieldSet fields_not_written(std::string_view subresource, bool has_status_subresource,
                            const json::object& object) {
    FieldSet fields;
    if (subresource == "status") {
        for (const auto& [key, value] : object) {
            if (key != "status") fields.insert({PathElement::field(key)});
        }
    } else if (has_status_subresource) {
        fields.insert({PathElement::field("status")});
    }
    return fields;
}

Object apply_fields(const Object& live, const Object& config, const StructuralSchema& schema,
                    const FieldWriter& writer, bool force) {
    if (const auto* const given = managed_fields_of(config); given != nullptr && !given->is_null())
        throw Error{ErrorKind::invalid, "metadata.managedFields must be nil"};
    if (!live.api_version().empty() && live.api_version() != config.api_version()) {
        throw Error{ErrorKind::invalid,
                    "Incorrect version specified in apply patch. Specified patch version: " +
                        std::string{config.api_version()} +
                        ", expected: " + std::string{live.api_version()}};
    }
    try {
        validate_structure(config.fields(), schema, false);
    } catch (const Error& error) {
        throw error.within("failed to create typed patch object (" + std::string{config.ns()} +
                           "/" + std::string{config.name()} + "; " +
                           std::string{config.api_version()} +
                           ", Kind=" + std::string{config.kind()} + ")");
    }
    auto live_fields = copy_without_managed_fields(live.fields());
    auto managers = decode_or_empty(managed_fields_of(live));
    if (managers.empty() && !live_fields.empty()) {
        FieldWriter before = writer;
        before.manager = "before-first-apply";
        record_update(managers, {}, live_fields, schema, before, live.api_version());
    }

    Manager self{.name = writer.manager.empty() ? "unknown" : writer.manager,
                 .applies = true,
                 .api_version = std::string{config.api_version()},
                 .subresource = writer.subresource,
                 .time = {},
                 .fields = {}};
    auto* known = entry_of(managers, self);
    if (known == nullptr) known = &managers.emplace_back(std::move(self));
    const auto last = std::exchange(
        known->fields, fields_of(config.fields(), schema).without_trees(writer.not_written));
    known->api_version = config.api_version();

    auto next = without_abandoned(merge_structure(live_fields, config.fields(), schema), last,
                                  managers, schema);
    const auto changes = changes_between(live_fields, next, schema, writer);
    std::optional<FieldSet> excused;
    if (!force && writer.manager == kubectl)
        excused = fields_of_last_applied(live, live_fields, schema);
    disown(managers, changes, known, force, excused ? &*excused : nullptr);
    known->fields = known->fields.without(never_owned());

    const bool changed = !same_fields(next, live_fields);
    if (changed) known->time = writer.time;
    if (changed && schema.drops_null()) {
        json::value value(std::move(next));
        drop_all_nulls(value);
        next = std::move(value.get_object());
    } else if (changed) {
        drop_nulls(next, &live_fields, &config.fields());
    }
    Object out{changed ? std::move(next) : std::move(live_fields)};
    encode(out, std::move(managers));
    if (writer.manager == kubectl) refresh_last_applied(out, config.fields());
    return out;
}

void track_update(const Object& live, Object& updated, const StructuralSchema& schema,
                  const FieldWriter& writer) {
    const auto* const given = writer.subresource.empty() ? managed_fields_of(updated) : nullptr;
    // [] and [{}] ask for a fresh start.
    const bool reset = given != nullptr && given->is_array() &&
                       (given->get_array().empty() || (given->get_array().size() == 1 &&
                                                       given->get_array()[0] == json::object{}));
    Managers managers;
    if (!reset) {
        managers = decode_or_empty(given);
        if (managers.empty()) managers = decode_or_empty(managed_fields_of(live));
    }
    drop_managed_fields(updated.fields());
    auto live_fields = copy_without_managed_fields(live.fields());
    // An object that nobody tracks stays so until it is applied to.
    if (!managers.empty() || live_fields.empty())
        record_update(managers, live_fields, updated.fields(), schema, writer,
                      updated.api_version());
    encode(updated, std::move(managers));
}

void keep_times_of_no_change(const Object& live, Object& updated) {
    const auto* const before = managed_fields_of(live);
    const auto* const after = managed_fields_of(updated);
    if (before == nullptr || after == nullptr || !before->is_array() || !after->is_array() ||
        *before == *after)
        return;
    if (before->get_array().size() != after->get_array().size() || after->get_array().empty())
        return;
    const auto timeless = [](const json::value& entry) {
        auto copy = entry;
        if (auto* const object = copy.if_object()) object->erase("time");
        return copy;
    };
    const auto same = [&](const json::value& a, const json::value& b) {
        return timeless(a) == timeless(b);
    };
    if (!std::ranges::equal(before->get_array(), after->get_array(), same)) return;
    auto restored = updated;
    restored.metadata()["managedFields"] = *before;
    if (restored == live) updated = std::move(restored);
}

}  // namespace kled::kube
