#include "base/file.h"

#include "base/error.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>

namespace kled {
namespace {

namespace fs = std::filesystem;

template <typename Work>
ErrorKind failure_of(const Work& work) {
    try {
        work();
    } catch (const Error& error) {
        return error.kind();
    }
    ADD_FAILURE() << "nothing was thrown";
    return ErrorKind::internal;
}

unsigned mode_of(const fs::path& path) {
    struct stat info{};
    EXPECT_EQ(::stat(path.c_str(), &info), 0) << path;
    return info.st_mode & 07777U;
}

std::size_t entries(const fs::path& folder) {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator{folder}, fs::directory_iterator{}));
}

TEST(File, ReadsBackWhatWasWritten) {
    const TemporaryDirectory folder;
    const auto path = folder.path() / "f";
    std::string content;
    for (int i = 0; i < 100'000; ++i) content += static_cast<char>(i);
    write_file_atomic(path, content);
    EXPECT_EQ(read_file(path), content);
    write_file_atomic(path, "");
    EXPECT_EQ(read_file(path), "");
    EXPECT_EQ(entries(folder.path()), 1U);
}

TEST(File, GetsExactlyTheModeAskedFor) {
    const TemporaryDirectory folder;
    const auto old = ::umask(0077);
    write_file_atomic(folder.path() / "public", "x");
    ::umask(0);
    write_file_atomic(folder.path() / "private", "x", 0600);
    ::umask(old);
    EXPECT_EQ(mode_of(folder.path() / "public"), 0644U);
    EXPECT_EQ(mode_of(folder.path() / "private"), 0600U);
}

TEST(File, ReadsAPrivateFileOnlyWhileItIsPrivate) {
    const TemporaryDirectory folder;
    const auto path = folder.path() / "key";
    write_file_atomic(path, "hunter2", 0600);
    EXPECT_EQ(read_private_file(path).reveal(), "hunter2");
    for (const unsigned mode : {0640U, 0604U, 0620U}) {
        ::chmod(path.c_str(), mode);
        EXPECT_EQ(failure_of([&] { static_cast<void>(read_private_file(path)); }),
                  ErrorKind::denied);
    }
}

TEST(File, SaysWhatWentWrong) {
    const TemporaryDirectory folder;
    const auto& path = folder.path();
    write_file_atomic(path / "f", "12345");
    EXPECT_EQ(failure_of([&] { static_cast<void>(read_file(path / "absent")); }),
              ErrorKind::not_found);
    EXPECT_EQ(failure_of([&] { static_cast<void>(read_file(path)); }), ErrorKind::invalid);
    EXPECT_EQ(failure_of([&] { static_cast<void>(read_file(path / "f" / "x")); }),
              ErrorKind::invalid);
    EXPECT_EQ(failure_of([&] { static_cast<void>(read_file(path / "f", 4)); }),
              ErrorKind::exhausted);
    EXPECT_EQ(read_file(path / "f", 5), "12345");
    EXPECT_EQ(failure_of([] { static_cast<void>(read_file("/dev/zero", 1000)); }),
              ErrorKind::exhausted);
    EXPECT_EQ(failure_of([&] { write_file_atomic(path / "no" / "f", ""); }), ErrorKind::not_found);
    EXPECT_EQ(read_file_if_exists(path / "absent"), std::nullopt);
    EXPECT_EQ(read_file_if_exists(path / "f"), "12345");
    if (::geteuid() != 0) {
        ::chmod((path / "f").c_str(), 0);
        EXPECT_EQ(failure_of([&] { static_cast<void>(read_file(path / "f")); }), ErrorKind::denied);
    }
}

TEST(File, KeepsTheOldContentWhenTheNewDoesNotFit) {
    const TemporaryDirectory folder;
    const auto path = folder.path() / "f";
    write_file_atomic(path, "old");
    struct rlimit before{};
    ::getrlimit(RLIMIT_FSIZE, &before);
    const auto handler = std::signal(SIGXFSZ, SIG_IGN);
    const struct rlimit small{.rlim_cur = 1000, .rlim_max = before.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &small);
    const auto kind = failure_of([&] { write_file_atomic(path, std::string(2000, 'n')); });
    ::setrlimit(RLIMIT_FSIZE, &before);
    std::signal(SIGXFSZ, handler);
    EXPECT_EQ(kind, ErrorKind::exhausted);
    EXPECT_EQ(read_file(path), "old");
    EXPECT_EQ(entries(folder.path()), 1U);
}

TEST(File, MakesDirectoriesWithTheirMode) {
    const TemporaryDirectory folder;
    const auto path = folder.path() / "a" / "b" / "c";
    make_directories(path, 0700);
    make_directories(path, 0700);
    EXPECT_EQ(mode_of(folder.path() / "a"), 0700U);
    EXPECT_EQ(mode_of(path), 0700U);
    write_file_atomic(folder.path() / "f", "");
    EXPECT_EQ(failure_of([&] { make_directories(folder.path() / "f"); }), ErrorKind::invalid);
    EXPECT_EQ(failure_of([&] { make_directories(folder.path() / "f" / "g"); }), ErrorKind::invalid);
}

TEST(File, RemovesATemporaryDirectoryWithAllInIt) {
    fs::path path;
    {
        const TemporaryDirectory folder;
        path = folder.path();
        EXPECT_EQ(mode_of(path), 0700U);
        make_directories(path / "a" / "b");
        write_file_atomic(path / "a" / "b" / "f", "x");
    }
    EXPECT_FALSE(fs::exists(path));
}

TEST(FileDescriptor, ClosesOnceAndMoves) {
    const auto closed = [](int fd) { return ::fcntl(fd, F_GETFD) < 0; };
    FileDescriptor first{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
    const int fd = first.get();
    FileDescriptor second{std::move(first)};
    EXPECT_EQ(second.get(), fd);
    second = FileDescriptor{};
    EXPECT_TRUE(closed(fd));
}

}  // namespace
}  // namespace kled
