/// Which plain YAML scalars are not text: the rules of Go's yaml.v3 and yaml.v2 (docs/yaml.md).
#pragma once

#include "kube/object.h"
#include "kube/yaml.h"

#include <string>
#include <string_view>

namespace kled::kube {

enum class ScalarKind { null, boolean, integer, floating, timestamp, string };

struct Scalar {
    ScalarKind kind = ScalarKind::string;
    json::value value;  ///< null for `string`; the RFC 3339 text for `timestamp`
};

/// What an unquoted, untagged `text` is. Doubles may be infinite or NaN.
[[nodiscard]] Scalar resolve_scalar(std::string_view text, YamlDialect dialect);

/// `190:20:30.15`: a number in YAML 1.1, so written in quotes; read as text.
[[nodiscard]] bool is_base60(std::string_view text) noexcept;

/// As Go's strconv writes 'g' with the fewest digits: 0.5, 1.2345675e+06, 1e-05.
[[nodiscard]] std::string general_number(double number);
[[nodiscard]] std::string general_number(float number);

}  // namespace kled::kube
