/// `${name}` in a text replaced by values, with the functions Flux has from bash
/// (fluxcd/pkg/envsubst v1.9).
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace kled::gitops {

/// The value of a variable; nullopt: it is not set.
using Lookup = std::function<std::optional<std::string>(std::string_view name)>;

struct EnvsubstLimits {
    std::size_t depth = 100;          ///< of functions in the arguments of functions
    std::size_t bytes = 64U << 20U;   ///< of the result, and of each value on the way
    std::size_t steps = 200'000'000;  ///< spent on patterns
};

/// `${v}`, `${#v}` (bytes), `${v^}` `${v^^}` `${v,}` `${v,,}`, `${v:pos}` `${v:pos:len}` (bytes),
/// `${v#pattern}` `##` `%` `%%`, `${v/from/to}` `//` `/#` `/%`, and `${v=word}` `:=` `:-` `:?`
/// `:+`, all five of which mean: the word where v is empty. Arguments may hold further `${}`. `$$`
/// is `$`; a `$` before anything but `{` is itself.
///
/// A variable that is not set is Error(invalid) unless one of those five takes care of it, and one
/// error names all of them, each with its first line; a lookup that answers "" in place of nullopt
/// gives the lenient mode. Error(invalid): not of this form,
/// with the line; Error(exhausted): a limit.
[[nodiscard]] std::string envsubst(std::string_view text, const Lookup& lookup,
                                   const EnvsubstLimits& limits = {});

}  // namespace kled::gitops
