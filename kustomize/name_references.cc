#include "kustomize/name_references.h"

#include "base/error.h"
#include "kustomize/scalar.h"
#include "kustomize/transformers.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>

namespace kled::kustomize {

namespace {

constexpr std::string_view any_namespace = "_non_namespaceable_";

using Candidates = std::vector<Resource*>;

bool had_gvk(const Resource& resource, const Gvk& selector) {
    if (selector.kind.empty()) return selects(selector, resource.id.gvk);
    return std::any_of(resource.previous.begin(), resource.previous.end(), [&](const auto& before) {
        return selects(selector, {resource.id.gvk.group, resource.id.gvk.version, before.kind});
    });
}

/// Whether the shorter list is the end of the longer one; an empty one only of itself, unless
/// `empty_matches`.
bool same_ending(const std::vector<std::string>& a, const std::vector<std::string>& b,
                 bool empty_matches) {
    if (a.empty() || b.empty()) return empty_matches || a.size() == b.size();
    const auto common = static_cast<std::ptrdiff_t>(std::min(a.size(), b.size()));
    return std::equal(a.rbegin(), a.rbegin() + common, b.rbegin());
}

bool same_affixes(const Resource& a, const Resource& b, bool empty_matches) {
    return same_ending(a.prefixes, b.prefixes, empty_matches) &&
           same_ending(a.suffixes, b.suffixes, empty_matches);
}

std::size_t mix(std::size_t seed, std::string_view text) {
    return (seed ^ std::hash<std::string_view>{}(text)) * 0x9E3779B97F4A7C15U;
}

void insert_in_order(Candidates& candidates, Resource& resource) {
    const auto later = [](const Resource* a, const Resource* b) {
        return a->position < b->position;
    };
    if (candidates.empty() || candidates.back()->position < resource.position) {
        candidates.push_back(&resource);
    } else {
        candidates.insert(std::upper_bound(candidates.begin(), candidates.end(), &resource, later),
                          &resource);
    }
}

}  // namespace

struct NameReferences::Name {
    Candidates all;                                            ///< that had it, in order
    std::unordered_map<std::string, Candidates> by_namespace;  ///< the present one
    mutable std::size_t naming = 0;                            ///< a hash of `all`
    mutable bool stale = false;                                ///< it is of other ones

    [[nodiscard]] std::size_t hash() const {
        if (stale) {
            naming = 0;
            for (const auto* resource : all)
                naming = (naming ^ naming_of(*resource)) * 0x9E3779B97F4A7C15U;
            stale = false;
        }
        return naming;
    }
};

namespace {

/// Who had which name.
class Names {
public:
    using Name = NameReferences::Name;

    void add(Resource& resource) {
        const std::string present{resource.id.effective_namespace()};
        const std::string original{resource.original_id().effective_namespace()};
        for_each_name(resource, [&](const std::string& name) {
            auto& had = by_name_[name];
            renamed_ += had.all.empty() ? 1 : 0;
            insert_in_order(had.all, resource);
            insert_in_order(had.by_namespace[present], resource);
            had.stale = true;
        });
        if (++by_present_[present][original] == 1) namespaces_ += mix(mix(0, present), original);
    }

    void remove(const Resource& resource) {
        const std::string present{resource.id.effective_namespace()};
        const std::string original{resource.original_id().effective_namespace()};
        for_each_name(resource, [&](const std::string& name) {
            auto& had = by_name_[name];
            std::erase(had.all, &resource);
            renamed_ -= had.all.empty() ? 1 : 0;
            const auto there = had.by_namespace.find(present);
            if (there != had.by_namespace.end() && std::erase(there->second, &resource) > 0 &&
                there->second.empty())
                had.by_namespace.erase(there);
            had.stale = true;
        });
        const auto from = by_present_.find(present);
        if (from == by_present_.end()) return;
        const auto count = from->second.find(original);
        if (count == from->second.end() || --count->second > 0) return;
        namespaces_ -= mix(mix(0, present), original);
        from->second.erase(count);
        if (from->second.empty()) by_present_.erase(from);
    }

    void clear() {
        for (auto& [name, had] : by_name_) {
            had.all.clear();
            had.by_namespace.clear();
            had.stale = true;
        }
        by_present_.clear();
        namespaces_ = 0;
        renamed_ = 0;
    }

    /// The name as something that can be looked up again.
    [[nodiscard]] const Name& name(const std::string& name) { return by_name_[name]; }

    /// A hash of all that `candidates` and `any_from` could say about the name.
    [[nodiscard]] std::size_t answer(const Name& name) const {
        return (namespaces_ ^ name.hash()) * 0x9E3779B97F4A7C15U;
    }

    [[nodiscard]] bool nothing_was_renamed() const noexcept { return renamed_ == 0; }
    [[nodiscard]] std::size_t size() const noexcept { return by_name_.size(); }

    /// What `name` may have meant for an object in these namespaces; no namespace: everywhere.
    [[nodiscard]] Candidates candidates(const std::string& name,
                                        const std::set<std::string>& namespaces) const {
        const auto had = by_name_.find(name);
        if (had == by_name_.end()) return {};
        if (namespaces.empty()) return had->second.all;
        Candidates found;
        for (const auto& ns : namespaces) {
            const auto there = had->second.by_namespace.find(ns);
            if (there == had->second.by_namespace.end()) continue;
            found.insert(found.end(), there->second.begin(), there->second.end());
        }
        std::sort(found.begin(), found.end(),
                  [](const Resource* a, const Resource* b) { return a->position < b->position; });
        return found;
    }

    /// Whether an object now in one of `namespaces` was in `original` when it was read.
    [[nodiscard]] bool any_from(const std::string& original,
                                const std::set<std::string>& namespaces) const {
        if (original == any_namespace) return false;
        if (namespaces.empty()) {
            return std::any_of(by_present_.begin(), by_present_.end(),
                               [&](const auto& entry) { return entry.second.contains(original); });
        }
        return std::any_of(namespaces.begin(), namespaces.end(), [&](const std::string& ns) {
            const auto present = by_present_.find(ns);
            return present != by_present_.end() && present->second.contains(original);
        });
    }

private:
    /// Each name that it had, once.
    template <typename Visit>
    static void for_each_name(const Resource& resource, Visit visit) {
        const auto& all = resource.previous;
        for (auto before = all.begin(); before != all.end(); ++before) {
            const auto same = [&](const auto& earlier) { return earlier.name == before->name; };
            if (std::none_of(all.begin(), before, same)) visit(before->name);
        }
    }

    std::unordered_map<std::string, Name> by_name_;
    /// How many are in a namespace now and were in another when they were read.
    std::unordered_map<std::string, std::unordered_map<std::string, std::size_t>> by_present_;
    std::size_t namespaces_ = 0;  ///< a hash of by_present_, whatever its order
    std::size_t renamed_ = 0;     ///< names that somebody had
};

/// One object's references.
class Referrer {
public:
    using LookUps = std::vector<NameReferences::LookUp>;
    Referrer(Resource& resource, Names& names, LookUps* noted)
        : resource_{resource}, names_{names}, noted_{noted} {
        if (resource.id.cluster_scoped()) return;
        namespaces_ = {std::string{any_namespace}, std::string{resource.id.effective_namespace()}};
        if (resource.id.gvk.kind == "RoleBinding") add_subject_namespaces();
    }

    void fix(const FieldSpec& field, const Gvk& target) {
        target_ = &target;
        role_ = field.path.ends_with("roleRef/name") ? role_ref() : std::nullopt;
        auto anywhere = field;
        anywhere.gvk = {};  // the original kind was asked already
        visit(resource_, anywhere, Make::nothing, [&](json::value& value) { fix(value); });
    }

private:
    void fix(json::value& value) {
        if (auto* list = value.if_array()) {
            for (auto& element : *list) fix_one(element);
        } else {
            fix_one(value);
        }
    }

    void fix_one(json::value& value) {
        if (auto* map = value.if_object()) {
            fix_map(*map);
        } else if (is_scalar(value)) {
            if (is_idle()) return;
            const auto old = text_of(value);
            note(old);
            const auto* referral = choose(names_.candidates(old, namespaces_), false);
            if (referral != nullptr && referral->id.name != old) set_text(value, referral->id.name);
        } else if (!value.is_null()) {
            throw Error{ErrorKind::invalid,
                        "a reference is text or a map, found a " + std::string{type_name(value)}};
        }
    }

    /// Nobody has another name than before: the fields are only looked at.
    [[nodiscard]] bool is_idle() const { return noted_ == nullptr && names_.nothing_was_renamed(); }

    void note(const std::string& text) {
        if (noted_ == nullptr) return;
        const auto& name = names_.name(text);
        const bool known = std::any_of(noted_->begin(), noted_->end(),
                                       [&](const auto& one) { return one.name == &name; });
        if (!known) noted_->push_back({&name, names_.answer(name)});
    }

    /// {kind, name, namespace}
    void fix_map(json::object& map) {
        auto* name = map.if_contains("name");
        if (name == nullptr) throw Error{ErrorKind::invalid, "a reference has no `name`"};
        if (is_idle()) return;
        const auto old = text_of(*name);
        note(old);
        auto candidates = names_.candidates(old, namespaces_);
        if (const auto* ns = map.if_contains("namespace")) keep_namespace(candidates, text_of(*ns));
        const auto* referral = choose(std::move(candidates), true);
        if (referral == nullptr) return;
        set_text(*name, referral->id.name);
        if (!referral->id.ns.empty()) set_text(map["namespace"], referral->id.ns);
    }

    /// A given namespace is an original one if any object came from there, else a present one.
    void keep_namespace(Candidates& candidates, const std::string& ns) const {
        const bool original = names_.any_from(ns, namespaces_);
        std::erase_if(candidates, [&](const Resource* candidate) {
            const auto id = original ? candidate->original_id() : candidate->id;
            return id.effective_namespace() != ns;
        });
    }

    const Resource* choose(Candidates candidates, bool same_namespace) const {
        std::erase_if(candidates, [&](const Resource* candidate) {
            return !had_gvk(*candidate, *target_) || (role_ && !had_gvk(*candidate, *role_)) ||
                   !is_reachable(*candidate);
        });
        for (const bool empty_matches : {true, false}) {
            if (candidates.size() < 2) break;
            std::erase_if(candidates, [&](const Resource* candidate) {
                return !same_affixes(*candidate, resource_, empty_matches);
            });
        }
        if (candidates.empty()) return nullptr;
        const auto* first = candidates.front();
        for (const auto* other : candidates) {
            if (other->id.name == first->id.name &&
                (!same_namespace || other->id.ns == first->id.ns))
                continue;
            throw Error{ErrorKind::invalid,
                        "it could mean " + first->describe() + " or " + other->describe()};
        }
        return first;
    }

    /// In its own namespace, in none, or a service account.
    [[nodiscard]] bool is_reachable(const Resource& candidate) const {
        return resource_.id.cluster_scoped() || candidate.id.cluster_scoped() ||
               candidate.id.gvk.kind == "ServiceAccount" ||
               candidate.id.effective_namespace() == resource_.id.effective_namespace();
    }

    void add_subject_namespaces() {
        const auto* subjects = resource_.object.fields().if_contains("subjects");
        if (subjects == nullptr || !subjects->is_array()) return;
        for (const auto& subject : subjects->get_array()) {
            const auto* map = subject.if_object();
            if (map == nullptr) {
                throw Error{ErrorKind::invalid, resource_.describe() + ": a subject is a " +
                                                    std::string{type_name(subject)} +
                                                    ", not a map"};
            }
            const auto* kind = map->if_contains("kind");
            const auto* ns = map->if_contains("namespace");
            if (kind == nullptr || ns == nullptr || !text_equals(*kind, "ServiceAccount")) continue;
            if (!ns->is_string())
                throw Error{ErrorKind::invalid,
                            resource_.describe() + ": a subject's namespace is empty"};
            namespaces_.insert(text_of(*ns));
        }
    }

    /// The kind a role binding's `roleRef` says, if it does.
    [[nodiscard]] std::optional<Gvk> role_ref() const {
        const auto* group = kube::find(resource_.object.fields(), {"roleRef", "apiGroup"});
        const auto* kind = kube::find(resource_.object.fields(), {"roleRef", "kind"});
        if (group == nullptr || kind == nullptr) return std::nullopt;
        const auto text = [](const json::value& value) {
            return value.is_null() ? std::string{"null"} : text_of(value);
        };
        return Gvk{.group = text(*group), .version = {}, .kind = text(*kind)};
    }

    Resource& resource_;
    Names& names_;
    LookUps* noted_;
    std::set<std::string> namespaces_;  ///< empty: all
    const Gvk* target_ = nullptr;
    std::optional<Gvk> role_;
};

/// The references an original kind can have, found once for each kind.
class ReferenceFields {
public:
    struct Field {
        const FieldSpec* field;
        const Gvk* target;
    };

    explicit ReferenceFields(const std::vector<NameReference>& references)
        : references_{references} {}

    const std::vector<Field>& of(const Gvk& gvk) {
        const auto [entry, added] = by_kind_.try_emplace(gvk.to_string());
        if (added) {
            for (const auto& reference : references_) {
                for (const auto& field : reference.referrers) {
                    if (selects(field.gvk, gvk))
                        entry->second.push_back({&field, &reference.target});
                }
            }
        }
        return entry->second;
    }

private:
    const std::vector<NameReference>& references_;
    std::unordered_map<std::string, std::vector<Field>> by_kind_;
};

}  // namespace

struct NameReferences::Impl {
    Names names;
    ReferenceFields fields;
};

NameReferences::NameReferences(const std::vector<NameReference>& references)
    : impl_{new Impl{{}, ReferenceFields{references}}} {}

NameReferences::~NameReferences() = default;

void NameReferences::add(Resource& resource) { impl_->names.add(resource); }

void NameReferences::remove(const Resource& resource) { impl_->names.remove(resource); }

void NameReferences::clear() { impl_->names.clear(); }

void NameReferences::fix(Resource& resource, std::vector<LookUp>* noted) {
    Referrer referrer{resource, impl_->names, noted};
    for (const auto& [field, target] : impl_->fields.of(resource.original_id().gvk))
        referrer.fix(*field, *target);
}

bool NameReferences::needless() const noexcept { return impl_->names.nothing_was_renamed(); }

bool NameReferences::still(const std::vector<LookUp>& noted) const {
    return std::all_of(noted.begin(), noted.end(), [&](const LookUp& one) {
        return impl_->names.answer(*one.name) == one.answer;
    });
}

std::size_t NameReferences::size() const noexcept { return impl_->names.size(); }

std::size_t naming_of(const Resource& resource) {
    const auto& id = resource.id;
    auto naming = mix(mix(mix(0, id.gvk.group), id.gvk.version), id.gvk.kind);
    naming = mix(mix(naming, id.name), id.ns);
    for (const auto& before : resource.previous) {
        naming = mix(mix(mix(naming, before.kind), before.name), before.effective_namespace);
    }
    for (const auto* affixes : {&resource.prefixes, &resource.suffixes}) {
        for (const auto& affix : *affixes) naming = mix(naming, affix);
        naming = mix(naming, "/");
    }
    return naming;
}

void fix_name_references(ResourceMap& resources, const std::vector<NameReference>& references) {
    NameReferences names{references};
    for (auto* item : resources.pointers()) names.add(*item);
    for (const auto& item : resources.items()) {
        names.fix(*item);
        if (!names.needless()) resources.changed(*item);
    }
}

}  // namespace kled::kustomize
