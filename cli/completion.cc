#include "cli/command.h"
#include "cli/flag_values.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace kled::cli {

namespace {

// Each shell asks the program itself, so a completion never differs from the parser.
constexpr auto bash_script = R"sh(_kled() {
    local IFS=$'\n'
    COMPREPLY=($(compgen -W "$(kled __complete "${COMP_WORDS[@]:1:COMP_CWORD-1}" 2>/dev/null)" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _kled kled
)sh";
constexpr auto zsh_script = R"sh(#compdef kled
_kled() {
    local -a candidates
    candidates=("${(@f)$(kled __complete "${(@)words[2,CURRENT-1]}" 2>/dev/null)}")
    compadd -a candidates || _files
}
compdef _kled kled
)sh";
// Files only where nothing but flags could follow.
constexpr auto fish_script = R"sh(function __kled_candidates
    kled __complete (commandline -opc)[2..-1] 2>/dev/null
end
complete -c kled -a '(__kled_candidates)'
complete -c kled -f -n '__kled_candidates | string match -qv -- "-*"'
)sh";

using Values = std::function<std::vector<std::string>()>;
std::map<const CLI::App*, Values>& values_of_verbs() {
    static std::map<const CLI::App*, Values> values;
    return values;
}

/// Where the word before is a flag with a value, only its values may follow: those that are known,
/// else whatever the shell finds (files).
bool print_values_of_flag(const CLI::App& verb, const std::vector<std::string>& words) {
    if (words.empty()) return false;
    auto last = words.size() - 1;
    if (words[last] == "=" && last > 0) --last;  // a shell splits --flag=value
    if (!words[last].starts_with('-')) return false;
    for (const auto* app = &verb; app != nullptr; app = app->get_parent()) {
        const auto* option = app->get_option_no_throw(words[last]);
        if (option == nullptr) continue;
        if (option->get_items_expected_max() == 0) return false;
        for (const auto& value : values_of_flag(*option)) std::cout << value << '\n';
        return true;
    }
    return false;
}

}  // namespace

void add_completion(CLI::App& app, Globals&) {
    auto* completion = app.add_subcommand(
        "completion", "Print a completion script: source <(kled completion bash)");
    completion->require_subcommand(1);
    const auto script = [&](const char* shell, const char* text) {
        completion->add_subcommand(shell, std::string{"For "} + shell)->callback([text] {
            std::cout << text;
        });
    };
    script("bash", bash_script);
    script("zsh", zsh_script);
    script("fish", fish_script);
}

void complete_with(CLI::App& verb, Values values) { values_of_verbs()[&verb] = std::move(values); }

void print_candidates(CLI::App* app, Globals& globals, const std::vector<std::string>& words) {
    if (const auto* state = std::getenv("KLED_STATE")) globals.state = state;
    const auto flag = std::ranges::find(words, "--state");
    if (flag != words.end() && flag + 1 != words.end()) globals.state = *(flag + 1);
    for (const auto& word : words) {
        if (word.starts_with('-')) continue;
        for (auto* verb : app->get_subcommands({})) {
            if (verb->check_name(word)) app = verb;
        }
    }
    if (print_values_of_flag(*app, words)) return;
    for (const auto* verb :
         app->get_subcommands([](const CLI::App* v) { return !v->get_group().empty(); }))
        std::cout << verb->get_name() << '\n';
    if (const auto values = values_of_verbs().find(app); values != values_of_verbs().end()) {
        try {
            for (const auto& value : values->second()) std::cout << value << '\n';
        } catch (const Error&) {
            // A shell that completes has no place for reasons.
        }
    }
    for (const auto* option : app->get_options()) {
        for (const auto& name : option->get_lnames()) std::cout << "--" << name << '\n';
    }
}

}  // namespace kled::cli
