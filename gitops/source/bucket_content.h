/// What is in a bucket, as Flux counts it: pure, but for the mirror's type.
#pragma once

#include "gitops/git/ignore.h"
#include "gitops/git/imported.h"

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace kled::gitops {

/// The objects that are part of a source, and which version of each.
class BucketIndex {
public:
    static constexpr std::size_t object_limit = 100'000;
    static constexpr std::size_t key_bytes_limit = 16U << 20U;  ///< of all keys together
    static constexpr std::string_view ignore_file = ".sourceignore";

    using Versions = std::map<std::string, std::string>;  ///< an ETag by key

    /// `source_ignore`: the object of that name, in whose place `spec_ignore` may say more.
    BucketIndex(std::string_view source_ignore, std::string_view spec_ignore);

    /// One of the bucket's objects; false: it is left out, as what folders are made of and what a
    /// pattern names. Error(invalid) for a key that is no path in a tree, or that has no version;
    /// Error(exhausted) past the limits.
    bool add(const std::string& key, const std::string& etag);
    /// It went, or became another, since it was listed.
    void remove(const std::string& key) { versions_.erase(key); }
    void replace(const std::string& key, const std::string& etag);

    /// Error(invalid) when one is a file and a folder as well.
    void check_paths() const;

    [[nodiscard]] const Versions& versions() const noexcept { return versions_; }
    /// "key etag", a line each, by key: what `revision` is the digest of (fluxcd source-controller,
    /// internal/index).
    [[nodiscard]] std::string text() const;
    /// "sha256:<hex>"
    [[nodiscard]] std::string revision() const;

private:
    git::IgnoreRules rules_;
    Versions versions_;
    std::size_t key_bytes_ = 0;
};

/// What was fetched last.
struct BucketMemory {
    struct Object {
        std::string etag;
        git::Oid oid;
    };
    std::string url;  ///< whose ETags they are
    std::map<std::string, Object> objects;
    std::optional<git::Revision> revision;

    /// What was read since then by attempts that came to no revision: it need not be read again.
    struct Begun {
        std::string url;
        std::map<std::string, Object> objects;
    };
    Begun begun{};
    /// If it, or what was begun, is that object of the bucket at `of_url`.
    [[nodiscard]] std::optional<Object> find(const std::string& of_url, const std::string& key,
                                             const std::string& etag) const;
    /// It is not in the cache any more.
    void lost(const std::string& key) {
        objects.erase(key);
        begun.objects.erase(key);
    }

    /// What is kept with a revision of the bucket at `url`.
    [[nodiscard]] static std::string memo(const std::string& url, const BucketIndex& index) {
        return url + "\n" + index.text();
    }
    /// Of a revision that was kept; false: it and its memo and files do not belong together, and
    /// nothing is taken.
    bool take(const git::Imported::Kept& kept, const git::Imported::Files& files);
};

}  // namespace kled::gitops
