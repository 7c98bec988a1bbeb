/// How the values of an object stand in its files, where kustomize's output depends on it: it
/// carries YAML nodes, kled JSON values and beside them what these do not say. All is remembered by
/// field and value, wherever they stand in the object.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace kled::kustomize {

namespace json = boost::json;

struct Notation {
    using Marks = std::shared_ptr<const std::vector<std::size_t>>;            ///< in order
    using Texts = std::shared_ptr<const std::map<std::size_t, std::string>>;  ///< by spelling_mark

    Marks quoted = nullptr;   ///< strings that are not plain (kube::YamlDocument::quoted)
    Texts spelled = nullptr;  ///< values that are no text (kube::YamlDocument::spelled)
    Marks folded = nullptr;   ///< folded texts (kube::YamlDocument::folded)
    /// What a transformer wrote as plain text of no type: `15` is printed as a number, but merges
    /// and variables take it for text.
    Texts untyped = nullptr;
    /// What is wrong with texts that stand in place of numbers, booleans and nulls, by
    /// spelling_mark: what kustomize could not read again, were they still there in the end.
    Texts unreadable = nullptr;
    /// By kustomize: as YAML, where each text that has to stand in quotes does, or as JSON.
    enum class Written { by_hand, as_yaml, as_json };
    Written written = Written::by_hand;

    /// Whether a text below `key` stands in quotes.
    [[nodiscard]] bool is_quoted(std::string_view key, std::string_view text) const;
    /// Whether nothing at all stands behind `key`.
    [[nodiscard]] bool is_nothing(std::string_view key) const;
    /// text_of(value), for a value below `key` as it stands in the file; null is "null".
    [[nodiscard]] std::string spelling(std::string_view key, const json::value& value) const;
    /// How it stands in the file, if it is printed in another way; nullptr: it is not.
    [[nodiscard]] const std::string* other_spelling(std::string_view key,
                                                    const json::value& value) const;
    /// The text of a value below `key` that has no type; nullptr: it has one.
    [[nodiscard]] const std::string* untyped_text(std::string_view key,
                                                  const json::value& value) const;

    /// Makes the value below `key` what plain text of no type is.
    void set_untyped(std::string_view key, json::value& value, std::string_view text);
    /// Gives a scalar below `key` another text: where the old one is plain, one of no type.
    void rewrite(std::string_view key, json::value& value, std::string_view text);
    /// kustomize::set_text: another text of the same type, if there is one.
    void set_text(std::string_view key, json::value& value, std::string_view text);

    /// Puts a text where another type stands.
    void set_unreadable(std::string_view key, json::value& value, std::string_view text,
                        const std::string& why);
    [[nodiscard]] bool is_unreadable(std::string_view key, const json::value& value) const;
    /// Error(invalid): something unreadable is in `object`.
    void require_readable(const json::object& object) const;

    /// What `other` says is true here too.
    void add(const Notation& other);

private:
    void require_readable(std::string_view key, const json::value& value) const;
    /// `text` takes the place of `old` as it stands: in quotes or folded.
    void keep_style(std::string_view key, std::string_view old, std::string_view text);
};

/// The map that `value` is, if it is one, as kustomize reads maps of texts: labels and annotations,
/// where null is the text "null", and data, where it is an empty one.
enum class NullsAre { null_text, empty };
[[nodiscard]] json::object texts_in(const json::value* value, const Notation& notation,
                                    NullsAre nulls);

/// What is in either; nullptr: both are.
[[nodiscard]] Notation::Marks united(const Notation::Marks& a, const Notation::Marks& b);

}  // namespace kled::kustomize
