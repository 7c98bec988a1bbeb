#include "kustomize/build.h"

#include "base/file.h"
#include "cli/command.h"
#include "cli/flag_values.h"
#include "cli/helm.h"
#include "cli/output.h"
#include "cli/watch.h"
#include "gitops/git/remotes.h"
#include "kustomize/builder.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <iomanip>
#include <iostream>
#include <memory>
#include <optional>
#include <string>

namespace kled::cli {

namespace {

using kustomize::BuildOptions;
using kustomize::DiskFiles;
using Clock = std::chrono::steady_clock;

struct Build {
    std::string directory = ".";
    std::string reorder = "legacy";
    std::string load_restrictor = "LoadRestrictionsRootOnly";
    std::string output_file;
    Output output = Output::yaml;
    bool stats = false;
    bool watch = false;
    bool no_remote = false;
    bool offline = false;
    std::string remote_cache;
    bool enable_helm = false;
    HelmProgram::Options helm;
};

/// Counts what a build reads.
class CountedFiles : public kustomize::Files {
public:
    explicit CountedFiles(const Files& files) : files_{files} {}
    [[nodiscard]] std::optional<Entry> find(const std::string& path) const override {
        ++looked_up;
        return files_.find(path);
    }
    [[nodiscard]] std::string read(const std::string& path) const override {
        auto text = files_.read(path);
        ++read_files;
        read_bytes += text.size();
        return text;
    }
    [[nodiscard]] std::vector<std::string> list(const std::string& directory) const override {
        return files_.list(directory);
    }
    [[nodiscard]] std::string display(const std::string& path) const override {
        return files_.display(path);
    }

    mutable std::size_t looked_up = 0;
    mutable std::size_t read_files = 0;
    mutable std::size_t read_bytes = 0;

private:
    const Files& files_;
};

double milliseconds(std::chrono::nanoseconds time) {
    return std::chrono::duration<double, std::milli>{time}.count();
}

void print_stats(const kustomize::BuildResult& result, std::chrono::nanoseconds printing,
                 const CountedFiles& files) {
    const auto line = [](const std::string& name, std::chrono::nanoseconds time) {
        std::cerr << std::left << std::setw(24) << name << std::right << std::setw(10) << std::fixed
                  << std::setprecision(2) << milliseconds(time) << " ms\n";
    };
    for (const auto& phase : result.phases) line(phase.name, phase.time);
    line("print", printing);
    std::cerr << result.objects.size() << " objects, " << files.read_files << " files of "
              << files.read_bytes << " bytes read, " << files.looked_up << " paths looked up\n";
}

std::string as_text(const std::vector<const kube::Object*>& objects, Output output) {
    std::string text;
    if (output == Output::json) {
        kube::json::array items;
        for (const auto* object : objects) items.emplace_back(object->fields());
        const kube::json::object list{
            {"apiVersion", "v1"}, {"kind", "List"}, {"items", std::move(items)}};
        return kube::to_json(list) + "\n";
    }
    for (const auto* object : objects) text += object->id().to_string() + "\n";
    return text;
}

std::string as_text(const kustomize::BuildResult& result, Output output) {
    if (output == Output::yaml) return result.to_yaml();
    std::vector<const kube::Object*> objects;
    for (const auto& loaded : result.objects) objects.push_back(&loaded.object);
    return as_text(objects, output);
}

std::string as_text(const kustomize::Builder::Result& result, Output output) {
    if (output == Output::yaml) return result.to_yaml();
    std::vector<const kube::Object*> objects;
    for (const auto& object : result.objects) objects.push_back(&object->loaded().object);
    return as_text(objects, output);
}

void print(const std::string& text, const Build& flags) {
    if (flags.output_file.empty()) {
        std::cout << text << std::flush;
    } else {
        write_file_atomic(flags.output_file, text);
    }
}

std::filesystem::path cache_directory() {
    const auto* cache = std::getenv("XDG_CACHE_HOME");
    if (cache != nullptr && *cache == '/') return std::filesystem::path{cache} / "kled/remote";
    const auto* home = std::getenv("HOME");
    return std::filesystem::path{home != nullptr && *home == '/' ? home : "/var/cache"} /
           ".cache/kled/remote";
}

/// What the options of a build refer to.
class Setup {
public:
    explicit Setup(const Build& flags) {
        options.order =
            flags.reorder == "none" ? BuildOptions::Order::none : BuildOptions::Order::legacy;
        options.load_anywhere = flags.load_restrictor == "LoadRestrictionsNone";
        if (!flags.no_remote) {
            gitops::git::RemoteCache::Options remote;
            remote.directory = flags.remote_cache.empty()
                                   ? cache_directory()
                                   : std::filesystem::path{flags.remote_cache};
            remote.offline = flags.offline;
            remote.access.local_repositories = true;
            remote.access.own_ssh_configuration = false;  // the user's, who started this
            options.remotes = &remotes_.emplace(std::move(remote));
        }
        if (flags.enable_helm) options.charts = &helm_.emplace(flags.helm);
    }
    Setup(const Setup&) = delete;
    Setup& operator=(const Setup&) = delete;

    BuildOptions options;

private:
    std::optional<gitops::git::RemoteCache> remotes_;
    std::optional<HelmProgram> helm_;
};

void warn(const std::vector<std::string>& warnings) {
    for (const auto& warning : warnings) std::cerr << "warning: " << warning << '\n';
}

void build_once(const Build& flags) {
    Setup setup{flags};
    const DiskFiles disk;
    std::shared_ptr<const kustomize::Files> other;
    std::string directory;
    const auto remote = kustomize::RepositoryUrl::parse(flags.directory);
    if (remote && setup.options.remotes != nullptr &&
        !std::filesystem::is_directory(flags.directory)) {
        other = setup.options.remotes->repository(*remote);
        directory = remote->directory;
    } else {
        directory = DiskFiles::path_of(flags.directory);
    }
    const CountedFiles files{other ? *other : disk};
    const auto result = kustomize::build(files, directory, setup.options);
    warn(result.warnings);
    const auto start = Clock::now();
    print(as_text(result, flags.output), flags);
    if (flags.stats) print_stats(result, Clock::now() - start, files);
}

/// Builds again after each change of a file it hangs on, until it is interrupted.
[[noreturn]] void build_and_watch(const Build& flags) {
    Setup setup{flags};
    const DiskFiles disk;
    Watch watch;
    kustomize::Builder builder{DiskFiles::path_of(flags.directory), setup.options};
    std::optional<std::string> printed;
    for (;;) {
        const auto start = Clock::now();
        try {
            const auto& result = builder.build(disk);
            const auto built = Clock::now() - start;
            auto text = as_text(result, flags.output);
            const auto rendered = Clock::now() - start;
            if (text != printed) {
                if (printed && flags.output_file.empty() && flags.output == Output::yaml)
                    std::cout << "---\n";
                print(text, flags);
                printed = std::move(text);
                warn(result.warnings);
            }
            std::cerr << "built " << result.objects.size() << " objects in " << std::fixed
                      << std::setprecision(1) << milliseconds(rendered) << " ms";
            if (flags.stats) std::cerr << " (" << milliseconds(built) << " ms without the text)";
            std::cerr << ": " << result.rebuilt << " of " << result.parts << " parts are new"
                      << std::endl;
        } catch (const Error& error) {
            std::cerr << "error: " << error.what() << std::endl;
        }
        watch.add(builder.paths());
        for (const auto& path : watch.wait()) builder.changed(path);
    }
}

}  // namespace

void add_build(CLI::App& app, Globals&) {
    auto flags = std::make_shared<Build>();
    auto* build = app.add_subcommand(
        "build",
        "Print the objects of a kustomization, as kustomize build does\n\n"
        "Examples:\n"
        "  kled build overlays/dev\n"
        "  kled build overlays/dev -o name          which objects\n"
        "  kled build overlays/dev --reorder none   in the order the files name them\n"
        "  kled build overlays/dev --watch --output dev.yaml\n"
        "  kled build 'https://github.com/org/repo//overlays/dev?ref=v1'");
    build->add_option("directory", flags->directory, "Where kustomization.yaml is")
        ->capture_default_str();
    const auto one_of = [build](const std::string& flag, std::string& value, const char* says,
                                const std::vector<std::string>& values) {
        complete_flag(*build->add_option(flag, value, says)
                           ->check(CLI::IsMember(values))
                           ->capture_default_str(),
                      values);
    };
    one_of("--reorder", flags->reorder, "Order of the objects: legacy (namespaces first) or none",
           {"legacy", "none"});
    one_of("--load-restrictor", flags->load_restrictor,
           "Whether files outside a kustomization's directory may be read",
           {"LoadRestrictionsRootOnly", "LoadRestrictionsNone"});
    build->add_option("--output", flags->output_file,
                      "Write to this file instead of standard output");
    // --output is the file, as in kustomize.
    add_output_flag(*build, flags->output, "-o", {Output::yaml, Output::json, Output::name});
    build->add_flag("--stats", flags->stats, "Print where the time went to standard error");
    build->add_flag("--watch", flags->watch, "Build again when a file changes, until Ctrl-C");
    build->add_flag("--no-remote-bases", flags->no_remote,
                    "Other repositories and URLs are an error");
    build->add_flag("--offline", flags->offline,
                    "Other repositories and URLs as they were fetched before");
    build->add_option("--remote-cache", flags->remote_cache,
                      "Where they are kept (default ~/.cache/kled/remote)");
    build->add_flag("--enable-helm", flags->enable_helm, "Run helm for helmCharts");
    build->add_option("--helm-command", flags->helm.program, "The helm program")
        ->capture_default_str();
    build->add_option("--helm-kube-version", flags->helm.kube_version,
                      "Kubernetes version helm renders for");
    build->add_option("--helm-api-versions", flags->helm.api_versions,
                      "API versions helm takes as there");
    build->callback([flags] {
        if (flags->watch) build_and_watch(*flags);
        build_once(*flags);
    });
}

}  // namespace kled::cli
