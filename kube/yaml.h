/// Kubernetes' YAML, read and written as its Go library does (docs/yaml.md has the rules).
#pragma once

#include "kube/object.h"

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace kled::kube {

enum class YamlDialect {
    manifest,       ///< yaml.v3 behind kustomize and Flux: `yes` is text, dates become RFC 3339
    configuration,  ///< yaml.v2 behind kubectl, the API server and kustomization.yaml: `yes` is
                    ///< true
};

struct YamlOptions {
    YamlDialect dialect = YamlDialect::manifest;
    std::string file = {};    ///< for messages and origins
    bool with_lines = false;  ///< fill Origin::lines
    bool duplicate_keys_are_errors = true;
    bool note_quoted = false;       ///< fill YamlDocument's `quoted`, `spelled` and `folded`
    bool scalars_are_text = false;  ///< `null`, `0x1F` and all others as they are written
    std::size_t max_depth = 512;
    std::size_t max_nodes = 4'000'000;  ///< after aliases are expanded: a bomb is Error(exhausted)
};

/// One YAML value. Error(invalid) "file:line:column: what"; Error(exhausted) for a limit; several
/// documents: the first; none: null. A key that is repeated where it may be: the last one counts.
[[nodiscard]] json::value parse_yaml(std::string_view text, const YamlOptions& options = {});

struct YamlDocument {
    json::value value;
    Origin origin;
    /// YamlOptions::note_quoted: the `quoted_mark`s of values that stand in quotes or as blocks, in
    /// order; nullptr: none.
    std::shared_ptr<const std::vector<std::size_t>> quoted = nullptr;
    /// By `spelling_mark`, how numbers, dates and nulls stand there that are printed in another
    /// way: `1.10`, `0x1F`, `~`; nullptr: none.
    std::shared_ptr<const std::map<std::size_t, std::string>> spelled = nullptr;
    /// The `quoted_mark`s of folded (`>`) texts, in order; nullptr: none.
    std::shared_ptr<const std::vector<std::size_t>> folded = nullptr;
};
/// What is read where a text was written folded by Go's yaml.v3, whose emitter looks at the start
/// of the text for the breaks at hand: lines that are further in get an empty one before them.
[[nodiscard]] std::string refolded(const std::string& text);
/// Of a value below a key, wherever in the document.
[[nodiscard]] std::size_t spelling_mark(std::string_view key, const json::value& value);
/// In the same list: a key behind which stands nothing, not even `null`.
[[nodiscard]] std::size_t nothing_mark(std::string_view key) noexcept;
/// Of a value below a key, wherever in the document.
[[nodiscard]] std::size_t quoted_mark(std::string_view key, std::string_view value) noexcept;

/// All documents of a stream, empty ones (null, {}, []) left out. `manifest`: lines that start with
/// `---` separate, except the first line; `configuration`: also the first.
[[nodiscard]] std::vector<YamlDocument> parse_yaml_stream(std::string_view text,
                                                          const YamlOptions& options = {});

/// The objects of a manifest: documents, with any `…List` replaced by its items, which follow the
/// other objects. Error(invalid) names file:line for a document that is no mapping or lacks kind,
/// apiVersion or metadata.name.
[[nodiscard]] std::vector<LoadedObject> load_manifest(std::string_view text,
                                                      const YamlOptions& options = {});

/// Block style, keys sorted naturally, as `kubectl get -o yaml` and `kustomize build` print.
[[nodiscard]] std::string to_yaml(const json::value& value);
/// Several documents, joined by "---\n".
[[nodiscard]] std::string to_yaml_stream(const std::vector<const json::object*>& documents);

}  // namespace kled::kube
