#include "gitops/apply/prune_approval.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kled::gitops {
namespace {

using ::testing::EndsWith;
using ::testing::StartsWith;

Change change(const std::string& name, const std::string& uid,
              Change::Action action = Change::Action::waiting) {
    return {.id = {.group = "", .kind = "ConfigMap", .ns = "web", .name = name},
            .action = action,
            .message = {},
            .uid = uid};
}

Conditions with(const std::string& status, const std::string& message) {
    Conditions conditions;
    conditions.set(prune_approval_condition, status, "WaitingForApproval", message, 1, WallTime{});
    return conditions;
}

TEST(PruneApproval, IsOfTheObjectsWhateverTheirOrder) {
    const PendingPrune ab{{change("a", "1"), change("b", "2")}};
    EXPECT_EQ(ab.digest(), (PendingPrune{{change("b", "2"), change("a", "1")}}.digest()));
    EXPECT_NE(ab.digest(), (PendingPrune{{change("a", "1"), change("b", "3")}}.digest()));
    EXPECT_NE(ab.digest(), (PendingPrune{{change("a", "1")}}.digest()));
    // No field runs into the next.
    EXPECT_NE((PendingPrune{{change("a", "b1")}}.digest()),
              (PendingPrune{{change("ab", "1")}}.digest()));
}

TEST(PruneApproval, LeavesOutWhatDoesNotWait) {
    EXPECT_TRUE((PendingPrune{{change("a", "1", Change::Action::pruned),
                               change("b", "1", Change::Action::kept)}})
                    .empty());
}

TEST(PruneApproval, SaysItsDigestAndWhatItIsOf) {
    const PendingPrune two{{change("b", "2"), change("a", "1")}};
    EXPECT_EQ(two.message(), two.digest() +
                                 "\n2 objects wait for an approval to be pruned:"
                                 "\nConfigMap web/a\nConfigMap web/b");
    EXPECT_EQ(pending_digest(with("False", two.message())), two.digest());
    EXPECT_EQ(pending_digest({}), "");
    EXPECT_EQ(pending_digest(with("True", two.message())), "");
    EXPECT_EQ(pending_digest(with("False", "sha256:")), "");
    EXPECT_EQ(pending_digest(with("False", two.digest())), "");
}

TEST(PruneApproval, ALongListIsCutAndItsDigestIsNot) {
    std::vector<Change> many;
    for (int i = 0; i < 5000; ++i) many.push_back(change("object-" + std::to_string(i), "1"));
    const PendingPrune all{many};
    const auto message = all.message();
    EXPECT_LT(message.size(), 31'000U);
    EXPECT_THAT(message, StartsWith(all.digest() + "\n5000 objects wait"));
    EXPECT_THAT(message, EndsWith(" more"));
    many.pop_back();
    EXPECT_NE(all.digest(), PendingPrune{many}.digest());
}

}  // namespace
}  // namespace kled::gitops
