/// gzip (RFC 1952). Written without a name or a time: equal input gives equal bytes.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

namespace kled::gitops::git {

using Sink = std::function<void(std::string_view bytes)>;

class GzipWriter {
public:
    explicit GzipWriter(Sink sink);
    ~GzipWriter();
    GzipWriter(const GzipWriter&) = delete;
    GzipWriter& operator=(const GzipWriter&) = delete;

    void write(std::string_view bytes);
    /// Once, at the end: without it what was written is no gzip.
    void finish();

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// The other way, in pieces of any size. Error(invalid) for what is no gzip, Error(exhausted) past
/// `limit` bytes of output, however few came in.
class GzipReader {
public:
    GzipReader(Sink sink, std::uint64_t limit);
    ~GzipReader();
    GzipReader(const GzipReader&) = delete;
    GzipReader& operator=(const GzipReader&) = delete;

    void put(std::string_view bytes);
    /// Once, at the end. Error(invalid) when it was cut short.
    void finish();

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace kled::gitops::git
