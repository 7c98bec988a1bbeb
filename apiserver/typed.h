/// Built-in kinds as Go's types read them: what a field may hold, which fields there are.
#pragma once

#include "kube/object.h"
#include "kube/schema.h"

#include <string>
#include <vector>

namespace kled::api {

namespace json = boost::json;

/// Makes `object` what a typed server keeps of it: unknown fields and nulls dropped, quantities as
/// text. Returns the unknown fields, as upstream words them: `unknown field "spec.foo"`. Refusal
/// 400 for a value of another type.
std::vector<std::string> conform(json::object& object, const kube::GroupVersionKind& gvk);
/// The same for metadata alone, of an object of any kind.
std::vector<std::string> conform_metadata(json::object& object, const kube::GroupVersionKind& gvk);

/// The defaults of the API's own description, such as a port's protocol. Of a conforming object.
void fill_defaults(json::object& object, const kube::GroupVersionKind& gvk);

/// The same fields, each key given once? `duplicate field "metadata.name"` for those that are not.
/// Takes the JSON text because a parsed object has forgotten. Never throws.
[[nodiscard]] std::vector<std::string> duplicate_fields(std::string_view text);

}  // namespace kled::api
