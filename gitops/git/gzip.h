/// gzip (RFC 1952) as it is written, without a name or a time: equal input gives equal bytes.
#pragma once

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

}  // namespace kled::gitops::git
