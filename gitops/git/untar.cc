#include "gitops/git/untar.h"

#include "base/encoding.h"
#include "base/error.h"

#include <algorithm>
#include <charconv>
#include <numeric>
#include <optional>
#include <utility>

namespace kled::gitops::git {

namespace {

constexpr std::size_t block = 512;
constexpr std::size_t extra_limit = 64U << 10U;  // of a header that is about the next entry

Error bad(const std::string& what) { return {ErrorKind::invalid, "tar: " + what}; }

/// A path in a message: short, and nothing that could be taken for something else.
std::string shown(std::string_view path) {
    std::string result{path.substr(0, 200)};
    const bool text = is_utf8(result);
    std::ranges::replace_if(
        result, [&](unsigned char c) { return c < 0x20 || c == 0x7f || (c >= 0x80 && !text); },
        '?');
    return result + (path.size() > 200 ? "…" : "");
}

/// A field up to its first NUL.
std::string_view text_of(std::string_view field) { return field.substr(0, field.find('\0')); }

std::optional<std::uint64_t> octal(std::string_view field) {
    std::uint64_t value = 0;
    // GNU's: the first bit set, then a number in base 256.
    if (!field.empty() && (static_cast<unsigned char>(field[0]) & 0x80U) != 0) {
        if (static_cast<unsigned char>(field[0]) != 0x80U) return std::nullopt;  // negative, huge
        for (const char c : field.substr(1)) {
            if ((value >> 55U) != 0) return std::nullopt;
            value = value << 8U | static_cast<unsigned char>(c);
        }
        return value;
    }
    field = text_of(field);
    while (field.starts_with(' ')) field.remove_prefix(1);
    while (field.ends_with(' ')) field.remove_suffix(1);
    if (field.empty()) return 0;
    const auto* const end = field.data() + field.size();
    const auto [stop, error] = std::from_chars(field.data(), end, value, 8);
    if (error != std::errc{} || stop != end) return std::nullopt;
    return value;
}

bool sum_is_right(std::string_view header) {
    const auto said = octal(header.substr(148, 8));
    const auto sum = [&](auto as) {
        long long total = 8LL * ' ';
        for (std::size_t i = 0; i < block; ++i) {
            if (i < 148 || i >= 156) total += static_cast<decltype(as)>(header[i]);
        }
        return total;
    };
    // Some add the bytes as if they had a sign.
    using Unsigned = unsigned char;
    using Signed = signed char;
    return said && (static_cast<long long>(*said) == sum(Unsigned{}) ||
                    static_cast<long long>(*said) == sum(Signed{}));
}

}  // namespace

void Untar::put(std::string_view bytes) {
    while (!bytes.empty() && !ended_) {
        if (!reading_) {
            const auto take = std::min(bytes.size(), block - block_.size());
            block_ += bytes.substr(0, take);
            bytes.remove_prefix(take);
            if (block_.size() < block) return;
            header();
            block_.clear();
            continue;
        }
        if (left_ > 0) {
            const auto take =
                static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), left_));
            if (kind_ != Kind::skipped) content_ += bytes.substr(0, take);
            bytes.remove_prefix(take);
            left_ -= take;
            if (left_ == 0) entry_ends();
        } else {
            const auto take =
                static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), padding_));
            bytes.remove_prefix(take);
            padding_ -= take;
        }
        reading_ = left_ > 0 || padding_ > 0;
    }
}

void Untar::finish() const {
    // Many leave out the blocks of zeros at the end.
    if (!ended_ && (reading_ || !block_.empty() || entries_ == 0)) throw bad("it ends too early");
}

void Untar::begin(Kind kind, std::uint64_t size, std::size_t limit) {
    if (kind != Kind::skipped && size > limit) {
        throw Error{ErrorKind::exhausted, "tar: " + (path_.empty() ? "an entry" : shown(path_)) +
                                              " has " + std::to_string(size) +
                                              " bytes; it may have " + std::to_string(limit)};
    }
    kind_ = kind;
    left_ = size;
    padding_ = (block - size % block) % block;
    content_.clear();
    reading_ = left_ > 0 || padding_ > 0;
    if (left_ == 0) entry_ends();
}

void Untar::header() {
    const std::string_view h{block_};
    if (std::ranges::all_of(h, [](char c) { return c == '\0'; })) {
        ended_ = true;
        return;
    }
    if (!sum_is_right(h)) throw bad("what came is damaged, or is no tar");
    if (++entries_ > limits_.entries) {
        throw Error{ErrorKind::exhausted,
                    "tar: it has more than " + std::to_string(limits_.entries) + " entries"};
    }
    auto size = octal(h.substr(124, 12));
    const auto mode = octal(h.substr(100, 8));
    if (!size || !mode) throw bad("a header has a number that is none");
    const char type = h[156];
    path_.clear();
    switch (type) {
        case 'x': return begin(Kind::pax, *size, extra_limit);
        case 'L': return begin(Kind::long_name, *size, extra_limit);
        case 'g':
        case 'K': return begin(Kind::skipped, *size, 0);
        default: break;
    }
    if (!given_size_.empty()) {
        std::uint64_t value = 0;
        const auto* const end = given_size_.data() + given_size_.size();
        const auto [stop, error] = std::from_chars(given_size_.data(), end, value);
        if (error != std::errc{} || stop != end) throw bad("a header has a number that is none");
        size = value;
        given_size_.clear();
    }
    if (*size >> 62U != 0) throw bad("a header has a number that is none");
    auto name = std::exchange(given_path_, {});
    if (name.empty()) {
        name = text_of(h.substr(0, 100));
        const auto prefix = text_of(h.substr(345, 155));
        if (h.substr(257, 6) == std::string_view{"ustar\0", 6} && !prefix.empty())
            name = std::string{prefix} + "/" + name;
    }
    auto path = clean(name);
    const auto below = "/" + path + "/";
    const bool of_git = below.find("/.git/") != std::string::npos;
    switch (type) {
        case '0':
        case '\0':
        case '7':
            if (path.empty()) throw bad("a file has no name");
            if (name.ends_with('/')) {  // as a folder was written before 1988
                if (!of_git) note(path, true);
                return begin(Kind::skipped, *size, 0);
            }
            if (of_git) return begin(Kind::skipped, *size, 0);
            note(path, false);
            total_ += std::min<std::uint64_t>(*size, limits_.file + 1);
            if (total_ > limits_.total) {
                throw Error{ErrorKind::exhausted, "tar: its files have more than " +
                                                      std::to_string(limits_.total) + " bytes"};
            }
            path_ = std::move(path);
            executable_ = (*mode & 0111U) != 0;
            return begin(Kind::file, *size, limits_.file);
        case '5':
            if (!of_git && !path.empty()) note(path, true);
            return begin(Kind::skipped, *size, 0);
        case '2': return begin(Kind::skipped, 0, 0);
        default: break;
    }
    throw bad("'" + shown(path) + "' is neither a file nor a folder nor a symbolic link (type '" +
              std::string(type > ' ' && type < 0x7f ? 1 : 0, type) + "')");
}

void Untar::entry_ends() {
    switch (kind_) {
        case Kind::file:
            each_(path_, executable_, std::move(content_));
            content_ = {};
            break;
        case Kind::pax: read_pax(); break;
        case Kind::long_name: given_path_ = text_of(content_); break;
        case Kind::skipped: break;
    }
}

void Untar::read_pax() {
    for (std::string_view rest{content_}; !rest.empty();) {
        std::size_t length = 0;
        const auto [stop, error] = std::from_chars(rest.data(), rest.data() + rest.size(), length);
        const auto digits = static_cast<std::size_t>(stop - rest.data());
        if (error != std::errc{} || length > rest.size() || length < digits + 3 ||
            rest[digits] != ' ' || rest[length - 1] != '\n')
            throw bad("an extended header is damaged");
        const auto record = rest.substr(digits + 1, length - digits - 2);
        const auto equals = record.find('=');
        if (equals == std::string_view::npos) throw bad("an extended header is damaged");
        const auto key = record.substr(0, equals);
        const auto value = record.substr(equals + 1);
        if (key == "path") given_path_ = value;
        if (key == "size") given_size_ = value;
        if (key.starts_with("GNU.sparse.")) throw bad("files with holes are not read");
        rest.remove_prefix(length);
    }
}

std::string Untar::clean(std::string_view path) const {
    const auto given = path;
    if (path.size() > limits_.path) {
        throw Error{ErrorKind::exhausted, "tar: '" + shown(path) + "' is longer than " +
                                              std::to_string(limits_.path) + " bytes"};
    }
    if (path.starts_with('/') || path.find('\\') != std::string_view::npos ||
        path.find('\0') != std::string_view::npos)
        throw bad("'" + shown(given) + "' is no relative path");
    std::string result;
    while (!path.empty()) {
        const auto slash = path.find('/');
        const auto part = path.substr(0, slash);
        path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
        if (part.empty() || part == ".") continue;
        if (part == "..") throw bad("'" + shown(given) + "' leads out of it");
        if (!result.empty()) result += '/';
        result += part;
    }
    return result;
}

void Untar::note(const std::string& path, bool folder) {
    const auto add = [&](const std::string& name, bool is_folder) {
        const auto [entry, added] = seen_.emplace(name, is_folder);
        if (entry->second != is_folder)
            throw bad("'" + shown(name) + "' is both a file and a folder");
        if (!added) return false;
        path_bytes_ += name.size();
        if (path_bytes_ > limits_.paths) {
            throw Error{ErrorKind::exhausted, "tar: its paths have more than " +
                                                  std::to_string(limits_.paths) + " bytes"};
        }
        return true;
    };
    // From the innermost folder outwards, as far as they are new: whatever is above a folder that
    // is known was looked at with it. A path may have hundreds, and each tar a hundred thousand.
    bool added = add(path, folder);
    for (auto slash = path.rfind('/'); added && slash != std::string::npos;
         slash = path.rfind('/', slash - 1))
        added = add(path.substr(0, slash), true);
}

}  // namespace kled::gitops::git
