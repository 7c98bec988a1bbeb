#include "gitops/objects/condition.h"

#include "base/utf8.h"

#include <algorithm>

namespace kled::gitops {

namespace json = boost::json;

namespace {

constexpr std::size_t message_limit = 32'768;  // metav1.Condition, message: maxLength

}  // namespace

Conditions Conditions::from_status(const json::object* status) {
    Conditions result;
    const auto* list = status == nullptr ? nullptr : kube::find(*status, {"conditions"});
    if (list == nullptr || !list->is_array()) return result;
    for (const auto& item : list->get_array()) {
        if (!item.is_object()) continue;
        const auto& fields = item.get_object();
        Condition condition{
            .type = std::string{kube::find_string(fields, {"type"})},
            .status = std::string{kube::find_string(fields, {"status"})},
            .reason = std::string{kube::find_string(fields, {"reason"})},
            .message = std::string{kube::find_string(fields, {"message"})},
            .observed_generation = 0,
            .last_transition = std::string{kube::find_string(fields, {"lastTransitionTime"})}};
        const auto* generation = kube::find(fields, {"observedGeneration"});
        if (generation != nullptr && generation->is_int64())
            condition.observed_generation = generation->get_int64();
        result.list_.push_back(std::move(condition));
    }
    return result;
}

json::array Conditions::to_json() const {
    json::array result;
    for (const auto& c : list_) {
        json::object fields;
        fields["type"] = c.type;
        fields["status"] = c.status;
        if (c.observed_generation != 0) fields["observedGeneration"] = c.observed_generation;
        fields["lastTransitionTime"] = c.last_transition;
        fields["reason"] = c.reason;
        fields["message"] = c.message;
        result.emplace_back(std::move(fields));
    }
    return result;
}

const Condition* Conditions::find(std::string_view type) const noexcept {
    const auto found = std::ranges::find(list_, type, &Condition::type);
    return found == list_.end() ? nullptr : &*found;
}

bool Conditions::is_true(std::string_view type) const noexcept {
    const auto* condition = find(type);
    return condition != nullptr && condition->status == "True";
}

void Conditions::set(std::string_view type, std::string_view status, std::string_view reason,
                     std::string_view message, std::int64_t generation, WallTime now) {
    auto found = std::ranges::find(list_, type, &Condition::type);
    if (found == list_.end()) {
        found = type == "Ready" ? list_.emplace(list_.begin()) : list_.emplace(list_.end());
        found->type = type;
    }
    if (found->status != status) found->last_transition = to_rfc3339(now);
    found->status = status;
    found->reason = reason;
    found->message = shortened(message, message_limit);
    found->observed_generation = generation;
}

void Conditions::put(Condition condition) {
    const auto found = std::ranges::find(list_, condition.type, &Condition::type);
    if (found == list_.end()) {
        list_.push_back(std::move(condition));
    } else {
        *found = std::move(condition);
    }
}

void Conditions::remove(std::string_view type) {
    std::erase_if(list_, [&](const Condition& c) { return c.type == type; });
}

void Conditions::ready(std::string_view reason, std::string_view message, std::int64_t generation,
                       WallTime now) {
    remove("Reconciling");
    remove("Stalled");
    set("Ready", "True", reason, message, generation, now);
}

void Conditions::reconciling(std::string_view message, std::int64_t generation, WallTime now) {
    remove("Stalled");
    set("Reconciling", "True", "Progressing", message, generation, now);
    const auto* ready = find("Ready");
    if (ready == nullptr || ready->observed_generation != generation)
        set("Ready", "Unknown", "Progressing", message, generation, now);
}

void Conditions::failed(std::string_view reason, std::string_view message, std::int64_t generation,
                        WallTime now) {
    remove("Stalled");
    set("Reconciling", "True", "ProgressingWithRetry", message, generation, now);
    set("Ready", "False", reason, message, generation, now);
}

void Conditions::stalled(std::string_view reason, std::string_view message, std::int64_t generation,
                         WallTime now) {
    remove("Reconciling");
    set("Stalled", "True", reason, message, generation, now);
    set("Ready", "False", reason, message, generation, now);
}

}  // namespace kled::gitops
