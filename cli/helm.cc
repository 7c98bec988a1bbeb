#include "cli/helm.h"

#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "base/run.h"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <mutex>
#include <optional>
#include <utility>

namespace kled::cli {

namespace fs = std::filesystem;
using kustomize::HelmChart;

namespace {

constexpr std::size_t output_limit = 64U << 20U;

/// A path of the tree is one of the machine, without its '/'.
fs::path home_of(const HelmChart& chart, const std::string& directory) {
    return fs::path{"/" + directory} / chart.home();
}

/// helm's own directory: the one asked for, or one for this run.
class ConfigHome {
public:
    explicit ConfigHome(const HelmChart& chart) : path_{chart.config_home} {
        if (path_.empty()) path_ = temporary_.emplace("kled-helm").path() / "helm";
    }
    [[nodiscard]] std::string path() const { return path_.string(); }

private:
    std::optional<TemporaryDirectory> temporary_;
    fs::path path_;
};

/// What helm would take for a flag.
void refuse_flags(const HelmChart& chart) {
    for (const auto* text : {&chart.name, &chart.release_name, &chart.repo, &chart.version}) {
        if (text->starts_with('-'))
            throw Error{ErrorKind::invalid,
                        "chart " + chart.name + ": `" + *text + "` starts with -"};
    }
}

}  // namespace

std::string HelmProgram::run(std::vector<std::string> arguments, const std::string& config_home) {
    Command command;
    command.argv = std::move(arguments);
    const auto what = command.argv.front();
    command.argv.insert(command.argv.begin(), options_.program);
    for (auto** entry = environ; *entry != nullptr; ++entry) {
        if (!std::string_view{*entry}.starts_with("HELM_")) command.env.emplace_back(*entry);
    }
    command.env.push_back("HELM_CONFIG_HOME=" + config_home);
    command.env.push_back("HELM_CACHE_HOME=" + config_home + "/.cache");
    command.env.push_back("HELM_DATA_HOME=" + config_home + "/.data");
    const auto done = [&] {
        try {
            return run_to_end(kled::run(std::move(command), "", options_.timeout, output_limit));
        } catch (const Error& error) {
            throw error.within(options_.program + " " + what);
        }
    }();
    if (done.status != 0) {
        auto said = done.err;
        while (!said.empty() && std::isspace(static_cast<unsigned char>(said.back())) != 0)
            said.pop_back();
        throw Error{ErrorKind::unavailable, options_.program + " " + what + " failed with status " +
                                                std::to_string(done.status) + ": " + said};
    }
    return done.out;
}

void HelmProgram::check_version(const std::string& config_home) {
    if (version_known_) return;
    const auto text = run({"version", "--short"}, config_home);
    const auto digit = std::find_if(text.begin(), text.end(),
                                    [](unsigned char c) { return std::isdigit(c) != 0; });
    const bool right = digit != text.end() && (*digit == '3' || *digit == '4') &&
                       digit + 1 != text.end() && digit[1] == '.';
    if (!right) throw Error{ErrorKind::unavailable, "helm 3 or 4 is needed, this is " + text};
    version_known_ = true;
}

void HelmProgram::provide(const HelmChart& chart, const std::string& directory) {
    refuse_flags(chart);
    const ConfigHome config{chart};
    check_version(config.path());
    const auto home = home_of(chart, directory);
    // Several directories that are built side by side may have it in a base of all of them: it is
    // pulled once, and nobody reads one that is half there.
    static std::mutex one_at_a_time;
    const std::scoped_lock pulling{one_at_a_time};
    if (fs::is_directory(home / chart.name)) return;
    if (chart.repo.empty()) {
        throw Error{ErrorKind::not_found, "no chart at " + (home / chart.name).string() +
                                              ", and no `repo` to pull it from"};
    }
    std::vector<std::string> pull{"pull", "--untar", "--untardir", home.string()};
    if (chart.repo.starts_with("oci://")) {
        pull.push_back(chart.repo + (chart.repo.ends_with('/') ? "" : "/") + chart.name);
    } else {
        pull.insert(pull.end(), {"--repo", chart.repo, chart.name});
    }
    if (!chart.version.empty()) pull.insert(pull.end(), {"--version", chart.version});
    if (chart.devel) pull.emplace_back("--devel");
    (void)run(std::move(pull), config.path());
}

std::string HelmProgram::render(const HelmChart& chart, const std::string& directory,
                                const std::vector<std::string>& values) {
    const ConfigHome config{chart};
    const TemporaryDirectory files{"kled-helm-values"};
    std::vector<std::string> arguments{"template"};
    arguments.push_back(chart.release_name.empty() ? "--generate-name" : chart.release_name);
    arguments.push_back((home_of(chart, directory) / chart.name).string());
    const auto add = [&](const char* flag, const std::string& value) {
        if (!value.empty()) arguments.insert(arguments.end(), {flag, value});
    };
    add("--namespace", chart.ns);
    add("--name-template", chart.name_template);
    for (std::size_t i = 0; i < values.size(); ++i) {
        const auto file = files.path() / ("values-" + std::to_string(i) + ".yaml");
        write_file_atomic(file, values[i], 0600);
        add("-f", file.string());
    }
    const auto& api_versions =
        options_.api_versions.empty() ? chart.api_versions : options_.api_versions;
    for (const auto& version : api_versions) add("--api-versions", version);
    add("--kube-version",
        options_.kube_version.empty() ? chart.kube_version : options_.kube_version);
    if (chart.include_crds) arguments.emplace_back("--include-crds");
    if (chart.skip_tests) arguments.emplace_back("--skip-tests");
    if (chart.skip_hooks) arguments.emplace_back("--no-hooks");
    if (chart.debug) arguments.emplace_back("--debug");
    if (chart.devel) arguments.emplace_back("--devel");
    return run(std::move(arguments), config.path());
}

}  // namespace kled::cli
