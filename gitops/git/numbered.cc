#include "gitops/git/numbered.h"

#include <algorithm>
#include <charconv>
#include <cstddef>

namespace kled::gitops::git {

namespace {

constexpr std::size_t number_digits = 12;
constexpr std::size_t kept_always = 10;
constexpr std::size_t kept_at_most = 100;

std::uint64_t number_of(std::string_view digits) {
    std::uint64_t number = 0;
    const auto* end = digits.data() + digits.size();
    const auto [stop, failed] = std::from_chars(digits.data(), end, number);
    return failed == std::errc{} && stop == end ? number : 0;
}

}  // namespace

std::vector<Numbered> numbered_below(git_repository* repository, std::string_view prefix) {
    std::vector<Numbered> result;
    const auto each = [](const char* name, void* payload) {
        auto& list = *static_cast<std::vector<Numbered>*>(payload);
        list.push_back({.reference = name, .number = 0, .commit = {}});
        return 0;
    };
    const auto glob = std::string{prefix} + "*";
    check(git_reference_foreach_glob(repository, glob.c_str(), each, &result), "git cache");
    std::erase_if(result, [&](Numbered& one) {
        one.number = number_of(std::string_view{one.reference}.substr(prefix.size()));
        git_oid oid{};
        const bool good = git_reference_name_to_id(&oid, repository, one.reference.c_str()) == 0;
        one.commit = from_git(oid);
        return !good;
    });
    std::ranges::sort(result, {}, &Numbered::number);
    return result;
}

void keep_as_last(git_repository* repository, std::string_view prefix, const Oid& commit,
                  const std::function<bool(const Oid& commit)>& in_use) {
    auto kept = numbered_below(repository, prefix);
    const auto next = std::to_string(kept.empty() ? 1 : kept.back().number + 1);
    const auto name = std::string{prefix} +
                      std::string(number_digits - std::min(number_digits, next.size()), '0') + next;
    git_reference* raw = nullptr;
    const auto oid = to_git(commit);
    check(git_reference_create(&raw, repository, name.c_str(), &oid, 1, nullptr), "git cache");
    const ReferencePtr made{raw};
    // The same again is the newest once more, not twice.
    std::vector<std::string> old;
    std::erase_if(kept, [&](const Numbered& one) {
        if (one.commit != commit) return false;
        old.push_back(one.reference);
        return true;
    });
    for (std::size_t i = 0; i + kept_always <= kept.size(); ++i)
        if (i + kept_at_most <= kept.size() || !in_use || !in_use(kept[i].commit))
            old.push_back(kept[i].reference);
    for (const auto& one : old) check(git_reference_remove(repository, one.c_str()), "git cache");
}

}  // namespace kled::gitops::git
