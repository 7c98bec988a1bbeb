#include "gitops/git/untar.h"

#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "base/run.h"
#include "gitops/git/gzip.h"
#include "tests/support/tar.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <map>

namespace kled::gitops::git {
namespace {

using namespace std::chrono_literals;
using kled::testing::tar;
using Read = std::map<std::string, std::string>;

/// By path; an executable's content begins with "x:".
Read untar(std::string_view bytes, const UntarLimits& limits = {}, std::size_t piece = 100) {
    Read result;
    Untar reader{[&](const std::string& path, bool executable, std::string content) {
                     result[path] = (executable ? "x:" : "") + std::move(content);
                 },
                 limits};
    for (std::size_t at = 0; at < bytes.size(); at += piece) reader.put(bytes.substr(at, piece));
    reader.finish();
    return result;
}

std::string failure(const std::string& bytes, const UntarLimits& limits = {}) {
    try {
        untar(bytes, limits);
    } catch (const Error& error) {
        return std::string{to_string(error.kind())} + ": " + error.what();
    }
    return "none";
}

TEST(Untar, ReadsWhatComesInPiecesOfAnySize) {
    const auto bytes = tar({{.name = "./", .type = '5'},
                            {.name = "./a/", .type = '5'},
                            {.name = "./a/b.yaml", .content = std::string(700, 'b')},
                            {.name = "run", .content = "#!", .mode = 0755},
                            {.name = "empty"}});
    const Read wanted{{"a/b.yaml", std::string(700, 'b')}, {"run", "x:#!"}, {"empty", ""}};
    for (const std::size_t piece : {1U, 7U, 512U, 100'000U})
        EXPECT_EQ(untar(bytes, {}, piece), wanted) << piece;
    EXPECT_EQ(untar(tar({{.name = "a", .content = "1"}}, false)), (Read{{"a", "1"}}));
    EXPECT_EQ(untar(tar({{.name = "a", .content = "1"}, {.name = "a", .content = "2"}})),
              (Read{{"a", "2"}}));
}

TEST(Untar, LeavesOutLinksAndGitsOwn) {
    EXPECT_EQ(untar(tar({{.name = "link", .type = '2'},
                         {.name = ".git/config", .content = "x"},
                         {.name = "a/.git", .content = "x"},
                         {.name = "a/.gitignore", .content = "y"}})),
              (Read{{"a/.gitignore", "y"}}));
}

TEST(Untar, RefusesWhatLeadsOutOrIsNoFile) {
    for (const auto* path : {"/etc/passwd", "../a", "a/../../b", "a\\b", "a/.."})
        EXPECT_EQ(failure(tar({{.name = path, .content = "x"}})).substr(0, 14), "invalid: tar: ")
            << path;
    for (const char type : {'1', '3', '4', '6', 'S', '\x01'})
        EXPECT_EQ(failure(tar({{.name = "a", .type = type}})).substr(0, 8), "invalid:") << type;
    EXPECT_EQ(failure(tar({{.name = "a", .content = "x"}, {.name = "a/b", .content = "x"}})),
              "invalid: tar: 'a' is both a file and a folder");
    EXPECT_EQ(failure(tar({{.name = "a/b", .content = "x"}, {.name = "a", .content = "x"}})),
              "invalid: tar: 'a' is both a file and a folder");
    EXPECT_EQ(failure(tar({{.name = "", .content = "x"}})), "invalid: tar: a file has no name");
}

TEST(Untar, RefusesWhatIsDamagedOrCutShort) {
    const auto whole = tar({{.name = "a", .content = std::string(600, 'a')}});
    for (const std::size_t size : {0U, 1U, 511U, 512U, 600U, 1'111U, 1'112U, 1'535U})
        EXPECT_EQ(failure(whole.substr(0, size)), "invalid: tar: it ends too early") << size;
    auto damaged = whole;
    damaged[0] = 'b';
    EXPECT_EQ(failure(damaged), "invalid: tar: what came is damaged, or is no tar");
    EXPECT_EQ(failure(std::string(2'000, 'x')), "invalid: tar: what came is damaged, or is no tar");
    for (const auto* record : {"8 path=a\n", "99 path=abc\n", "x", "0 ", "10 pathabc\n"})
        EXPECT_EQ(failure(tar({{.name = "p", .content = record, .type = 'x'}})).substr(0, 8),
                  "invalid:")
            << record;
}

TEST(Untar, TakesNamesFromHeadersOfTheirOwn) {
    const std::string name(300, 'n');
    const auto record = " path=" + name + "\n";
    EXPECT_EQ(
        untar(
            tar({{.name = "p", .content = std::to_string(record.size() + 3) + record, .type = 'x'},
                 {.name = "short", .content = "1"},
                 {.name = "next", .content = "2"}})),
        (Read{{name, "1"}, {"next", "2"}}));
    EXPECT_EQ(untar(tar({{.name = "././@LongLink", .content = name + '\0', .type = 'L'},
                         {.name = "short", .content = "1"}})),
              (Read{{name, "1"}}));
    EXPECT_EQ(failure(tar({{.name = "p", .content = "11 path=../\n", .type = 'x'}, {.name = "a"}}))
                  .substr(0, 8),
              "invalid:");
}

TEST(Untar, EndsAtItsLimits) {
    const auto two = tar({{.name = "a", .content = "123"}, {.name = "bc", .content = "456"}});
    EXPECT_EQ(untar(two, {.entries = 2, .file = 3, .total = 6, .path = 2, .paths = 3}).size(), 2U);
    for (const auto& limits :
         {UntarLimits{.entries = 1}, UntarLimits{.file = 2}, UntarLimits{.total = 5},
          UntarLimits{.path = 1}, UntarLimits{.paths = 2}})
        EXPECT_EQ(failure(two, limits).substr(0, 10), "exhausted:");
    // Said, but not sent.
    auto bomb = tar({{.name = "a"}}, false);
    bomb.replace(124, 11, "77777777777");
    unsigned sum = 8 * ' ';
    for (std::size_t i = 0; i < 512; ++i)
        sum += i >= 148 && i < 156 ? 0 : static_cast<unsigned char>(bomb[i]);
    bomb.replace(148, 6, kled::testing::tar_octal(6, sum));
    EXPECT_EQ(failure(bomb).substr(0, 10), "exhausted:");
}

TEST(Untar, ReadsWhatTarWrites) {
    const TemporaryDirectory directory{"kled-untar"};
    const auto root = directory.path() / "root";
    const std::string deep = std::string(80, 'd') + "/" + std::string(80, 'e') + "/äöü.yaml";
    std::filesystem::create_directories((root / deep).parent_path());
    write_file_atomic(root / deep, "deep");
    write_file_atomic(root / "run.sh", "#!", 0700);
    std::filesystem::create_symlink("run.sh", root / "link");
    for (const std::string format : {"gnu", "pax", "ustar"}) {
        Command command;
        command.argv = {"tar", "--format=" + format, "-cz", "-C", root, "."};
        const auto made = run_to_end(run(command, {}, 20s));
        ASSERT_EQ(made.status, 0) << made.err;
        std::string plain;
        GzipReader gzip{[&](std::string_view bytes) { plain += bytes; }, 1U << 20U};
        for (const char c : made.out) gzip.put({&c, 1});
        gzip.finish();
        EXPECT_EQ(untar(plain), (Read{{deep, "deep"}, {"run.sh", "x:#!"}})) << format;
    }
}

std::string gzip(std::string_view bytes) {
    std::string result;
    GzipWriter writer{[&](std::string_view piece) { result += piece; }};
    writer.write(bytes);
    writer.finish();
    return result;
}

std::string gunzip(std::string_view bytes, std::uint64_t limit = 1U << 20U) {
    std::string result;
    GzipReader reader{[&](std::string_view piece) { result += piece; }, limit};
    reader.put(bytes);
    reader.finish();
    return result;
}

TEST(Gzip, IsReadToItsEndAndNoFurtherThanItsLimit) {
    EXPECT_EQ(gunzip(gzip("hello")), "hello");
    EXPECT_EQ(gunzip(gzip("hello ") + gzip("world")), "hello world");
    EXPECT_EQ(gunzip(gzip(std::string(200'000, 'a'))), std::string(200'000, 'a'));
    EXPECT_THROW(gunzip(gzip(std::string(2U << 20U, 'a'))), Error);
    const auto whole = gzip("hello");
    for (std::size_t size = 0; size < whole.size(); ++size)
        EXPECT_THROW(gunzip(whole.substr(0, size)), Error) << size;
    auto damaged = whole;
    damaged[whole.size() - 6] ^= 1;
    EXPECT_THROW(gunzip(damaged), Error);
    EXPECT_THROW(gunzip("no gzip"), Error);
    EXPECT_THROW(gunzip(whole + "rest"), Error);
}

}  // namespace
}  // namespace kled::gitops::git
