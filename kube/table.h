/// What `kubectl get` shows: rows of meta.k8s.io/v1 Table, computed by the server.
#pragma once

#include "base/clock.h"
#include "kube/gvk.h"
#include "kube/jsonpath.h"
#include "kube/object.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kled::kube {

struct TableColumn {
    std::string name;
    std::string type = "string";  ///< "string", "integer", "number", "boolean", "date"
    std::string format;           ///< "name" for the column that names the object
    std::string description;
    int priority = 0;  ///< above 0: only with -o wide
};

/// includeObject of a request for a Table.
enum class IncludeObject : std::uint8_t { none, metadata, object };

/// The columns of one kind and their cells. Immutable, and safe to share between threads.
class TablePrinter {
public:
    /// As a stock server 1.34 prints a built-in kind; Name and Age for any other.
    static const TablePrinter& of(const GroupVersionKind& gvk);
    /// `additionalPrinterColumns` of a CRD version; an empty list stands for Age. A column whose
    /// path is malformed is Error(invalid): what a CRD with it is refused with.
    static TablePrinter of_custom_resource(const json::array& columns);

    [[nodiscard]] const std::vector<TableColumn>& columns() const noexcept { return columns_; }
    /// As many as there are columns. Whatever the object looks like, this does not throw.
    [[nodiscard]] json::array cells(const Object& object, WallTime now) const;
    /// {"cells", "object"} and, of a pod that has ended, "conditions".
    [[nodiscard]] json::object row(const Object& object, IncludeObject include, WallTime now) const;
    /// A Table without rows: `list_metadata` is that of the list (resourceVersion, continue).
    /// Events of a watch after the first leave the columns out.
    [[nodiscard]] json::object table(json::object list_metadata, bool with_columns = true) const;

private:
    friend class Kinds;
    using Cells = void (*)(const Object& object, WallTime now, json::array& cells);

    std::vector<TableColumn> columns_;
    Cells cells_ = nullptr;
    std::vector<JsonPath> paths_;  ///< of a custom resource, one for each column but the first
};

/// "5s", "3m20s", "4h", "12d": how long ago, or from now, as kubectl prints it.
[[nodiscard]] std::string human_duration(std::chrono::seconds duration);

}  // namespace kled::kube
