/// Labels and annotations that one transformer put into several fields of an object. kustomize
/// keeps such a value once, so what later changes one of the fields changes them all.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace kled::kustomize {

namespace json = boost::json;

class SharedValues {
public:
    /// The maps (JSON pointers into the object) that just got a new `key`.
    void add(const std::string& key, std::vector<std::string> maps);

    /// `field`, somewhere in `object`, got another text in its place.
    void written(json::object& object, const json::value& field) const;
    /// `field` is about to be replaced as a whole: what is in it is shared no longer.
    void replaced(json::object& object, const json::value& field);
    /// The same, of a place where there may be nothing.
    void forget_below(std::string_view pointer);
    void clear() noexcept { groups_.clear(); }

    /// The fields a strategic merge of `patch` changes, and others with them; pointers, in the
    /// order it happens.
    using Writes = std::vector<std::string>;
    [[nodiscard]] Writes before_merge(const json::object& patch);
    void after_merge(json::object& object, const Writes& writes) const;

    [[nodiscard]] bool empty() const noexcept { return groups_.empty(); }

private:
    struct Group {
        std::vector<std::string> places;  ///< JSON pointers of the fields
    };
    template <typename Drop>
    void drop(Drop drop);

    std::vector<Group> groups_;
};

}  // namespace kled::kustomize
