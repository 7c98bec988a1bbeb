#include "gitops/source/cache_names.h"

#include <gtest/gtest.h>

namespace kled::gitops {
namespace {

TEST(CacheNames, AFolderLeadsBackToWhoseItIs) {
    const Key git{.kind = "GitRepository", .ns = "team-a", .name = "shop.v1"};
    const Key bucket{.kind = "Bucket", .ns = "team-a", .name = "shop.v1"};
    EXPECT_EQ(cache_name(git), "team-a_shop.v1");
    EXPECT_EQ(cache_name(git, modules_cache), "team-a_shop.v1+modules");
    EXPECT_EQ(cache_name(bucket), "team-a_shop.v1+Bucket");
    for (const auto& folder :
         {cache_name(git), cache_name(git, modules_cache), cache_name(git, push_cache)})
        EXPECT_EQ(owner_of_cache(folder), git) << folder;
    EXPECT_EQ(owner_of_cache(cache_name(bucket)), bucket);
    EXPECT_EQ(owner_of_cache(".archive.abcdef"), std::nullopt);
    EXPECT_EQ(owner_of_cache("lost+found"), std::nullopt);
    EXPECT_EQ(owner_of_cache("a+b_c"), std::nullopt);
}

}  // namespace
}  // namespace kled::gitops
