/// How the values of an object stand in its files, where kustomize's output depends on it: it
/// carries YAML nodes, kled JSON values and beside them what these do not say. All is remembered by
/// field and value, wherever they stand in the object.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include <cstddef>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>

namespace kled::kustomize {

namespace json = boost::json;

/// A set or map that copies share until one of them changes.
template <typename Container>
class CopyOnWrite {
public:
    CopyOnWrite() = default;
    explicit CopyOnWrite(Container all) : all_{std::make_shared<Container>(std::move(all))} {}

    [[nodiscard]] bool empty() const noexcept { return all_ == nullptr || all_->empty(); }
    [[nodiscard]] bool contains(std::size_t mark) const {
        return all_ != nullptr && all_->contains(mark);
    }
    /// nullptr: it is empty.
    [[nodiscard]] const Container* get() const noexcept { return all_.get(); }
    /// For changes: nobody else's any more.
    [[nodiscard]] Container& own() {
        if (all_ == nullptr) {
            all_ = std::make_shared<Container>();
        } else if (all_.use_count() > 1) {
            all_ = std::make_shared<Container>(*all_);
        }
        return *all_;
    }
    /// What `other` has and this has not.
    void add(const CopyOnWrite& other) {
        if (other.empty() || other.all_ == all_) return;
        if (empty()) {
            all_ = other.all_;
        } else {
            own().insert(other.all_->begin(), other.all_->end());
        }
    }
    void reset() noexcept { all_.reset(); }

private:
    std::shared_ptr<Container> all_;
};

struct Notation {
    using Marks = CopyOnWrite<std::set<std::size_t>>;
    using Texts = CopyOnWrite<std::map<std::size_t, std::string>>;  ///< by spelling_mark

    Marks quoted = {};   ///< strings that are not plain (kube::YamlDocument::quoted)
    Texts spelled = {};  ///< values that are no text (kube::YamlDocument::spelled)
    Marks folded = {};   ///< folded texts (kube::YamlDocument::folded)
    /// What a transformer wrote as plain text of no type: `15` is printed as a number, but merges
    /// and variables take it for text.
    Texts untyped = {};
    /// What is wrong with texts that stand in place of numbers, booleans and nulls, by
    /// spelling_mark: what kustomize could not read again, were they still there in the end.
    Texts unreadable = {};
    /// By kustomize: as YAML, where each text that has to stand in quotes does, or as JSON.
    enum class Written { by_hand, as_yaml, as_json };
    Written written = Written::by_hand;

    /// Whether a text below `key` stands in quotes.
    [[nodiscard]] bool is_quoted(std::string_view key, std::string_view text) const;
    /// From now on it does.
    void put_in_quotes(std::string_view key, std::string_view text);
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
    /// What it says of a map or list in the object.
    [[nodiscard]] Notation about(const json::value& value) const;

private:
    void require_readable(std::string_view key, const json::value& value) const;
    /// Takes what `other` says of a value below `key`.
    void take(std::string_view key, const json::value& value, const Notation& other);
    /// `text` takes the place of `old` as it stands: in quotes or folded.
    void keep_style(std::string_view key, std::string_view old, std::string_view text);
};

/// The map that `value` is, if it is one, as kustomize reads maps of texts: labels and annotations,
/// where null is the text "null", and data, where it is an empty one.
enum class NullsAre { null_text, empty };
[[nodiscard]] json::object texts_in(const json::value* value, const Notation& notation,
                                    NullsAre nulls);

}  // namespace kled::kustomize
