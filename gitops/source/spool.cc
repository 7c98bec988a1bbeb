#include "gitops/source/spool.h"

#include "base/error.h"
#include "gitops/git/gzip.h"

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string>
#include <utility>

namespace kled::gitops {

namespace {

constexpr std::string_view what = "an archive on its way";

}  // namespace

Spool::Spool(const std::filesystem::path& folder) {
    make_directories(folder, 0700);
    auto name = (folder / ".archive.XXXXXX").string();
    file_ = FileDescriptor{::mkostemp(name.data(), O_CLOEXEC)};
    if (!file_) throw from_errno(errno, name);
    ::unlink(name.c_str());
}

void Spool::write(std::string_view bytes) {
    while (!bytes.empty()) {
        const auto count = ::write(file_.get(), bytes.data(), bytes.size());
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) throw from_errno(errno, what);
        bytes.remove_prefix(static_cast<std::size_t>(count));
    }
}

void Spool::read(const std::function<void(std::string_view)>& each) {
    constexpr std::size_t piece_bytes = 256U << 10U;
    std::string piece(piece_bytes, '\0');
    for (off_t at = 0;;) {
        const auto count = ::pread(file_.get(), piece.data(), piece.size(), at);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) throw from_errno(errno, what);
        if (count == 0) return;
        each({piece.data(), static_cast<std::size_t>(count)});
        at += count;
    }
}

Unpacked unpack(Spool& archive, git::Imported imported, bool keep_archive,
                const UnpackLimits& limits, const std::stop_token& stop) {
    Unpacked result;
    git::Untar tar{[&](const std::string& path, bool executable, std::string content) {
                       result.files[path] = {.oid = imported.write(content),
                                             .executable = executable};
                   },
                   limits.files};
    git::GzipReader gzip{
        [&](std::string_view bytes) {
            if (stop.stop_requested()) {
                throw boost::system::system_error{boost::asio::error::operation_aborted};
            }
            tar.put(bytes);
        },
        limits.tar};
    const auto guarded = [&](const auto& step) {
        if (!result.unusable.empty()) return;
        try {
            step();
        } catch (const Error& error) {
            if (!keep_archive) throw;
            result.unusable = error.what();
        }
    };
    std::string whole;
    archive.read([&](std::string_view bytes) {
        guarded([&] { gzip.put(bytes); });
        if (keep_archive) whole += bytes;
    });
    guarded([&] {
        gzip.finish();
        tar.finish();
    });
    if (!result.unusable.empty()) result.files.clear();
    if (keep_archive) result.archive = imported.write(whole);
    return result;
}

}  // namespace kled::gitops
