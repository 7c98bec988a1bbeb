#include "kustomize/helm.h"

#include "base/error.h"
#include "kube/yaml.h"
#include "kustomize/merge.h"
#include "kustomize/scalar.h"

#include <algorithm>
#include <array>
#include <utility>

namespace kled::kustomize {

namespace {

json::object read_values(const Source& source) {
    auto value = kube::parse_yaml(source.text, {.file = source.file});
    if (value.is_null()) return {};
    if (auto* map = value.if_object()) return std::move(*map);
    throw Error{ErrorKind::invalid, source.file + ": expected a map of values, found a " +
                                        std::string{type_name(value)}};
}

/// The values file with the inline ones merged in, as `valuesMerge` says.
std::string values_of(const HelmChart& chart, const Root& root) {
    const auto file = chart.values_file.empty() ? chart.home() + "/" + chart.name + "/values.yaml"
                                                : chart.values_file;
    if (chart.values_inline.empty()) return root.read_file(file);
    if (chart.values_merge == "replace") return kube::to_yaml(json::value(chart.values_inline));
    auto weak = read_values(root.load(file));
    auto strong = chart.values_inline;
    if (chart.values_merge == "merge") std::swap(weak, strong);
    if (!merge(weak, std::move(strong), std::nullopt)) weak.clear();
    return kube::to_yaml(json::value(std::move(weak)));
}

/// Helm may say something before the first document.
std::vector<ResourceMap::Item> read_output(const std::string& text, const std::string& name) {
    try {
        return load_resources(text, name);
    } catch (const Error&) {
        const auto first = text.starts_with("---") ? 0 : text.find("\n---");
        if (first == 0 || first == std::string::npos) throw;
        return load_resources(std::string_view{text}.substr(first + 1), name);
    }
}

}  // namespace

std::vector<ResourceMap::Item> inflate(HelmChart chart, const Root& root) {
    auto* charts = root.context().options.charts;
    if (charts == nullptr) {
        throw Error{ErrorKind::denied,
                    "Helm charts are not allowed here; `kled build --enable-helm` runs helm"};
    }
    if (&root.files() != &root.context().files)
        throw Error{ErrorKind::denied, "a Helm chart of another repository is not run"};
    if (chart.name.empty()) throw Error{ErrorKind::invalid, "name: a chart needs one"};
    if (chart.values_merge.empty()) chart.values_merge = "override";
    constexpr std::array<std::string_view, 3> merges{"merge", "override", "replace"};
    if (std::find(merges.begin(), merges.end(), chart.values_merge) == merges.end()) {
        throw Error{ErrorKind::invalid, "valuesMerge: expected merge, override or replace, found " +
                                            chart.values_merge};
    }
    charts->provide(chart, root.directory());
    std::vector<std::string> values{values_of(chart, root)};
    for (const auto& file : chart.additional_values_files) values.push_back(root.read_file(file));
    const auto text = charts->render(chart, root.directory(), values);
    root.context().budget.bytes(text.size());
    auto items = read_output(text, "chart " + chart.name);
    for (const auto& item : items) {
        item->behavior = Behavior::unspecified;
        root.context().budget.object();
    }
    return items;
}

}  // namespace kled::kustomize
