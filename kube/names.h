/// What Kubernetes accepts as names, label keys and label values; the words are apimachinery's
/// (pkg/util/validation v0.34).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kled::kube {

// Each returns what is wrong, for "<value>: <message>"; nothing: valid.

[[nodiscard]] std::vector<std::string> check_dns1123_label(std::string_view value);
[[nodiscard]] std::vector<std::string> check_dns1123_subdomain(std::string_view value);
[[nodiscard]] std::vector<std::string> check_dns1035_label(std::string_view value);
/// `[prefix/]name`: keys of labels and annotations, finalizers, conditions.
[[nodiscard]] std::vector<std::string> check_qualified_name(std::string_view value);
[[nodiscard]] std::vector<std::string> check_label_value(std::string_view value);

}  // namespace kled::kube
