#include "gitops/git/gzip.h"

#include "base/error.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <limits>
#include <string>
#include <utility>

namespace kled::gitops::git {

namespace {

constexpr int gzip_window = MAX_WBITS + 16;  // 16: with gzip's header and checksum
constexpr int memory_level = 8;

}  // namespace

struct GzipWriter::Impl {
    Sink sink;
    z_stream stream{};
    std::array<Bytef, 64U << 10U> buffer{};

    /// Until all input is taken and, to `finish`, all output given.
    void run(int flush) {
        do {
            stream.next_out = buffer.data();
            stream.avail_out = static_cast<uInt>(buffer.size());
            if (::deflate(&stream, flush) == Z_STREAM_ERROR)
                throw Error{ErrorKind::internal, "gzip: the stream is broken"};
            const auto made = buffer.size() - stream.avail_out;
            if (made > 0) sink({reinterpret_cast<const char*>(buffer.data()), made});
        } while (stream.avail_out == 0);
    }
};

GzipWriter::GzipWriter(Sink sink) : impl_{std::make_unique<Impl>()} {
    impl_->sink = std::move(sink);
    if (::deflateInit2(&impl_->stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, gzip_window, memory_level,
                       Z_DEFAULT_STRATEGY) != Z_OK)
        throw Error{ErrorKind::exhausted, "gzip: no memory"};
}

GzipWriter::~GzipWriter() { ::deflateEnd(&impl_->stream); }

void GzipWriter::write(std::string_view bytes) {
    constexpr std::size_t most = std::numeric_limits<uInt>::max();
    for (; !bytes.empty(); bytes.remove_prefix(std::min(bytes.size(), most))) {
        const auto piece = bytes.substr(0, most);
        // zlib reads from it; that its type says otherwise is of 1995.
        impl_->stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(piece.data()));
        impl_->stream.avail_in = static_cast<uInt>(piece.size());
        impl_->run(Z_NO_FLUSH);
    }
}

void GzipWriter::finish() {
    impl_->stream.avail_in = 0;
    impl_->run(Z_FINISH);
}

struct GzipReader::Impl {
    Sink sink;
    std::uint64_t limit = 0;
    std::uint64_t made = 0;
    z_stream stream{};
    bool between = false;  // members: what was read so far is whole
    std::array<Bytef, 64U << 10U> buffer{};

    void run(std::string_view piece) {
        stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(piece.data()));
        stream.avail_in = static_cast<uInt>(piece.size());
        do {
            if (between) {  // gzip files one after the other are one (RFC 1952 §2.2)
                if (stream.avail_in == 0) return;
                ::inflateReset(&stream);
                between = false;
            }
            stream.next_out = buffer.data();
            stream.avail_out = static_cast<uInt>(buffer.size());
            const auto code = ::inflate(&stream, Z_NO_FLUSH);
            if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
                throw Error{ErrorKind::invalid, "gzip: what came is damaged, or is no gzip"};
            const auto count = buffer.size() - stream.avail_out;
            made += count;
            if (made > limit) {
                throw Error{ErrorKind::exhausted, "gzip: it has more than " +
                                                      std::to_string(limit) +
                                                      " bytes when it is unpacked"};
            }
            if (count > 0) sink({reinterpret_cast<const char*>(buffer.data()), count});
            between = code == Z_STREAM_END;
        } while (stream.avail_in > 0 || stream.avail_out == 0);
    }
};

GzipReader::GzipReader(Sink sink, std::uint64_t limit) : impl_{std::make_unique<Impl>()} {
    impl_->sink = std::move(sink);
    impl_->limit = limit;
    if (::inflateInit2(&impl_->stream, gzip_window) != Z_OK)
        throw Error{ErrorKind::exhausted, "gzip: no memory"};
}

GzipReader::~GzipReader() { ::inflateEnd(&impl_->stream); }

void GzipReader::put(std::string_view bytes) {
    constexpr std::size_t most = std::numeric_limits<uInt>::max();
    for (; !bytes.empty(); bytes.remove_prefix(std::min(bytes.size(), most)))
        impl_->run(bytes.substr(0, most));
}

void GzipReader::finish() {
    if (!impl_->between) throw Error{ErrorKind::invalid, "gzip: it ends too early"};
}

}  // namespace kled::gitops::git
