/// Which field of which kinds a transformer changes.
#pragma once

#include "kustomize/resource.h"

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kled::kustomize {

struct FieldSpec {
    Gvk gvk;  ///< parts left empty match any
    std::string
        path;  ///< "spec/template/metadata/labels"; a "[]" says list, a "\/" is no separator
    bool create = false;

    /// The name of the field itself: the last part of `path`.
    [[nodiscard]] std::string field() const;
};

/// In order, without two that mean the same field.
class FieldSpecs {
public:
    FieldSpecs() = default;
    FieldSpecs(std::initializer_list<FieldSpec> specs) : specs_{specs} {}

    /// Leaves out what is there already, also for more kinds. Error(invalid): the two disagree on
    /// `create`.
    void add(const FieldSpec& spec);
    void add_all(const FieldSpecs& specs);
    /// Also what is there already: lists of plugins and `labels` are worked through as they stand.
    void append(FieldSpec spec) { specs_.push_back(std::move(spec)); }
    /// As kustomize does after each merge: kinds in the legacy order.
    void sort();

    [[nodiscard]] auto begin() const noexcept { return specs_.begin(); }
    [[nodiscard]] auto end() const noexcept { return specs_.end(); }
    [[nodiscard]] bool empty() const noexcept { return specs_.empty(); }

private:
    std::vector<FieldSpec> specs_;
};

/// What a missing field is made as.
enum class Make { nothing, text, map };

/// Calls `change` for each value at the spec's path, through all elements of lists on the way;
/// makes a missing one if the spec says `create`. Does nothing for other kinds. Error(invalid):
/// there is a scalar on the way.
void visit(Resource& resource, const FieldSpec& spec, Make make,
           const std::function<void(json::value&)>& change);
/// The same; `change` also gets the JSON pointer of the value.
void visit_places(Resource& resource, const FieldSpec& spec, Make make,
                  const std::function<void(json::value&, const std::string&)>& change);

/// The path's parts: split at '/', "\/" is a '/' within a part, one leading '/' is left out.
[[nodiscard]] std::vector<std::string> split_path(std::string_view path, char separator);

}  // namespace kled::kustomize
