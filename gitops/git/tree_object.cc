#include "gitops/git/tree_object.h"

#include "gitops/git/libgit2.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace kled::gitops::git {

namespace {

/// Git's order: a folder as if its name ended in '/'.
std::string sort_name(const TreeEntry& entry) {
    return entry.mode == GIT_FILEMODE_TREE ? entry.name + "/" : entry.name;
}

std::string octal(unsigned mode) {
    std::array<char, 12> digits{};
    auto* end = std::to_chars(digits.data(), digits.data() + digits.size(), mode, 8).ptr;
    return {digits.data(), end};
}

}  // namespace

std::string tree_object(std::vector<TreeEntry> entries) {
    std::ranges::sort(entries, {}, sort_name);
    std::string bytes;
    for (const auto& entry : entries) {
        bytes += octal(entry.mode) + " " + entry.name;
        bytes += '\0';
        bytes.append(entry.oid.bytes.begin(), entry.oid.bytes.end());
    }
    return bytes;
}

}  // namespace kled::gitops::git
