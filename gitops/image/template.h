/// The part of Go's text/template that commit messages are made with (spec.git.commit.
/// messageTemplate): text, values, range, if, with, variables, pipelines and a few functions.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace kled::gitops {

/// What a template sees. Copies are cheap: what is inside is shared and not changed.
class TemplateValue {
public:
    using List = std::vector<TemplateValue>;
    using Map = std::vector<std::pair<TemplateValue, TemplateValue>>;  ///< in the order of range
    struct Record {
        std::string text;  ///< as it is printed
        std::map<std::string, TemplateValue> fields;
    };

    TemplateValue() = default;                                        ///< nothing: "<no value>"
    TemplateValue(bool value) : value_{value} {}                      // NOLINT(*-explicit-*)
    TemplateValue(std::int64_t value) : value_{value} {}              // NOLINT(*-explicit-*)
    TemplateValue(std::string value) : value_{std::move(value)} {}    // NOLINT(*-explicit-*)
    TemplateValue(const char* value) : value_{std::string{value}} {}  // NOLINT(*-explicit-*)
    static TemplateValue list(List items);
    static TemplateValue map(Map items);
    static TemplateValue record(std::string text, std::map<std::string, TemplateValue> fields);

    template <typename T>
    [[nodiscard]] const T* get_if() const {
        if constexpr (std::is_same_v<T, List> || std::is_same_v<T, Map> ||
                      std::is_same_v<T, Record>) {
            const auto* held = std::get_if<std::shared_ptr<const T>>(&value_);
            return held == nullptr ? nullptr : held->get();
        } else {
            return std::get_if<T>(&value_);
        }
    }
    /// What `if` takes for true: neither nothing, false, 0 nor empty.
    [[nodiscard]] bool truth() const;
    /// As Go prints it.
    [[nodiscard]] std::string text() const;

private:
    std::variant<std::monostate, bool, std::int64_t, std::string, std::shared_ptr<const List>,
                 std::shared_ptr<const Map>, std::shared_ptr<const Record>>
        value_;
};

inline constexpr std::size_t template_limit =
    65'536;  ///< bytes of a template, and of what it gives

/// Error(invalid) "line 3: …" for what is no template, or asks for what is not there or not
/// supported; Error(exhausted) past `template_limit` and for one that does not end.
[[nodiscard]] std::string render_template(std::string_view text, const TemplateValue& data);

}  // namespace kled::gitops
