/// The functions of a template: those of Go's text/template, and of Sprig the ones that change
/// texts.
#pragma once

#include "gitops/image/template.h"

#include <string>
#include <string_view>
#include <vector>

namespace kled::gitops {

[[nodiscard]] bool is_template_function(std::string_view name);

/// Error(invalid) for arguments it does not take.
[[nodiscard]] TemplateValue call_template_function(std::string_view name,
                                                   const std::vector<TemplateValue>& arguments);

/// What stands in a text of Go's: `\n`, `\"`, `\\`, `\t`, `\r`. Error(invalid) for other escapes.
[[nodiscard]] std::string unescaped(std::string_view text);

}  // namespace kled::gitops
