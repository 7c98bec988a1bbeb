#include "gitops/cloud/identities.h"

#include "base/error.h"
#include "base/file.h"
#include "gitops/cloud/applicant.h"
#include "gitops/destination/destinations.h"
#include "kube/token_request.h"

#include <chrono>
#include <cstdlib>
#include <utility>

namespace kled::gitops::cloud {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

constexpr auto assertion_life = 10min;  // it is exchanged at once
constexpr std::size_t file_limit = 1U << 20U;

std::string trimmed(std::string text) {
    constexpr auto* blank = " \t\r\n";
    text.erase(text.find_last_not_of(blank) + 1);
    text.erase(0, text.find_first_not_of(blank));
    return text;
}

}  // namespace

std::string environment(const std::string& name) {
    const char* const value = std::getenv(name.c_str());
    return value == nullptr ? std::string{} : std::string{value};
}

Identities::Assertion Identities::token_of(const std::string& file_variable) const {
    try {
        const auto file = variable(file_variable);
        return std::make_shared<const Secret>(trimmed(read_file(file, file_limit)));
    } catch (const Error& error) {
        throw error.within(file_variable);
    }
}

asio::awaitable<Identities::Assertion> Identities::assertion(kube::Client& client, Applicant who,
                                                             std::string audience,
                                                             std::string file_variable) {
    if (who.service_account.empty()) co_return token_of(file_variable);
    if (!co_await runs_controllers(client.transport())) {
        throw Error{ErrorKind::invalid,
                    who.field + ": the embedded API issues no tokens for service accounts"};
    }
    kube::TokenRequest asked;
    asked.ns = who.ns;
    asked.account = who.service_account;
    asked.audiences.push_back(std::move(audience));
    asked.lifetime = assertion_life;
    try {
        const auto token = co_await kube::request_token(client.transport(), asked);
        co_return token.text;
    } catch (const Error& error) {
        throw error.within(who.field);
    }
}

void Identities::resolve(Applicant& who) const {
    if (!who.service_account.empty() || options_.default_account.empty()) return;
    who.service_account = options_.default_account;
    who.field = "--gitops-default-service-account";
}

asio::awaitable<net::Response> Identities::send(net::Url endpoint, net::Request request,
                                                Reach reach) const {
    // What is asked over http is on this machine: no proxy leads there, or may read it.
    if (endpoint.scheme == "http") reach.proxy.clear();
    if (options_.detour) endpoint = options_.detour(endpoint);
    co_return co_await ask(loop_, std::move(endpoint), std::move(request), std::move(reach));
}

}  // namespace kled::gitops::cloud
