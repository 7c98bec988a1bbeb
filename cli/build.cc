#include "kustomize/build.h"

#include "base/file.h"
#include "cli/command.h"
#include "cli/output.h"

#include <CLI/CLI.hpp>

#include <chrono>
#include <iomanip>
#include <iostream>
#include <memory>
#include <string>

namespace kled::cli {

namespace {

using kustomize::BuildOptions;

struct Build {
    std::string directory = ".";
    std::string reorder = "legacy";
    std::string load_restrictor = "LoadRestrictionsRootOnly";
    std::string output_file;
    Output output = Output::yaml;
    bool stats = false;
};

void print_stats(const kustomize::BuildResult& result, std::chrono::nanoseconds printing) {
    const auto line = [](const std::string& name, std::chrono::nanoseconds time) {
        std::cerr << std::left << std::setw(24) << name << std::right << std::setw(10) << std::fixed
                  << std::setprecision(2) << std::chrono::duration<double, std::milli>{time}.count()
                  << " ms\n";
    };
    for (const auto& phase : result.phases) line(phase.name, phase.time);
    line("print", printing);
    std::cerr << result.objects.size() << " objects\n";
}

std::string as_text(const kustomize::BuildResult& result, Output output) {
    if (output == Output::yaml) return result.to_yaml();
    std::string text;
    if (output == Output::json) {
        kube::json::array items;
        for (const auto& loaded : result.objects) items.emplace_back(loaded.object.fields());
        const kube::json::object list{
            {"apiVersion", "v1"}, {"kind", "List"}, {"items", std::move(items)}};
        return kube::to_json(list) + "\n";
    }
    for (const auto& loaded : result.objects) text += loaded.object.id().to_string() + "\n";
    return text;
}

void run_build(const Build& flags) {
    const kustomize::DiskFiles files;
    const BuildOptions options{
        .order = flags.reorder == "none" ? BuildOptions::Order::none : BuildOptions::Order::legacy,
        .load_anywhere = flags.load_restrictor == "LoadRestrictionsNone"};
    const auto result =
        kustomize::build(files, kustomize::DiskFiles::path_of(flags.directory), options);
    for (const auto& warning : result.warnings) std::cerr << "warning: " << warning << '\n';
    const auto start = std::chrono::steady_clock::now();
    const auto text = as_text(result, flags.output);
    if (flags.output_file.empty()) {
        std::cout << text << std::flush;
    } else {
        write_file_atomic(flags.output_file, text);
    }
    if (flags.stats) print_stats(result, std::chrono::steady_clock::now() - start);
}

}  // namespace

void add_build(CLI::App& app, Globals&) {
    auto flags = std::make_shared<Build>();
    auto* build = app.add_subcommand(
        "build", "Print the objects of a kustomization, as kustomize build does");
    build->footer(
        "Examples:\n"
        "  kled build overlays/dev\n"
        "  kled build overlays/dev -o name          which objects\n"
        "  kled build overlays/dev --reorder none   in the order the files name them");
    build->add_option("directory", flags->directory, "Where kustomization.yaml is")
        ->capture_default_str();
    build
        ->add_option("--reorder", flags->reorder,
                     "Order of the objects: legacy (namespaces first) or none")
        ->check(CLI::IsMember({"legacy", "none"}))
        ->capture_default_str();
    build
        ->add_option("--load-restrictor", flags->load_restrictor,
                     "Whether files outside a kustomization's directory may be read")
        ->check(CLI::IsMember({"LoadRestrictionsRootOnly", "LoadRestrictionsNone"}))
        ->capture_default_str();
    build->add_option("--output", flags->output_file,
                      "Write to this file instead of standard output");
    build->add_option("-o", flags->output, "Form of the output: yaml, json or name")
        ->transform(CLI::CheckedTransformer(std::map<std::string, Output>{
            {"yaml", Output::yaml}, {"json", Output::json}, {"name", Output::name}}));
    build->add_flag("--stats", flags->stats, "Print where the time went to standard error");
    build->callback([flags] { run_build(*flags); });
}

}  // namespace kled::cli
