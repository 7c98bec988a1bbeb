#include "gitops/cloud/cluster_login.h"

#include "gitops/cloud/applicant.h"
#include "gitops/cloud/bearer.h"

#include <chrono>

namespace kled::gitops::cloud {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

// Kept gives nothing away in the last five minutes.
constexpr auto place_life = 65min;

/// Azure Resource Manager, of the cloud whose authority is asked.
struct ResourceManager {
    std::string url;
    std::string scope;
};
ResourceManager resource_manager(const std::string& authority) {
    const auto is_in = [&](const char* domain) {
        return authority.find(domain) != std::string::npos;
    };
    if (is_in("chinacloudapi.cn")) {
        return {"https://management.chinacloudapi.cn",
                "https://management.core.chinacloudapi.cn/.default"};
    }
    if (is_in("microsoftonline.us")) {
        return {"https://management.usgovcloudapi.net",
                "https://management.core.usgovcloudapi.net/.default"};
    }
    return {"https://management.azure.com", "https://management.core.windows.net//.default"};
}

kube::IssuedToken issued(const BearerToken& token) {
    kube::IssuedToken result;
    result.text = token.text;
    result.issued = WallTime::clock::now();
    result.expires = token.expires;
    return result;
}

}  // namespace

asio::awaitable<ClusterLogins::Asked> ClusterLogins::question(kube::Client& client, Applicant who,
                                                              CloudCluster cluster) {
    Asked asked;
    if (cluster.cloud == "aws") {
        asked.endpoint = net::parse_url("https://" + eks_of(cluster).host);
        const auto credentials =
            co_await identities_->amazon(client, std::move(who), cluster.region);
        asked.request = eks_request(cluster, credentials, WallTime::clock::now());
    } else if (cluster.cloud == "azure") {
        auto manager = resource_manager(identities_->variable("AZURE_AUTHORITY_HOST"));
        asked.endpoint = net::parse_url(manager.url);
        const auto token =
            co_await identities_->azure(client, std::move(who), std::move(manager.scope));
        asked.request = aks_request(cluster, *token.text);
    } else {
        asked.endpoint = net::parse_url("https://container.googleapis.com");
        const auto token = co_await identities_->google(client, std::move(who));
        asked.request = gke_request(cluster, *token.text);
    }
    co_return asked;
}

asio::awaitable<ClusterPlace> ClusterLogins::place(kube::Client& client, Applicant who,
                                                   CloudCluster cluster) {
    const auto key = joined({cluster.cloud, cluster.resource, key_of(who)});
    const auto now = WallTime::clock::now();
    if (const auto* known = places_.find(key, now)) co_return *known;
    const auto reach = who.reach;
    auto asked = co_await question(client, std::move(who), cluster);
    auto answer = co_await identities_->send(asked.endpoint, std::move(asked.request), reach);
    if (answer.status != 200) {
        throw refused(asked.endpoint.host, "cluster " + cluster.name, answer.status,
                      json_refusal(answer.body));
    }
    auto place = read_place(cluster, answer.body);
    wipe(answer.body);
    place.expires = now + place_life;
    places_.put(key, place);
    co_return place;
}

asio::awaitable<kube::IssuedToken> ClusterLogins::token(kube::Client& client, Applicant who,
                                                        CloudCluster cluster) {
    if (cluster.cloud == "aws") {
        const auto credentials =
            co_await identities_->amazon(client, std::move(who), cluster.region);
        co_return eks_token(cluster, credentials, WallTime::clock::now());
    }
    if (cluster.cloud == "azure") {
        // Of the server of all AKS clusters.
        std::string scope{"6dae42f8-4368-4678-94ff-3960e28e3630/.default"};
        const auto token = co_await identities_->azure(client, std::move(who), std::move(scope));
        co_return issued(token);
    }
    const auto token = co_await identities_->google(client, std::move(who));
    co_return issued(token);
}

}  // namespace kled::gitops::cloud
