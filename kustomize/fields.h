/// A strict reader of the mappings in a kustomization file: every problem is collected with its
/// line and field, and reading goes on.
#pragma once

#include "kube/object.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kled::kustomize {

namespace json = boost::json;

/// The problems of one build, each a line. A build with problems has no result.
class Problems {
public:
    void add(std::string problem);
    [[nodiscard]] bool empty() const noexcept { return lines_.empty(); }
    [[nodiscard]] std::size_t size() const noexcept { return lines_.size(); }
    /// All of them; several are joined by newlines.
    [[nodiscard]] std::string text() const;

private:
    std::vector<std::string> lines_;
    bool more_ = false;  ///< there were more than anyone reads
};

/// Where a document came from, and where its problems go.
struct Document {
    kube::Origin origin;  ///< its `file` as the user knows it
    Problems& problems;
    /// Whether an unknown field or a number in place of text is a problem; kustomize is strict with
    /// kustomization files and lenient with the configuration of transformers.
    bool strict = true;

    /// "file:line: resources[3]: ", from the JSON pointer "/resources/3".
    [[nodiscard]] std::string at(std::string_view pointer) const;
};

/// Field names are matched without regard to case, as Go's JSON decoder does.
class Fields {
public:
    /// A `value` that is no mapping is a problem, unless it is null; then no field is present.
    Fields(const json::value& value, std::string pointer, Document& document);
    Fields(const Fields&) = delete;
    Fields& operator=(const Fields&) = delete;
    /// Reports the fields nobody asked for.
    ~Fields();

    [[nodiscard]] bool has(std::string_view name);
    [[nodiscard]] std::string text(std::string_view name);
    [[nodiscard]] std::optional<std::string> optional_text(std::string_view name);
    [[nodiscard]] bool flag(std::string_view name);
    [[nodiscard]] std::int64_t integer(std::string_view name);
    [[nodiscard]] std::vector<std::string> texts(std::string_view name);
    [[nodiscard]] std::map<std::string, std::string> pairs(std::string_view name);
    /// The field as it is; nullptr when absent or null.
    [[nodiscard]] const json::value* raw(std::string_view name);

    /// Calls `read(Fields&)` for each mapping of the list.
    template <typename Read>
    void each(std::string_view name, Read read) {
        const auto* list = array(name);
        if (list == nullptr) return;
        for (std::size_t i = 0; i < list->size(); ++i) {
            Fields item{(*list)[i], pointer_of(name) + "/" + std::to_string(i), document_};
            read(item);
        }
    }
    /// Calls `read(Fields&)` if the mapping is present.
    template <typename Read>
    void inside(std::string_view name, Read read) {
        const auto* value = raw(name);
        if (value == nullptr) return;
        Fields fields{*value, pointer_of(name), document_};
        read(fields);
    }

    /// "file:line: patches[2]: ", of this mapping.
    [[nodiscard]] std::string at() const { return document_.at(pointer_); }
    void problem(const std::string& what) const { document_.problems.add(at() + what); }

private:
    const json::value* find(std::string_view name);
    const json::array* array(std::string_view name);
    std::string pointer_of(std::string_view name) const {
        return pointer_ + "/" + std::string{name};
    }
    void mistyped(std::string_view name, std::string_view wanted, const json::value& value) const;
    std::string scalar(const json::value& value, std::string_view name);

    const json::object* object_;
    std::string pointer_;
    Document& document_;
    std::vector<std::string_view> asked_;
};

}  // namespace kled::kustomize
