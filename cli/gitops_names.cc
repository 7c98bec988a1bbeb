#include "cli/gitops_names.h"

#include "cli/connect.h"
#include "gitops/objects.h"

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

}  // namespace kled::cli
