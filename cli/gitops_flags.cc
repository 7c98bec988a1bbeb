#include "cli/gitops_flags.h"

#include "cli/connect.h"
#include "gitops/objects/objects.h"

#include <CLI/CLI.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/this_coro.hpp>

#include <string>
#include <utility>
#include <vector>

namespace kled::cli {

namespace asio = boost::asio;

namespace {

using Wanted = std::function<bool(const kube::Object&)>;

asio::awaitable<void> list_names(const Globals& globals, const Wanted& wanted,
                                 std::vector<std::string>& names) {
    auto client = connect(co_await asio::this_coro::executor, globals);
    const std::string everywhere;
    const auto found = co_await gitops::find_objects(client, everywhere);
    for (const auto& one : found)
        if (wanted(one.object)) names.emplace_back(one.object.name());
}

}  // namespace

void complete_with_objects(CLI::App& verb, const Globals& globals, Wanted wanted) {
    complete_with(verb, [&globals, wanted = std::move(wanted)] {
        std::vector<std::string> names;
        run([&] { return list_names(globals, wanted, names); });
        return names;
    });
}

void add_object_flags(CLI::App& verb, const Globals& globals, ObjectFlags& flags,
                      const std::string& what, Wanted wanted) {
    verb.add_option("name", flags.name, what)->required();
    complete_with_objects(verb, globals, std::move(wanted));
    add_namespace_flag(verb, flags.ns);
}

void add_namespace_flag(CLI::App& verb, std::string& ns) {
    verb.add_option("-n,--namespace", ns, "Only of this namespace");
}

void add_yes_flag(CLI::App& verb, bool& yes) {
    verb.add_flag("-y,--yes", yes, "Without being asked");
}

void add_timeout_flag(CLI::App& verb, std::string& timeout) {
    verb.add_option("--timeout", timeout, "How long to wait")->capture_default_str();
}

}  // namespace kled::cli
