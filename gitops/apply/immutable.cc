#include "gitops/apply/immutable.h"

#include <algorithm>
#include <initializer_list>
#include <string_view>

namespace kled::gitops {

bool is_immutable_error(const kube::StatusError& error) {
    // The API server has no reason of its own for this; the texts are those of its validation, of
    // rules in definitions, and of webhooks, which refuse with other codes.
    const auto one_of = [](std::string_view text, std::initializer_list<std::string_view> says) {
        return std::ranges::any_of(
            says, [&](auto what) { return text.find(what) != std::string_view::npos; });
    };
    const auto immutable = [&](std::string_view text) {
        if (one_of(text, {"is immutable", "immutable field"})) return true;
        return error.code() == 422 &&
               one_of(text, {"are forbidden", "may not change once set", "cannot be changed"});
    };
    return immutable(error.what()) ||
           std::ranges::any_of(error.causes(), [&](const auto& c) { return immutable(c.message); });
}

}  // namespace kled::gitops
