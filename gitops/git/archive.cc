#include "gitops/git/archive.h"

#include "base/error.h"

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>
#include <string>

namespace kled::gitops::git {

namespace {

constexpr std::size_t block = 512;

/// A header block of POSIX.1-1988 (ustar).
struct Header {
    std::array<char, block> bytes{};

    void put(std::size_t at, std::string_view text) {
        std::memcpy(bytes.data() + at, text.data(), text.size());
    }
    /// `digits` octal ones; the NUL after them is there.
    void put_octal(std::size_t at, std::size_t digits, std::uint64_t value) {
        for (auto i = digits; i-- > 0; value >>= 3U)
            bytes[at + i] = static_cast<char>('0' + (value & 7U));
    }
    [[nodiscard]] std::string_view view() const { return {bytes.data(), bytes.size()}; }
};

constexpr std::size_t name_bytes = 100;

Header header(std::string_view name, char type, unsigned mode, std::uint64_t size) {
    Header h;
    h.put(0, name.substr(0, name_bytes));
    h.put_octal(100, 7, mode);
    h.put_octal(108, 7, 0);  // owner
    h.put_octal(116, 7, 0);  // group
    h.put_octal(124, 11, size);
    h.put_octal(136, 11, 0);  // time
    h.put(148, "        ");   // the sum is taken with blanks in its place
    h.bytes[156] = type;
    h.put(257, std::string_view{"ustar\00000", 8});
    h.put_octal(329, 7, 0);
    h.put_octal(337, 7, 0);
    const auto sum = std::accumulate(
        h.bytes.begin(), h.bytes.end(), 0U,
        [](unsigned total, char c) { return total + static_cast<unsigned char>(c); });
    h.put_octal(148, 6, sum);
    h.bytes[154] = '\0';
    return h;
}

/// "<length of all of this> path=<name>\n" (POSIX.1-2001, pax).
std::string path_record(std::string_view name) {
    const auto rest = " path=" + std::string{name} + "\n";
    auto length = rest.size();
    while (std::to_string(length).size() + rest.size() != length)
        length = std::to_string(length).size() + rest.size();
    return std::to_string(length) + rest;
}

class TarWriter {
public:
    explicit TarWriter(GzipWriter& out) : out_{out} {}

    void add(const std::string& name, char type, unsigned mode, std::string_view content) {
        const bool plain =
            std::ranges::all_of(name, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
        if (name.size() > name_bytes || !plain) {
            const auto record = path_record(name);
            entry("PaxHeaders.0", 'x', 0, record);
        }
        entry(name, type, mode, content);
    }

    void finish() { out_.write(std::string(2 * block, '\0')); }

private:
    void entry(std::string_view name, char type, unsigned mode, std::string_view content) {
        out_.write(header(name, type, mode, content.size()).view());
        out_.write(content);
        out_.write(std::string((block - content.size() % block) % block, '\0'));
    }

    GzipWriter& out_;
};

}  // namespace

void write_archive(const Tree& tree, const Sink& sink, const std::stop_token& stop,
                   const ArchiveLimits& limits) {
    GzipWriter gzip{sink};
    TarWriter tar{gzip};
    std::uint64_t total = 0;
    tar.add(".", '5', 0750, {});
    tree.visit([&](const Tree::Item& item) {
        if (stop.stop_requested())
            throw boost::system::system_error{boost::asio::error::operation_aborted};
        if (item.kind == Tree::Kind::directory) return tar.add(item.path, '5', 0750, {});
        total += item.content.size() + block;
        if (total > limits.total) {
            throw Error{ErrorKind::exhausted, "the files have more than " +
                                                  std::to_string(limits.total) +
                                                  " bytes; leave some out with spec.ignore"};
        }
        tar.add(item.path, '0', item.executable ? 0700 : 0600, item.content);
    });
    tar.finish();
    gzip.finish();
}

}  // namespace kled::gitops::git
