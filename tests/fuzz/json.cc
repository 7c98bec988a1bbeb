/// Two lines: a value, and a patch of it. JSON comes back as it was; patches change all or nothing;
/// the merge patch between two values leads from one to the other.
#include "base/error.h"
#include "kube/object.h"
#include "kube/patch.h"
#include "tests/fuzz/target.h"

#include <algorithm>
#include <string>

namespace {

using namespace kled;
namespace json = boost::json;

bool has_null(const json::value& value) {
    if (const auto* object = value.if_object()) {
        return std::ranges::any_of(*object,
                                   [](const auto& entry) { return has_null(entry.value()); });
    }
    return value.is_null();
}

json::value parse(std::string_view text) {
    auto value = kube::parse_json(text);
    const auto printed = kube::to_json(value);
    if (kube::parse_json(printed) != value) fuzz::broken("JSON reads as another value", printed);
    const auto canonical = kube::to_canonical_json(value);
    if (kube::to_canonical_json(kube::parse_json(canonical)) != canonical) {
        fuzz::broken("canonical JSON is not stable", canonical);
    }
    return value;
}

void apply_json_patch(const json::value& target, const json::value& patch) {
    auto patched = target;
    try {
        kube::apply_json_patch(patched, patch);
        (void)kube::to_json(patched);
    } catch (const Error&) {
        if (patched != target)
            fuzz::broken("a patch that failed left a trace", kube::to_json(patch));
    }
}

void merge(const json::value& from, const json::value& to) {
    auto patched = from;
    kube::apply_merge_patch(patched, to);
    // One that is null itself takes the place of the value (RFC 7396).
    if (!to.is_null() && has_null(patched) && !has_null(from)) {
        fuzz::broken("a merge patch wrote null", kube::to_json(to));
    }
    // A merge patch cannot say null.
    if (has_null(to)) return;
    patched = from;
    kube::apply_merge_patch(patched, kube::create_merge_patch(from, to));
    if (kube::to_canonical_json(patched) != kube::to_canonical_json(to)) {
        fuzz::broken("a merge patch leads elsewhere", kube::to_json(to));
    }
}

void merge_strategically(const json::value& target, const json::value& patch) {
    for (const auto& [version, kind] :
         {std::pair{"apps/v1", "Deployment"}, std::pair{"v1", "Service"}}) {
        auto patched = target;
        try {
            kube::apply_strategic_merge_patch(patched, patch,
                                              kube::GroupVersionKind::parse(version, kind));
            (void)kube::to_json(patched);
        } catch (const Error&) {
        }
    }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    auto text = fuzz::text_of(data, size);
    try {
        const auto target = parse(fuzz::take_line(text));
        const auto patch = parse(text);
        apply_json_patch(target, patch);
        merge(target, patch);
        merge_strategically(target, patch);
        fuzz::accepted();
    } catch (const Error&) {
    }
    return 0;
}
