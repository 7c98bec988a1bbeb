#include "gitops/objects/history.h"

#include "base/error.h"

#include <gtest/gtest.h>

namespace kled::gitops {
namespace {

constexpr WallTime start{};

History::Attempt attempt(const std::string& digest, const std::string& result = "Good") {
    return {.digest = digest, .result = result, .revision = "main@sha1:1", .took = Duration{1500}};
}

std::vector<std::string> digests(const History& history) {
    std::vector<std::string> result;
    for (const auto& item : history.to_json())
        result.emplace_back(kube::find_string(item.get_object(), {"digest"}));
    return result;
}

TEST(History, CountsWhatIsTheSameAndPutsTheNewestFirst) {
    History history;
    history.add(attempt("a"), start);
    history.add(attempt("b"), start + std::chrono::seconds{1});
    history.add(attempt("a"), start + std::chrono::seconds{2});
    EXPECT_EQ(digests(history), (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ(
        kube::json::value(history.to_json().at(0)),
        kube::parse_json(
            R"({"digest":"a","firstReconciled":"1970-01-01T00:00:00Z","lastReconciled":"1970-01-01T00:00:02Z",
                "lastReconciledDuration":"1.5s","lastReconciledStatus":"Good","totalReconciliations":2,
                "metadata":{"revision":"main@sha1:1"}})"));
    auto made = attempt("a", "Bad");
    made.origin = "v1@sha1:2";
    history.add(made, start);
    EXPECT_EQ(*kube::find(history.to_json().at(0), {"metadata", "originRevision"}), "v1@sha1:2");
    EXPECT_EQ(digests(history), (std::vector<std::string>{"a", "a", "b"}));
}

TEST(History, RemembersFive) {
    History history;
    for (const auto* digest : {"a", "b", "c", "d", "e", "f"}) history.add(attempt(digest), start);
    EXPECT_EQ(digests(history), (std::vector<std::string>{"f", "e", "d", "c", "b"}));
    kube::json::object status;
    status["history"] = history.to_json();
    EXPECT_EQ(History::from_status(&status), history);
}

TEST(History, FollowsRevisionsThatChangeNothing) {
    History history;
    history.follow("main@sha1:2", "");
    EXPECT_TRUE(history.to_json().empty());
    history.add(attempt("a", "ReconciliationSucceeded"), start);
    history.follow("main@sha1:2", "v1@sha1:3");
    EXPECT_EQ(*kube::find(history.to_json().at(0), {"metadata", "revision"}), "main@sha1:2");
    EXPECT_EQ(*kube::find(history.to_json().at(0), {"metadata", "originRevision"}), "v1@sha1:3");
    EXPECT_EQ(*kube::find(history.to_json().at(0), {"totalReconciliations"}), 1);
    history.add(attempt("b", "HealthCheckFailed"), start);
    history.follow("main@sha1:4", "");
    EXPECT_EQ(*kube::find(history.to_json().at(0), {"metadata", "revision"}), "main@sha1:1");
}

TEST(History, KnowsWhatWasAppliedBefore) {
    const auto commit = [](char digit) { return std::string(40, digit); };
    const auto revision = [&](char digit) { return "main@sha1:" + commit(digit); };
    History history;
    const auto applied = [&](char digit, const char* result) {
        history.add({.digest = std::string(1, digit),
                     .result = result,
                     .revision = revision(digit),
                     .took = Duration{1}},
                    start);
    };
    applied('1', "ReconciliationSucceeded");
    applied('2', "ReconciliationSucceeded");
    applied('3', "HealthCheckFailed");
    applied('4', "ReconciliationSucceeded");
    EXPECT_EQ(history.revision_before(revision('4'), ""), revision('2'));
    EXPECT_EQ(history.revision_before(revision('4'), "111"), revision('1'));
    EXPECT_EQ(history.revision_before(commit('2'), ""), revision('4')) << "without a branch";
    const auto says = [&](std::string_view now, std::string_view from) -> std::string {
        try {
            return history.revision_before(now, from);
        } catch (const Error& error) {
            return error.what();
        }
    };
    EXPECT_EQ(says(revision('4'), "333"),
              "no revision 333 was applied before this one: there are " + revision('2') + ", " +
                  revision('1'));
    EXPECT_EQ(History{}.to_json().size(), 0U);
    history = {};
    EXPECT_EQ(says("", ""), "no revision was applied before this one; --to takes a whole commit");
}

}  // namespace
}  // namespace kled::gitops
