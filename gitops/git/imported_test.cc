#include "gitops/git/imported.h"

#include "base/error.h"
#include "base/file.h"
#include "gitops/git/tree.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <array>
#include <barrier>
#include <thread>

namespace kled::gitops::git {
namespace {

class Import : public ::testing::Test {
protected:
    using Contents = std::map<std::string, std::string>;

    static Revision bring(Imported& imported, const std::string& name, const Contents& contents,
                          const std::string& memo = "") {
        Imported::Files files;
        for (const auto& [path, content] : contents)
            files[path] = {.oid = imported.write(content), .executable = path.ends_with(".sh")};
        return imported.commit(name, files, memo);
    }
    Contents all(const Revision& revision) {
        Contents result;
        const Tree tree{*mirror, revision};
        tree.visit([&](const Tree::Item& item) {
            if (item.kind == Tree::Kind::file)
                result[item.path + (item.executable ? "*" : "")] = item.content;
        });
        return result;
    }
    std::size_t objects() {
        std::size_t count = 0;
        for (const auto& entry :
             std::filesystem::recursive_directory_iterator{directory.path() / "m" / "objects"})
            if (entry.is_regular_file()) ++count;
        return count;
    }

    TemporaryDirectory directory{"kled-imported"};
    std::shared_ptr<Mirror> mirror =
        std::make_shared<Mirror>(directory.path() / "m", "s3://host/bucket");
    Imported imported{mirror};
};

TEST_F(Import, IsATreeLikeAnyOtherWithNothingLeftOut) {
    const Contents contents{
        {"a", "1"},        {"a-b", "2"},          {"b/c/d.yaml", "3"},  {"b-c", "4"},
        {"b/c.yaml", "5"}, {"b.yaml", "6"},       {".git/config", "7"}, {"x.jpg", "8"},
        {"run", "9"},      {".sourceignore", "*"}};
    EXPECT_EQ(all(bring(imported, "sha256:1", contents)), contents);
    EXPECT_EQ(all(bring(imported, "sha256:2", {{"b/run.sh", "x"}})),
              (Contents{{"b/run.sh*", "x"}}));
    EXPECT_EQ(all(bring(imported, "sha256:3", {})), Contents{});
}

TEST_F(Import, WhatIsInUseIsNotDroppedHoweverManyFollow) {
    std::string used = "sha256:1";
    Imported counted{mirror, [&](std::string_view name, std::string_view memo) {
                         return name == used && memo == "of 1";
                     }};
    const auto first = bring(counted, used, {{"a", "1"}}, "of 1");
    const auto bring_more = [&](int from) {
        for (int i = from; i < from + 15; ++i)
            bring(counted, "sha256:" + std::to_string(i), {{"a", std::to_string(i)}});
    };
    bring_more(2);
    EXPECT_FALSE(counted.find("sha256:2"));
    ASSERT_TRUE(counted.find(used));
    EXPECT_EQ(counted.find(used)->revision, first);
    EXPECT_EQ(all(first), (Contents{{"a", "1"}}));
    used.clear();
    bring_more(20);
    EXPECT_FALSE(counted.find("sha256:1"));
}

TEST_F(Import, NoMoreThanAHundredAreKeptHoweverManyAreInUse) {
    Imported all_used{mirror, [](std::string_view, std::string_view) { return true; }};
    for (int i = 0; i < 103; ++i) bring(all_used, "sha256:" + std::to_string(i), {{"a", "x"}});
    EXPECT_FALSE(all_used.find("sha256:2"));
    EXPECT_TRUE(all_used.find("sha256:3"));
}

TEST_F(Import, EqualFilesAreAnEqualCommitAnywhere) {
    Imported other{std::make_shared<Mirror>(directory.path() / "other", "s3://host/bucket")};
    const Contents contents{{"a/b", "1"}, {"c", "2"}};
    const auto one = bring(imported, "sha256:1", contents, "memo");
    const auto two = bring(other, "sha256:1", contents, "memo");
    EXPECT_EQ(one, two);
    EXPECT_NE(one.commit, bring(other, "sha256:2", contents, "memo").commit);
}

TEST_F(Import, IsFoundAgainByANewProcess) {
    const auto first = bring(imported, "sha256:1", {{"a/b", "1"}, {"a/c.sh", "x"}}, "one\n\ntwo\n");
    bring(imported, "sha256:2", {{"a", "2"}});
    const Imported again{std::make_shared<Mirror>(directory.path() / "m", "s3://host/bucket")};
    const auto kept = again.find("sha256:1");
    ASSERT_TRUE(kept);
    EXPECT_EQ(kept->revision, first);
    EXPECT_EQ(kept->memo, "one\n\ntwo\n");
    const auto files = again.files(kept->revision, {});
    ASSERT_TRUE(files);
    EXPECT_EQ(files->size(), 2U);
    EXPECT_FALSE(files->at("a/b").executable);
    EXPECT_TRUE(files->at("a/c.sh").executable);
    EXPECT_FALSE(again.find("sha256:3"));
    EXPECT_FALSE(again.find("sha256"));
    const Imported other{std::make_shared<Mirror>(directory.path() / "m", "s3://host/other")};
    EXPECT_FALSE(other.find("sha256:1")) << "a cache of another bucket";
}

TEST_F(Import, WhatIsDamagedIsNotTakenForGood) {
    const auto revision = bring(imported, "sha256:1", {{"a", "1"}});
    const auto oid = imported.files(revision, {})->at("a").oid.hex();
    const auto file = directory.path() / "m" / "objects" / oid.substr(0, 2) / oid.substr(2);
    std::filesystem::permissions(file, std::filesystem::perms::owner_all);
    std::filesystem::resize_file(file, 0);
    EXPECT_FALSE(imported.files(revision, {}));
    imported.forget();
    EXPECT_FALSE(imported.find("sha256:1"));
    EXPECT_EQ(all(bring(imported, "sha256:1", {{"a", "1"}})), (Contents{{"a", "1"}}));
}

TEST_F(Import, WhatTheMachineDoesNotLetBeReadIsNotDamaged) {
    const auto revision = bring(imported, "sha256:1", {{"a", "1"}});
    const auto oid = imported.files(revision, {})->at("a").oid.hex();
    const auto file = directory.path() / "m" / "objects" / oid.substr(0, 2) / oid.substr(2);
    std::filesystem::rename(file, file.string() + ".away");
    // What opening a socket fails with is no word on content, and that for root too.
    ASSERT_EQ(::mknod(file.c_str(), S_IFSOCK | 0600U, 0), 0);
    EXPECT_THROW((void)imported.files(revision, {}), Error);
    std::filesystem::rename(file.string() + ".away", file);
    EXPECT_TRUE(imported.files(revision, {}));
}

TEST_F(Import, SeveralMayWriteTheFirstFiles) {
    for (int round = 0; round < 20; ++round) {
        const auto place = directory.path() / ("race" + std::to_string(round));
        const Imported fresh{std::make_shared<Mirror>(place, "s3://host/bucket")};
        std::array<Imported::File, 4> written;
        {
            std::barrier together{static_cast<std::ptrdiff_t>(written.size())};
            std::vector<std::jthread> threads;
            for (auto& file : written) {
                threads.emplace_back([&, its = fresh]() mutable {
                    together.arrive_and_wait();
                    file.oid = its.write(std::to_string(&file - written.data()));
                });
            }
        }
        Imported::Files files;
        for (std::size_t i = 0; i < written.size(); ++i) files[std::to_string(i)] = written[i];
        EXPECT_NO_THROW(Imported{fresh}.commit("sha256:1", files, ""));
    }
}

TEST_F(Import, WhatIsGoneIsNotThereRatherThanNotFound) {
    const auto revision = bring(imported, "sha256:1", {{"a", "1"}});
    const auto oid = imported.files(revision, {})->at("a").oid.hex();
    std::filesystem::remove(directory.path() / "m" / "objects" / oid.substr(0, 2) / oid.substr(2));
    try {
        (void)Tree{*mirror, revision}.read("a");
        ADD_FAILURE() << "read";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::unavailable) << error.what();
    }
}

TEST_F(Import, AnArchiveStaysWithItsRevision) {
    const auto archive = imported.write("the archive");
    const Imported::Files files{{"a", {.oid = imported.write("1")}}};
    const auto with = imported.commit("1.0@sha256:1", files, "one", archive);
    const auto without = imported.commit("1.0@sha256:1", files, "one");
    EXPECT_NE(with.commit, without.commit);
    EXPECT_EQ(with.tree, without.tree);
    const Imported again{std::make_shared<Mirror>(directory.path() / "m", "s3://host/bucket")};
    const auto kept = again.find_if(
        [&](std::string_view name, std::string_view) { return name.ends_with("sha256:1"); });
    ASSERT_TRUE(kept);
    EXPECT_EQ(kept->revision, without) << "the last";
    imported.commit("1.0@sha256:1", files, "two", archive);
    const auto two = again.find_if(
        [](std::string_view name, std::string_view memo) { return name != memo && memo == "two"; });
    ASSERT_TRUE(two);
    EXPECT_EQ(two->revision.archive, archive);
    // It is needed as the files are.
    for (int i = 0; i < 1'050; ++i) (void)imported.write("spare " + std::to_string(i));
    imported.commit("2.0@sha256:2", files, "three");
    EXPECT_EQ(read_archive(*mirror, two->revision), "the archive");
    EXPECT_TRUE(imported.files(two->revision, {}));
    const auto hex = archive.hex();
    std::filesystem::remove(directory.path() / "m" / "objects" / hex.substr(0, 2) / hex.substr(2));
    EXPECT_FALSE(imported.files(two->revision, {}));
    EXPECT_THROW((void)read_archive(*mirror, two->revision), Error);
}

TEST_F(Import, OldRevisionsAndWhatNoneNamesGo) {
    for (int i = 0; i < 12; ++i) bring(imported, "sha256:" + std::to_string(i), {{"a", "x"}});
    EXPECT_FALSE(imported.find("sha256:0"));
    EXPECT_FALSE(imported.find("sha256:1"));
    EXPECT_TRUE(imported.find("sha256:2"));
    bring(imported, "sha256:3", {{"a", "x"}});  // the same again pushes none out
    EXPECT_TRUE(imported.find("sha256:2"));
    for (int i = 0; i < 1'050; ++i) (void)imported.write("spare " + std::to_string(i));
    EXPECT_GT(objects(), 1'000U);
    const auto last = bring(imported, "sha256:last", {{"a", "y"}});
    EXPECT_LT(objects(), 40U);
    EXPECT_EQ(all(last), (Contents{{"a", "y"}}));
    EXPECT_EQ(all(imported.find("sha256:3")->revision), (Contents{{"a", "x"}}));
}

}  // namespace
}  // namespace kled::gitops::git
