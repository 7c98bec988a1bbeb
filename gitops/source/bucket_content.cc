#include "gitops/source/bucket_content.h"

#include "base/error.h"
#include "crypto/hash.h"

#include <algorithm>
#include <vector>

namespace kled::gitops {

namespace {

constexpr std::size_t depth_limit = 100;
constexpr std::size_t key_limit = 1'024;  // Amazon S3 User Guide, "Creating object key names"

/// For messages: nothing that could be taken for something else.
std::string shown(std::string_view key) {
    std::string result;
    for (const char c : key.substr(0, 200)) {
        const auto byte = static_cast<unsigned char>(c);
        result += byte < 0x20 || byte == 0x7f ? '?' : c;
    }
    return "'" + result + (key.size() > 200 ? "…" : "") + "'";
}

Error bad(std::string_view key, const std::string& what) {
    return {ErrorKind::invalid,
            "object " + shown(key) + " " + what + "; rename it, or leave it out by spec.ignore"};
}

std::vector<std::string> parts_of(std::string_view key) {
    std::vector<std::string> parts;
    for (;;) {
        const auto slash = key.find('/');
        parts.emplace_back(key.substr(0, slash));
        if (slash == std::string_view::npos) return parts;
        key.remove_prefix(slash + 1);
    }
}

void check_key(const std::string& key, const std::vector<std::string>& parts) {
    if (key.size() > key_limit) throw bad(key, "has a key that is too long");
    if (parts.size() > depth_limit) throw bad(key, "is nested too deep");
    for (const auto& part : parts) {
        if (part.empty() || part == "." || part == "..")
            throw bad(key, "is no path: a part of it is '" + part + "'");
    }
    const bool control =
        std::ranges::any_of(key, [](unsigned char c) { return c < 0x20 || c == 0x7f; });
    if (control) throw bad(key, "has a control character in its key");
}

}  // namespace

BucketIndex::BucketIndex(std::string_view source_ignore, std::string_view spec_ignore) {
    rules_.add(source_ignore);
    rules_.add(spec_ignore);
}

bool BucketIndex::add(const std::string& key, const std::string& etag) {
    if (key.ends_with('/') || key == ignore_file) return false;
    const auto parts = parts_of(key);
    if (rules_.ignores(parts, false)) return false;
    check_key(key, parts);
    if (parts.front() == ignore_file) throw bad(key, "cannot be in a folder of that name");
    key_bytes_ += key.size() + etag.size();
    if (versions_.size() == object_limit || key_bytes_ > key_bytes_limit) {
        throw Error{ErrorKind::exhausted, "the bucket has more than " +
                                              std::to_string(object_limit) + " objects, or " +
                                              std::to_string(key_bytes_limit) +
                                              " bytes of keys; spec.prefix and spec.ignore leave "
                                              "some out"};
    }
    replace(key, etag);
    return true;
}

void BucketIndex::replace(const std::string& key, const std::string& etag) {
    // It stands in a line of its own, behind a blank.
    const bool plain = !etag.empty() && std::ranges::all_of(etag, [](unsigned char c) {
        return c > 0x20 && c != 0x7f;
    });
    if (!plain || etag.size() > key_limit) throw bad(key, "has no ETag, or none that is one");
    versions_.insert_or_assign(key, etag);
}

void BucketIndex::check_paths() const {
    for (const auto& [key, etag] : versions_) {
        for (auto slash = key.find('/'); slash != std::string::npos;
             slash = key.find('/', slash + 1)) {
            const auto folder = key.substr(0, slash);
            if (versions_.contains(folder))
                throw bad(key, "cannot be in a folder while " + shown(folder) + " is an object");
        }
    }
}

std::string BucketIndex::text() const {
    std::string lines;
    for (const auto& [key, etag] : versions_) lines += key + " " + etag + "\n";
    return lines;
}

std::string BucketIndex::revision() const { return "sha256:" + crypto::sha256_hex(text()); }

std::optional<BucketMemory::Object> BucketMemory::find(const std::string& of_url,
                                                       const std::string& key,
                                                       const std::string& etag) const {
    const auto look = [&](const std::string& its_url, const auto& all) -> std::optional<Object> {
        // Another bucket's ETags say nothing, equal or not.
        const auto found = its_url == of_url ? all.find(key) : all.end();
        if (found == all.end() || found->second.etag != etag) return std::nullopt;
        return found->second;
    };
    if (auto known = look(url, objects)) return known;
    return look(begun.url, begun.objects);
}

bool BucketMemory::take(const git::Imported::Kept& kept, const git::Imported::Files& files) {
    std::string_view rest = kept.memo;
    const auto its_url = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), its_url.size() + 1));
    if (kept.revision.name != "sha256:" + crypto::sha256_hex(rest)) return false;
    std::map<std::string, Object> found;
    while (!rest.empty()) {
        const auto line = rest.substr(0, rest.find('\n'));
        rest.remove_prefix(std::min(rest.size(), line.size() + 1));
        const auto blank = line.rfind(' ');
        if (blank == std::string_view::npos) return false;
        const std::string key{line.substr(0, blank)};
        const auto file = files.find(key);
        if (file == files.end()) return false;
        found[key] = {.etag = std::string{line.substr(blank + 1)}, .oid = file->second.oid};
    }
    url = its_url;
    objects = std::move(found);
    revision = kept.revision;
    return true;
}

}  // namespace kled::gitops
