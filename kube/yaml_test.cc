#include "kube/yaml.h"

#include "base/error.h"
#include "base/file.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>

namespace kled::kube {
namespace {

std::string print(std::string_view text, const YamlOptions& options = {}) {
    std::vector<const json::object*> fields;
    const auto objects = load_manifest(text, options);
    for (const auto& loaded : objects) fields.push_back(&loaded.object.fields());
    return to_yaml_stream(fields);
}

/// What kustomize prints for a file, where that takes no more than reading and writing it.
TEST(Yaml, PrintsWhatKustomizePrints) {
    const auto* shared = std::getenv("KLED_SHARED");
    const auto path =
        std::filesystem::path{shared != nullptr ? shared : KLED_SOURCE_DIR "/../shared"} /
        "conformance/yaml/cases.ndjson";
    const auto cases = read_file_if_exists(path);
    if (!cases) GTEST_SKIP() << "SKIPPED: no " << path << " (set KLED_SHARED)";
    int passed = 0;
    std::string failed;
    std::string_view rest = *cases;
    while (!rest.empty()) {
        const auto end = rest.find('\n');
        const auto item = parse_json(rest.substr(0, end)).get_object();
        rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
        if (item.contains("kustomization") || item.contains("files")) continue;
        const std::string_view text = item.at("in").get_string();
        std::string got;
        std::string want = "error";
        if (const auto* out = item.if_contains("out")) want = out->get_string();
        try {
            got = print(text);
        } catch (const Error& error) {
            got = "error";
            if (want != "error") got += std::string{": "} + error.what();
        }
        if (got == want) {
            ++passed;
        } else {
            failed.append("\n== ").append(item.at("name").get_string());
            if (got.size() < 1000) failed.append("\n-").append(want).append("\n+").append(got);
        }
    }
    std::cout << passed << " cases pass" << failed << "\n";
    EXPECT_GE(passed, 260);
}

}  // namespace
}  // namespace kled::kube
