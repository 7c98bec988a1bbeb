#include "base/error.h"
#include "kustomize/field_path.h"
#include "kustomize/scalar.h"
#include "kustomize/transformers.h"

#include <charconv>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <system_error>

namespace kled::kustomize {

namespace {

/// "containers[0]" is two steps.
FieldPath split_indices(const FieldPath& path) {
    FieldPath steps;
    for (const auto& part : path) {
        const auto open = part.rfind('[');
        const bool indexed = part.ends_with(']') && open != std::string::npos &&
                             open + 2 < part.size() &&
                             part.find_first_not_of("0123456789", open + 1) == part.size() - 1;
        if (!indexed) {
            steps.push_back(part);
            continue;
        }
        if (open > 0) steps.push_back(part.substr(0, open));
        steps.push_back(part.substr(open + 1, part.size() - open - 2));
    }
    return steps;
}

/// What Go's strconv reads from the text that stands there: "017" is 17.
json::value source_value(const Notation& notation, std::string_view name,
                         const json::value& value) {
    if (const auto* text = notation.untyped_text(name, value)) return json::value(*text);
    if (!value.is_int64() && !value.is_uint64()) return value;
    const auto text = notation.spelling(name, value);
    const auto* first = text.data() + (text.starts_with('+') ? 1 : 0);
    const auto* end = text.data() + text.size();
    std::int64_t number = 0;
    const auto read = std::from_chars(first, end, number);
    if (read.ec == std::errc{} && read.ptr == end) return number;
    throw Error{ErrorKind::invalid, "`" + text + "` is no decimal integer of 64 bits"};
}

class Expander {
public:
    explicit Expander(Budget& budget) : budget_{budget} {}

    void add(const std::string& name, json::value value) {
        if (const auto* text = value.if_string()) budget_.bytes(text->size());
        values_[name] = std::move(value);
    }

    void expand(json::value& field) {
        if (auto* list = field.if_array()) {
            for (auto& element : *list) {
                if (!element.is_string()) {
                    throw Error{ErrorKind::invalid,
                                "a variable can stand in a list of texts, found a " +
                                    std::string{type_name(element)}};
                }
                expand_text(element);
            }
        } else if (auto* map = field.if_object()) {
            for (auto& entry : *map) {
                if (entry.value().is_string()) expand_text(entry.value());
            }
        } else if (field.is_string()) {
            expand_text(field);
        }
    }

    [[nodiscard]] const std::set<std::string>& used() const noexcept { return used_; }

private:
    void expand_text(json::value& field) {
        const auto text = text_of(field);
        if (text.find('$') == std::string::npos) return;
        std::string out;
        const auto last_close = text.rfind(')');  // so that no search runs to the end in vain
        for (std::size_t i = 0; i < text.size(); ++i) {
            if (text[i] != '$' || i + 1 == text.size()) {
                out += text[i];
                continue;
            }
            const bool closed =
                text[i + 1] == '(' && last_close != std::string::npos && i < last_close;
            const auto close = closed ? text.find(')', i) : std::string::npos;
            if (text[i + 1] == '$') {  // "$$" is a '$' that starts nothing
                out += '$';
                ++i;
            } else if (close == std::string::npos) {
                out += text.substr(i, 2);
                ++i;
            } else {
                const auto name = text.substr(i + 2, close - i - 2);
                const auto value = values_.find(name);
                const bool known = value != values_.end() && is_scalar(value->second);
                if (known) used_.insert(name);
                if (known && value->second.is_string())
                    budget_.bytes(value->second.get_string().size());
                if (known && i == 0 && close + 1 == text.size()) {
                    field = value->second;  // alone it keeps its type
                    return;
                }
                out += known ? text_of(value->second) : text.substr(i, close - i + 1);
                i = close;
            }
        }
        field = json::value(out);
    }

    Budget& budget_;
    std::map<std::string, json::value> values_;
    std::set<std::string> used_;
};

}  // namespace

void find_variables(ResourceMap& resources, const std::vector<Variable>& variables) {
    for (const auto& variable : variables) {
        const auto& wanted = variable.object;
        ResourceMap::Hits hits;
        if (!wanted.ns.empty() || wanted.cluster_scoped()) {
            hits = resources.with_any_id(wanted);
        } else {
            for (auto* resource : resources.named(wanted.name)) {
                const auto matches = [&](const Id& id) {
                    return id.name == wanted.name && id.gvk == wanted.gvk;
                };
                bool any = matches(resource->id);
                for (std::size_t i = 0; i < resource->previous.size(); ++i)
                    any = any || matches(resource->previous_id(i));
                if (any) hits.push_back(resource);
            }
        }
        if (hits.size() > 1) {
            throw Error{ErrorKind::invalid, "vars: " + variable.name + ": both " +
                                                hits[0]->describe() + " and " +
                                                hits[1]->describe() + " match"};
        }
        if (hits.size() == 1) hits.front()->variables.push_back(variable.name);
    }
}

void expand_variables(ResourceMap& resources, const std::vector<Variable>& variables,
                      const FieldSpecs& fields, Context& context) {
    if (variables.empty()) return;
    Expander expander{context.budget};
    std::map<std::string_view, const Resource*> holders;  // the first of each
    for (const auto& item : resources.items()) {
        for (const auto& name : item->variables) holders.emplace(name, item.get());
    }
    std::map<const Resource*, json::value> objects;  // as paths walk them
    for (const auto& variable : variables) {
        const auto holder = holders.find(variable.name);
        if (holder == holders.end()) {
            throw Error{ErrorKind::invalid,
                        variable.at + "no resource is " + variable.object.to_string()};
        }
        const auto& resource = *holder->second;
        const auto [object, added] = objects.try_emplace(&resource);
        if (added) object->second = resource.object.fields();
        const auto steps = split_indices(parse_field_path(variable.field_path));
        const auto* value = look_up(object->second, steps);
        if (value == nullptr) {
            throw Error{ErrorKind::invalid, variable.at + "there is no " + variable.field_path +
                                                " in " + resource.describe()};
        }
        if (value->is_structured()) continue;  // there is no text to put anywhere
        try {
            expander.add(variable.name, source_value(resource.notation, field_name(steps), *value));
        } catch (const Error& error) {
            throw error.within(variable.at + variable.field_path);
        }
    }
    for (const auto& item : resources.items()) {
        for (const auto& spec : fields) {
            visit(*item, spec, Make::nothing, [&](json::value& field) { expander.expand(field); });
        }
        resources.changed(*item);
    }
    for (const auto& variable : variables) {
        if (!expander.used().contains(variable.name))
            context.warnings.push_back(variable.at + "the variable is used nowhere");
    }
}

}  // namespace kled::kustomize
