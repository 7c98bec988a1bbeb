/// Whatever is read can be printed, and reading that again gives the same value. What keeps its
/// notation and its comments can be read again.
#include "kube/yaml.h"

#include "base/error.h"
#include "kube/yaml_restyle.h"
#include "tests/fuzz/target.h"

#include <string>

namespace {

using namespace kled;
using kube::YamlDialect;

/// kustomize's reader takes even a quoted `<<` for a merge, so such keys do not come back.
bool has_merge_key(std::string_view printed) {
    return printed.find("<<") != std::string_view::npos;
}

void read(std::string_view text, YamlDialect dialect) {
    const kube::YamlOptions options{
        .dialect = dialect, .file = "f", .with_lines = true, .max_nodes = 100'000};
    bool taken = false;
    try {
        for (const auto& document : kube::parse_yaml_stream(text, options)) {
            const auto printed = kube::to_yaml(document.value);
            if (dialect == YamlDialect::manifest && has_merge_key(printed)) continue;
            const auto again = kube::parse_yaml(printed, {.dialect = dialect});
            if (kube::to_canonical_json(again) != kube::to_canonical_json(document.value)) {
                fuzz::broken("printed YAML reads as another value", printed);
            }
            if (kube::to_yaml(again) != printed) fuzz::broken("printing is not stable", printed);
            taken = true;
        }
    } catch (const Error&) {
    }
    try {
        (void)kube::load_manifest(text, options);
    } catch (const Error&) {
    }
    if (taken) fuzz::accepted();
}

void restyle(std::string_view text) {
    std::string restyled;
    try {
        const auto value = kube::parse_yaml(text, {.max_nodes = 100'000});
        restyled = kube::restyle_yaml(value, text);
    } catch (const Error&) {
        return;
    }
    // Without its tag a key may be a number, which is refused.
    if (text.find('!') != std::string_view::npos) return;
    try {
        (void)kube::parse_yaml(restyled);
    } catch (const Error& error) {
        fuzz::broken(error.what(), restyled);
    }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    read(fuzz::text_of(data, size), YamlDialect::manifest);
    read(fuzz::text_of(data, size), YamlDialect::configuration);
    restyle(fuzz::text_of(data, size));
    return 0;
}
