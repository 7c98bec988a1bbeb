#include "cli/help.h"

#include <CLI/CLI.hpp>

#include <memory>
#include <string>
#include <utility>

namespace kled::cli {

namespace {

class Help : public CLI::Formatter {
public:
    std::string make_help(const CLI::App* app, std::string name,
                          CLI::AppFormatMode mode) const override {
        const auto [said, examples] = parts(app->get_description());
        auto text = said + "\n\n" + make_usage(app, name) + make_positionals(app) +
                    make_groups(app, CLI::AppFormatMode::Normal) +
                    make_subcommands(app, CLI::AppFormatMode::Normal) + examples;
        while (text.ends_with('\n')) text.pop_back();
        text += '\n';
        if (mode != CLI::AppFormatMode::All) return text;
        for (const auto* verb : app->get_subcommands({}))
            if (!verb->get_name().empty())
                text += "\n\n" + make_help(verb, name + " " + verb->get_name(), mode);
        return text;
    }

    std::string make_subcommand(const CLI::App* verb) const override {
        const auto description = verb->get_description();
        std::ostringstream out;
        CLI::detail::format_help(out, verb->get_name(),
                                 description.substr(0, description.find('\n')), get_column_width());
        return out.str();
    }

private:
    /// What it says, and its examples with a line break before them.
    static std::pair<std::string, std::string> parts(const std::string& description) {
        const auto at = description.find("\n\nExample");
        if (at == std::string::npos) return {description, {}};
        return {description.substr(0, at), description.substr(at + 1)};
    }
};

}  // namespace

void format_help(CLI::App& app) { app.formatter(std::make_shared<Help>()); }

}  // namespace kled::cli
