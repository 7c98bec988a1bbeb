/// Image references in YAML files, set in the text itself: nothing but the marked values changes.
#pragma once

#include <compare>
#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace kled::gitops {

/// What an ImagePolicy has elected.
struct ImageRef {
    std::string name;    ///< "registry.example.org/team/app"
    std::string tag;     ///< "1.2.3"
    std::string digest;  ///< "sha256:…"; empty: not asked for

    auto operator<=>(const ImageRef&) const = default;
    [[nodiscard]] bool empty() const { return name.empty(); }
    /// "name:tag@digest".
    [[nodiscard]] std::string to_string() const;
};

/// Whether it is one by the grammar of references (distribution/reference): what is written into a
/// file can be nothing else.
[[nodiscard]] bool is_image_ref(const ImageRef& ref);

[[nodiscard]] bool is_image_tag(const std::string& tag);

/// "namespace:policy" → what stands there from now on.
using ElectedImages = std::map<std::string, ImageRef>;

/// Of the object in whose text a value stands; what it has not is empty.
struct ObjectIdentity {
    std::string api_version;
    std::string kind;
    std::string name;
    std::string ns;
    auto operator<=>(const ObjectIdentity&) const = default;
};

struct ImageChange {
    std::string old_value;
    std::string new_value;
    std::string setter;  ///< "namespace:policy", ":tag", ":name" or ":digest" behind it
    auto operator<=>(const ImageChange&) const = default;
};

struct SetFile {
    std::string text;  ///< empty: nothing changed
    std::map<ObjectIdentity, std::vector<ImageChange>> changes;
    std::vector<std::string> remarks;  ///< "file:line: why a marker did nothing"
};

/// Before a file is read any closer: whether a marker can be in it.
[[nodiscard]] bool has_marker(std::string_view text);

/// Sets each value that is followed on its line by `# {"$imagepolicy": "namespace:policy"}` (or
/// "…:tag", "…:name", "…:digest") to what `elected` says; markers of other policies stay as they
/// are. Comments, quotes, indentation and line ends stay; a plain value that would no longer be
/// text gets quotes. A file that is no YAML is left alone, with a remark. `elected` has only what
/// is_image_ref().
[[nodiscard]] SetFile set_images(std::string_view text, const std::string& file,
                                 const ElectedImages& elected);

}  // namespace kled::gitops
