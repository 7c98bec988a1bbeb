#include "cli/config_file.h"

#include <CLI/CLI.hpp>
#include <yaml-cpp/yaml.h>

#include <istream>
#include <memory>
#include <string>
#include <vector>

namespace kled::cli {

namespace {

/// A configuration is small and flat; anything larger is not one.
constexpr std::size_t max_bytes = 1U << 20U;

class YamlConfig final : public CLI::Config {
public:
    explicit YamlConfig(const CLI::App& app) : app_{app} {}

    std::string to_config(const CLI::App*, bool, bool, std::string) const override {
        return {};  // kled never writes its configuration
    }

    std::vector<CLI::ConfigItem> from_config(std::istream& input) const override {
        std::string text(max_bytes + 1, '\0');
        input.read(text.data(), static_cast<std::streamsize>(text.size()));
        text.resize(static_cast<std::size_t>(input.gcount()));
        const auto where = app_.get_config_ptr()->results();
        const std::string file = where.empty() ? "configuration" : where.front();
        if (text.size() > max_bytes) throw CLI::FileError{file + ": over 1 MiB"};
        std::vector<CLI::ConfigItem> found;
        try {
            const auto root = YAML::Load(text);
            if (root.IsNull()) return found;
            if (!root.IsMap()) throw CLI::FileError{file + ": not a mapping of flags to values"};
            collect(root, file, {}, found);
        } catch (const YAML::Exception& error) {
            throw CLI::FileError{file + ":" + std::to_string(error.mark.line + 1) + ": " +
                                 error.msg};
        }
        return found;
    }

private:
    void collect(const YAML::Node& node, const std::string& file, const std::string& prefix,
                 std::vector<CLI::ConfigItem>& found) const {
        for (const auto& entry : node) {
            const auto key = prefix + entry.first.as<std::string>();
            if (entry.second.IsMap()) {
                collect(entry.second, file, key + "-", found);
                continue;
            }
            if (app_.get_option_no_throw("--" + key) == nullptr) {
                throw CLI::FileError{file + ":" + std::to_string(entry.first.Mark().line + 1) +
                                     ": there is no flag --" + key + "; --help lists them"};
            }
            CLI::ConfigItem item;
            item.name = key;
            if (entry.second.IsSequence()) {
                for (const auto& value : entry.second)
                    item.inputs.push_back(value.as<std::string>());
            } else if (!entry.second.IsNull()) {
                item.inputs.push_back(entry.second.as<std::string>());
            }
            found.push_back(std::move(item));
        }
    }

    const CLI::App& app_;
};

}  // namespace

void add_config_flag(CLI::App& app) {
    app.config_formatter(std::make_shared<YamlConfig>(app));
    app.set_config("--config", "",
                   "YAML file with any of these flags (roles: [api], gitops: {path: …})");
    app.allow_config_extras(CLI::config_extras_mode::error);
}

}  // namespace kled::cli
