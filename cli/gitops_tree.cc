// kled gitops tree: what a Kustomization has brought, and how each of it is doing.
#include "cli/gitops_tree.h"

#include "base/error.h"
#include "cli/command.h"
#include "cli/connect.h"
#include "cli/output.h"
#include "gitops/apply/ownership.h"
#include "gitops/destination/destinations.h"
#include "gitops/health/health.h"
#include "gitops/objects/objects.h"
#include "kube/yaml.h"

#include <CLI/CLI.hpp>
#include <boost/asio/this_coro.hpp>

#include <iostream>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace kled::cli {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

struct Flags {
    std::string name;
    std::string ns;
    Output output = Output::table;
};

struct Node {
    kube::ObjectId id;
    std::string version;
    std::string state;
    std::string message;
    std::vector<Node> children;
};

using Live = std::map<kube::ObjectId, kube::Object>;

/// The objects of the cluster that say that they are this Kustomization's: one list for each kind.
asio::awaitable<Live> live_objects(kube::Client& client, const gitops::Key& owner,
                                   const gitops::Inventory& inventory) {
    Live live;
    std::set<std::pair<std::string, std::string>> kinds;
    for (const auto& [id, version] : inventory.entries()) kinds.emplace(id.group, id.kind);
    kube::ListOptions options;
    options.label_selector = gitops::selector_of(owner);
    for (const auto& [group, kind] : kinds) {
        kube::GroupVersionKind gvk{.group = group, .version = {}, .kind = kind};
        const auto mapping = co_await client.map(gvk);
        if (!mapping) continue;
        gvk.version = mapping->resource.version;
        auto list = co_await client.list(gvk, options);
        for (auto& item : list.items) {
            auto id = item.id();
            live.emplace(std::move(id), std::move(item));
        }
    }
    co_return live;
}

/// "current" where controllers run; where none do, that it is there is all there is to say.
void describe(Node& node, const Live& live, bool controllers) {
    const auto found = live.find(node.id);
    if (found == live.end()) {
        node.state = "missing";
        return;
    }
    if (!controllers) {
        node.state = "applied";
        return;
    }
    const auto health = gitops::health_of(found->second);
    node.state = gitops::to_string(health.state);
    if (health.state != gitops::Health::State::current) node.message = health.message;
}

class Grower {
public:
    Grower(kube::Client& client, const std::vector<gitops::FoundObject>& all, bool controllers)
        : client_{client}, all_{all}, controllers_{controllers} {}

    asio::awaitable<Node> grow(const kube::Object& object) {
        Node node;
        node.id = object.id();
        node.version = object.gvk().version;
        const auto summary = gitops::summarise(object);
        node.state = summary.state;
        node.message = summary.ready == "True" ? summary.revision : summary.message;
        // A Kustomization may have brought the one that brought it.
        if (!grown_.insert(node.id).second) co_return node;
        const auto inventory = gitops::Inventory::from_status(object.status());
        const bool elsewhere =
            object.spec() != nullptr && object.spec()->if_contains("kubeConfig") != nullptr;
        Live live;
        if (!elsewhere) {
            const auto owner = gitops::key_of(object);
            live = co_await live_objects(client_, owner, inventory);
        }
        for (const auto& [id, version] : inventory.entries()) {
            Node child;
            child.id = id;
            child.version = version;
            if (const auto* nested = deployment(id)) {
                child = co_await grow(*nested);
            } else if (elsewhere) {
                child.state = "in another cluster";
            } else {
                describe(child, live, controllers_);
            }
            node.children.push_back(std::move(child));
        }
        co_return node;
    }

private:
    [[nodiscard]] const kube::Object* deployment(const kube::ObjectId& id) const {
        for (const auto& found : all_)
            if (found.object.id() == id) return &found.object;
        return nullptr;
    }

    kube::Client& client_;
    const std::vector<gitops::FoundObject>& all_;
    bool controllers_;
    std::set<kube::ObjectId> grown_;
};

json::object to_json(const Node& node) {
    json::object result;
    result["group"] = node.id.group;
    result["version"] = node.version;
    result["kind"] = node.id.kind;
    if (!node.id.ns.empty()) result["namespace"] = node.id.ns;
    result["name"] = node.id.name;
    result["state"] = node.state;
    if (!node.message.empty()) result["message"] = node.message;
    if (!node.children.empty()) {
        json::array children;
        for (const auto& child : node.children) children.emplace_back(to_json(child));
        result["children"] = std::move(children);
    }
    return result;
}

void print_tree(const Node& node, const std::string& first, const std::string& rest) {
    std::cout << first << node.id.to_string() << "  " << node.state
              << (node.message.empty() ? "" : ": " + in_one_line(node.message)) << '\n';
    for (std::size_t i = 0; i < node.children.size(); ++i) {
        const bool last = i + 1 == node.children.size();
        print_tree(node.children[i], rest + (last ? "└── " : "├── "),
                   rest + (last ? "    " : "│   "));
    }
}

asio::awaitable<void> tree(const Globals& globals, const Flags& flags) {
    auto client = connect(co_await asio::this_coro::executor, globals);
    const auto all = co_await gitops::find_objects(client, flags.ns);
    const bool bare = flags.name.find('/') == std::string::npos;
    const auto& found = gitops::select(all, bare ? "kustomization/" + flags.name : flags.name);
    if (found.object.kind() != "Kustomization") {
        throw Error{ErrorKind::invalid, gitops::key_of(found.object).to_string() +
                                            " has no inventory; a Kustomization has"};
    }
    const bool controllers = co_await gitops::runs_controllers(client.transport());
    Grower grower{client, all, controllers};
    const auto root = co_await grower.grow(found.object);
    switch (flags.output) {
        case Output::json: std::cout << kube::to_json(json::value(to_json(root))) << '\n'; break;
        case Output::yaml: std::cout << kube::to_yaml(json::value(to_json(root))); break;
        default: print_tree(root, "", "");
    }
}

}  // namespace

void add_gitops_tree(CLI::App& group, Globals& globals) {
    const auto flags = std::make_shared<Flags>();
    auto* verb = group.add_subcommand(
        "tree",
        "What a Kustomization has brought into the cluster, and how each of it is doing\n\n"
        "Examples:\n  kled gitops tree apps\n  kled gitops tree ks/flux-system -o json");
    verb->add_option("name", flags->name, "NAME of a Kustomization, or KIND/NAME")->required();
    verb->add_option("-n,--namespace", flags->ns, "Only of this namespace");
    add_output_flag(*verb, flags->output, "-o,--output",
                    {Output::table, Output::json, Output::yaml});
    verb->callback([&globals, flags] { run([&] { return tree(globals, *flags); }); });
}

}  // namespace kled::cli
