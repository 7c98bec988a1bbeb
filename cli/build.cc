#include "kustomize/build.h"

#include "base/error.h"
#include "base/file.h"
#include "cli/command.h"
#include "cli/flag_values.h"
#include "cli/helm.h"
#include "cli/output.h"
#include "cli/user_files.h"
#include "cli/watch.h"
#include "gitops/git/remotes.h"
#include "kustomize/builder.h"

#include <CLI/CLI.hpp>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace kled::cli {

namespace {

using kustomize::BuildOptions;
using Clock = std::chrono::steady_clock;

struct Build {
    std::vector<std::string> directories{"."};
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

std::string stats_of(const kustomize::BuildResult& result, std::chrono::nanoseconds printing,
                     const CountedFiles& files) {
    std::ostringstream text;
    const auto line = [&](const std::string& name, std::chrono::nanoseconds time) {
        text << std::left << std::setw(24) << name << std::right << std::setw(10) << std::fixed
             << std::setprecision(2) << milliseconds(time) << " ms\n";
    };
    for (const auto& phase : result.phases) line(phase.name, phase.time);
    line("print", printing);
    text << result.objects.size() << " objects, " << files.read_files << " files of "
         << files.read_bytes << " bytes read, " << files.looked_up << " paths looked up\n";
    return text.str();
}

/// Of one directory: a YAML stream, JSON objects with commas between them, or names.
std::string as_text(const std::vector<const kube::Object*>& objects, Output output) {
    std::string text;
    for (const auto* object : objects) {
        if (output == Output::name) {
            text += object->id().to_string() + "\n";
            continue;
        }
        if (!text.empty()) text += ",";
        text += kube::to_json(object->fields());
    }
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

/// The texts of all directories as one: one stream, one List.
std::string joined(const std::vector<std::string>& texts, Output output) {
    const std::string between = output == Output::yaml   ? "---\n"
                                : output == Output::json ? ","
                                                         : "";
    std::string all;
    for (const auto& text : texts) {
        if (!all.empty() && !text.empty()) all += between;
        all += text;
    }
    if (output != Output::json) return all;
    return R"({"apiVersion":"v1","kind":"List","items":[)" + all + "]}\n";
}

/// A file keeps its mode, a link leads where it leads, and what is no file is written to.
void write_output(const std::filesystem::path& path, const std::string& text) {
    namespace fs = std::filesystem;
    std::error_code error;
    const auto there = fs::status(path, error);
    if (fs::exists(there) && !fs::is_regular_file(there)) {
        std::ofstream out{path, std::ios::binary};
        if (!out.write(text.data(), static_cast<std::streamsize>(text.size())).flush())
            throw Error{ErrorKind::unavailable, path.string() + ": cannot be written to"};
        return;
    }
    const auto mask = ::umask(0);
    ::umask(mask);
    const unsigned mode =
        fs::exists(there) ? static_cast<unsigned>(there.permissions()) & 0777U : 0666U & ~mask;
    write_file_atomic(fs::weakly_canonical(path), text, mode);
}

void print(const std::string& text, const Build& flags) {
    if (flags.output_file.empty()) {
        std::cout << text << std::flush;
    } else {
        write_output(flags.output_file, text);
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

/// What building one directory gave.
struct Built {
    std::string text;
    std::vector<std::string> warnings;
    std::string stats;
    std::exception_ptr error;
};

Built build_directory(const Build& flags, const std::string& named) {
    Setup setup{flags};
    const UserFiles disk{named};
    std::shared_ptr<const kustomize::Files> other;
    std::string directory;
    const auto remote = kustomize::RepositoryUrl::parse(named);
    if (remote && setup.options.remotes != nullptr && !std::filesystem::is_directory(named)) {
        other = setup.options.remotes->repository(*remote);
        directory = remote->directory;
    } else {
        directory = UserFiles::path_of(named);
    }
    const CountedFiles files{other ? *other : disk};
    const auto result = kustomize::build(files, directory, setup.options);
    const auto start = Clock::now();
    Built built;
    built.text = as_text(result, flags.output);
    if (flags.stats) built.stats = stats_of(result, Clock::now() - start, files);
    built.warnings = result.warnings;
    return built;
}

/// All of them, as many at a time as there are processors; the results stand in the order the
/// directories were named.
std::vector<Built> build_directories(const Build& flags) {
    std::vector<Built> all(flags.directories.size());
    std::atomic<std::size_t> next = 0;
    const auto work = [&] {
        for (auto i = next++; i < all.size(); i = next++) {
            try {
                all[i] = build_directory(flags, flags.directories[i]);
            } catch (...) {
                all[i].error = std::current_exception();
            }
        }
    };
    const auto wanted = std::min<std::size_t>(all.size(), std::thread::hardware_concurrency());
    std::vector<std::jthread> others;
    for (std::size_t i = 1; i < wanted; ++i) others.emplace_back(work);
    work();
    others.clear();
    return all;
}

/// What is wrong with any of them is one error: half of a result is none.
void stop_on_errors(const std::vector<Built>& all) {
    std::optional<Error> first;
    std::string text;
    for (const auto& built : all) {
        if (!built.error) continue;
        try {
            std::rethrow_exception(built.error);
        } catch (const Error& error) {
            if (!first) first = error;
            text += (text.empty() ? "" : "\n") + std::string{error.what()};
        }
    }
    if (first) throw Error{first->kind(), text};
}

void build_once(const Build& flags) {
    const auto all = build_directories(flags);
    for (const auto& built : all) warn(built.warnings);
    stop_on_errors(all);
    std::vector<std::string> texts;
    for (const auto& built : all) texts.push_back(built.text);
    print(joined(texts, flags.output), flags);
    for (std::size_t i = 0; i < all.size() && flags.stats; ++i) {
        if (all.size() > 1) std::cerr << flags.directories[i] << ":\n";
        std::cerr << all[i].stats;
    }
}

/// Builds again after each change of a file it hangs on, until it is interrupted.
[[noreturn]] void build_and_watch(const Build& flags) {
    if (flags.directories.size() != 1)
        throw Error{ErrorKind::invalid, "--watch builds one directory"};
    Setup setup{flags};
    const UserFiles disk{flags.directories.front()};
    Watch watch;
    kustomize::Builder builder{UserFiles::path_of(flags.directories.front()), setup.options};
    std::optional<std::string> printed;
    for (;;) {
        const auto start = Clock::now();
        try {
            const auto& result = builder.build(disk);
            const auto built = Clock::now() - start;
            auto text = joined({as_text(result, flags.output)}, flags.output);
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
        "Print the objects of kustomizations, as kustomize build does\n\n"
        "Examples:\n"
        "  kled build overlays/dev\n"
        "  kled build overlays/dev -o name          which objects\n"
        "  kled build overlays/*                    all of them, side by side\n"
        "  kled build overlays/dev --reorder none   in the order the files name them\n"
        "  kled build overlays/dev --watch --output dev.yaml\n"
        "  kled build 'https://github.com/org/repo//overlays/dev?ref=v1'");
    build->add_option("directory", flags->directories, "Where kustomization.yaml is")
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
