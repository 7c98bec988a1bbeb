#include "gitops/image/update.h"

#include <algorithm>
#include <set>
#include <utility>

namespace kled::gitops {

namespace {

TemplateValue to_value(const ObjectIdentity& id) {
    // As Go prints the structs that Flux has there.
    return TemplateValue::record(
        "{{{" + id.api_version + " " + id.kind + "} {" + id.name + " " + id.ns + "}}}",
        {{"APIVersion", id.api_version},
         {"Kind", id.kind},
         {"Name", id.name},
         {"Namespace", id.ns}});
}

TemplateValue to_value(const ImageChange& change) {
    return TemplateValue::record(
        "{" + change.old_value + " " + change.new_value + " " + change.setter + "}",
        {{"OldValue", change.old_value},
         {"NewValue", change.new_value},
         {"Setter", change.setter}});
}

TemplateValue named(const std::string& ns, const std::string& name) {
    return TemplateValue::record(ns + "/" + name, {{"Name", name}, {"Namespace", ns}});
}

/// "namespace:policy" without the field behind it.
std::string policy_of(const std::string& setter) {
    const auto colon = setter.find(':');
    return setter.substr(0, setter.find(':', colon + 1));
}

/// A reference with its parts under the names that go-containerregistry gives them.
TemplateValue to_value(const ImageRef& ref, const std::string& policy) {
    const auto slash = ref.name.find('/');
    const auto first = ref.name.substr(0, slash);
    const bool has_registry =
        slash != std::string::npos &&
        (first.find_first_of(".:") != std::string::npos || first == "localhost");
    auto registry = has_registry ? first : std::string{"index.docker.io"};
    auto repository = has_registry ? ref.name.substr(slash + 1) : ref.name;
    if (!has_registry && slash == std::string::npos) repository = "library/" + repository;
    const auto identifier = ref.digest.empty() ? ref.tag : ref.digest;
    const auto full = registry + "/" + repository + (ref.digest.empty() ? ":" : "@") + identifier;
    const auto colon = policy.find(':');
    return TemplateValue::record(
        ref.to_string(),
        {{"Registry", std::move(registry)},
         {"Repository", std::move(repository)},
         {"Identifier", identifier},
         {"Name", full},
         {"Policy",
          named(policy.substr(0, colon), policy.substr(std::min(colon, policy.size() - 1) + 1))}});
}

TemplateValue list_of(const std::vector<ImageChange>& changes) {
    TemplateValue::List items;
    for (const auto& change : changes) items.push_back(to_value(change));
    return TemplateValue::list(std::move(items));
}

TemplateValue changed(const FileChanges& changes) {
    TemplateValue::Map files;
    std::map<ObjectIdentity, std::vector<ImageChange>> objects;
    std::set<ImageChange> all;
    for (const auto& [file, in_file] : changes) {
        TemplateValue::Map of_file;
        for (const auto& [id, list] : in_file) {
            of_file.emplace_back(to_value(id), list_of(list));
            objects[id] = list;
            all.insert(list.begin(), list.end());
        }
        files.emplace_back(file, TemplateValue::map(std::move(of_file)));
    }
    TemplateValue::Map by_object;
    for (const auto& [id, list] : objects) by_object.emplace_back(to_value(id), list_of(list));
    return TemplateValue::record("", {{"FileChanges", TemplateValue::map(std::move(files))},
                                      {"Objects", TemplateValue::map(std::move(by_object))},
                                      {"Changes", list_of({all.begin(), all.end()})}});
}

/// Of v1beta2: the images, not the values.
TemplateValue updated(const FileChanges& changes, const ElectedImages& elected) {
    using Policies = std::set<std::string>;
    const auto images = [&](const Policies& policies) {
        TemplateValue::List items;
        for (const auto& policy : policies) {
            if (const auto found = elected.find(policy); found != elected.end())
                items.push_back(to_value(found->second, policy));
        }
        return TemplateValue::list(std::move(items));
    };
    TemplateValue::Map files;
    std::map<ObjectIdentity, Policies> objects;
    Policies all;
    for (const auto& [file, in_file] : changes) {
        TemplateValue::Map of_file;
        for (const auto& [id, list] : in_file) {
            Policies policies;
            for (const auto& change : list) policies.insert(policy_of(change.setter));
            objects[id].insert(policies.begin(), policies.end());
            all.insert(policies.begin(), policies.end());
            of_file.emplace_back(to_value(id), images(policies));
        }
        files.emplace_back(
            file, TemplateValue::record("", {{"Objects", TemplateValue::map(std::move(of_file))}}));
    }
    TemplateValue::Map by_object;
    for (const auto& [id, policies] : objects)
        by_object.emplace_back(to_value(id), images(policies));
    return TemplateValue::record("", {{"Files", TemplateValue::map(std::move(files))},
                                      {"Objects", TemplateValue::map(std::move(by_object))},
                                      {"Images", images(all)}});
}

}  // namespace

TemplateValue message_data(const std::string& ns, const std::string& name,
                           const FileChanges& changes, const ElectedImages& elected,
                           const std::map<std::string, std::string>& values) {
    TemplateValue::Map given;
    for (const auto& [key, value] : values) given.emplace_back(key, value);
    return TemplateValue::record("", {{"AutomationObject", named(ns, name)},
                                      {"Changed", changed(changes)},
                                      {"Updated", updated(changes, elected)},
                                      {"Values", TemplateValue::map(std::move(given))}});
}

}  // namespace kled::gitops
