#include "edge/join.h"

#include "base/encoding.h"
#include "base/error.h"
#include "base/file.h"
#include "crypto/hash.h"
#include "crypto/seal.h"
#include "crypto/x509.h"
#include "edge/agent.h"
#include "edge/agent_store.h"
#include "edge/names.h"
#include "kube/object.h"
#include "net/http_client.h"

#include <boost/asio/this_coro.hpp>

#include <chrono>
#include <cstdio>
#include <utility>

namespace kled::edge {

namespace asio = boost::asio;
namespace fs = std::filesystem;
namespace json = boost::json;

namespace {

/// The key in `path`, made by `make` when it is not there.
template <typename Make>
std::string load_or_create(const fs::path& path, Make make, std::vector<fs::path>& made) {
    if (auto held = read_file_if_exists(path, 64U << 10U)) return *std::move(held);
    const Secret key = make();
    write_file_atomic(path, key.reveal(), 0600);
    made.push_back(path);
    return std::string{key.reveal()};
}

bool same_fleet(const fs::path& state, const EnrolmentAnswer& answer) {
    try {
        const auto before = load_identity(state);
        return before.fleet == answer.fleet && before.device == answer.device &&
               before.delivery.raw() == answer.delivery_key;
    } catch (const Error&) {
        return false;  // damaged: joining again mends it
    }
}

[[noreturn]] void refused(const net::Response& response, const std::string& server) {
    const auto kind = response.status == 403 || response.status == 401 ? ErrorKind::denied
                      : response.status == 409                         ? ErrorKind::conflict
                      : response.status >= 500                         ? ErrorKind::unavailable
                                                                       : ErrorKind::invalid;
    auto why = response.body.substr(0, 1024);
    while (!why.empty() && why.back() == '\n') why.pop_back();
    throw Error{kind, server + ": " + why};
}

}  // namespace

JoinKeys prepare_keys(const fs::path& state, const std::string& device) {
    check_name("device", device);
    std::vector<fs::path> made;
    if (!fs::exists(state)) made.push_back(state);
    make_directories(state, 0700);
    auto pem = load_or_create(
        state / "device.key", [] { return crypto::PrivateKey::generate().pem(); }, made);
    auto sealing = load_or_create(
        state / "sealing.key", [] { return crypto::Identity::generate().text(); }, made);
    JoinKeys keys{.request = crypto::PrivateKey::from_pem(pem).request(
                      {.common_name = device, .organizations = {}}),
                  .recipient = crypto::Identity::parse(sealing).recipient().text(),
                  .made = std::move(made)};
    wipe(pem);
    wipe(sealing);
    return keys;
}

void discard_keys(const JoinKeys& keys) noexcept {
    // A folder that has something else in it stays.
    for (auto path = keys.made.rbegin(); path != keys.made.rend(); ++path) ::remove(path->c_str());
}

void save_identity(const fs::path& state, const EnrolmentAnswer& answer) {
    check_name("fleet", answer.fleet);
    check_name("device", answer.device);
    json::object identity{{"fleet", answer.fleet},
                          {"device", answer.device},
                          {"broker", {{"host", answer.broker_host}, {"port", answer.broker_port}}},
                          {"delivery_key", to_base64(answer.delivery_key)}};
    const auto path = state / "agent.json";
    // What another fleet assigned was signed by another key. What runs of it is still known, and is
    // stopped.
    if (fs::exists(path) && !same_fleet(state, answer)) AgentStore{state}.forget_assignments();
    write_file_atomic(state / "broker-ca.crt", answer.broker_ca);
    write_file_atomic(state / "device.crt", answer.certificate);
    // Last: with it the device has joined.
    write_file_atomic(path, kube::to_json(json::value(std::move(identity))) + "\n");
}

asio::awaitable<EnrolmentAnswer> join(fs::path state, std::string text, std::string device,
                                      std::string server, bool again) {
    const auto token = parse_token(text);
    wipe(text);
    if (!again && fs::exists(state / "agent.json")) {
        throw Error{ErrorKind::conflict, state.string() +
                                             ": this device has joined a fleet already; --again "
                                             "joins anew with the same keys"};
    }
    if (server.empty()) server = token.server;
    check_name("device", device);
    const auto loop = co_await asio::this_coro::executor;
    const auto url = net::parse_url(server);
    if (url.scheme != "https")
        throw Error{ErrorKind::invalid, server + ": enrolment needs an https:// address"};

    // Whoever answers first is nobody yet: it gives a CA, and the token says whether it is the one.
    net::ClientOptions options;
    options.tls.insecure = true;
    options.body_limit = 64U << 10U;
    net::HttpClient stranger{loop, url, options};
    net::Request ask;
    ask.target = enrolment_ca_path;
    auto ca = co_await stranger.send(std::move(ask));
    if (ca.status != 200) refused(ca, server);
    if (crypto::sha256_hex(ca.body) != token.ca) {
        throw Error{ErrorKind::denied,
                    server + " is not the hub that made this token: its CA is another"};
    }
    options.tls.insecure = false;
    options.tls.ca_pem = std::move(ca.body);
    net::HttpClient hub{loop, url, options};
    const auto keys = prepare_keys(state, device);
    const EnrolmentRequest request{.secret = token.secret.clone(),
                                   .device = device,
                                   .request = keys.request,
                                   .recipient = keys.recipient};
    net::Request post;
    post.method = "POST";
    post.target = enrolment_join_path;
    post.headers.set("Content-Type", "application/json");
    post.body = to_json(request).reveal();
    // Where the answer is lost the keys stay, and it can be asked for again with the same token.
    const auto response = co_await hub.send(std::move(post));
    if (response.status != 200) {
        discard_keys(keys);
        refused(response, server);
    }
    auto answer = parse_enrolment_answer(response.body);
    if (answer.device != device)
        throw Error{ErrorKind::denied, server + ": answered for another device"};
    save_identity(state, answer);
    co_return answer;
}

}  // namespace kled::edge
