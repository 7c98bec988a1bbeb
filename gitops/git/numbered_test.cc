#include "gitops/git/numbered.h"

#include "gitops/git/testing.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace kled::gitops::git {
namespace {

class NumberedTest : public ::testing::Test {
protected:
    NumberedTest() {
        git_repository* raw = nullptr;
        check(git_repository_open(&raw, remote.path().c_str()), "test");
        repository.reset(raw);
    }
    Oid commit(int number) { return *Oid::parse(remote.commit({{"a", std::to_string(number)}})); }
    void bring(const Oid& one, bool used = false) {
        keep_as_last(repository.get(), prefix, one, [used](const Oid&) { return used; });
    }
    bool is_kept(const Oid& one) {
        const auto all = numbered_below(repository.get(), prefix);
        return std::ranges::find(all, one, &Numbered::commit) != all.end();
    }

    const std::string prefix = "refs/kled/test/";
    testing::Repository remote;
    RepositoryPtr repository;
};

TEST_F(NumberedTest, TheLastTenAreKept) {
    const auto first = commit(0);
    bring(first);
    for (int i = 1; i < 10; ++i) bring(commit(i));
    EXPECT_TRUE(is_kept(first));
    bring(commit(10));
    EXPECT_FALSE(is_kept(first));
    EXPECT_EQ(numbered_below(repository.get(), prefix).size(), 10U);
}

TEST_F(NumberedTest, TheSameAgainIsTheLastOnceMore) {
    const auto first = commit(0);
    bring(first);
    for (int i = 1; i < 10; ++i) bring(commit(i));
    bring(first);
    bring(commit(10));
    EXPECT_TRUE(is_kept(first));
    EXPECT_EQ(numbered_below(repository.get(), prefix).size(), 10U);
}

TEST_F(NumberedTest, OfThoseInUseAHundredAreKept) {
    const auto first = commit(0);
    bring(first, true);
    for (int i = 1; i < 100; ++i) bring(commit(i), true);
    EXPECT_TRUE(is_kept(first));
    bring(commit(100), true);
    EXPECT_FALSE(is_kept(first));
    EXPECT_EQ(numbered_below(repository.get(), prefix).size(), 100U);
}

/// Older kleds named what was fetched by its id after that.
TEST_F(NumberedTest, WhatHasNoNumberIsTheOldest) {
    const auto first = commit(0);
    git_reference* raw = nullptr;
    const auto oid = to_git(first);
    check(git_reference_create(&raw, repository.get(), (prefix + first.hex()).c_str(), &oid, 1,
                               nullptr),
          "test");
    const ReferencePtr made{raw};
    for (int i = 1; i < 10; ++i) bring(commit(i));
    EXPECT_TRUE(is_kept(first));
    bring(commit(10));
    EXPECT_FALSE(is_kept(first));
}

}  // namespace
}  // namespace kled::gitops::git
