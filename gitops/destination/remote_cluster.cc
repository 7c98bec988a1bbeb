#include "gitops/destination/remote_cluster.h"

#include "base/error.h"
#include "crypto/hash.h"
#include "kube/names.h"
#include "kube/yaml.h"

#include <chrono>
#include <sstream>
#include <utility>

namespace kled::gitops {

namespace {

constexpr std::size_t longest_list = 64U << 10U;
constexpr std::chrono::seconds cloud_timeout{30};

/// The values of one ConfigMap.
class Data {
public:
    Data(const kube::Object& map, std::string name) : map_{map}, name_{std::move(name)} {}
    [[nodiscard]] std::string text(std::string_view key) const {
        return std::string{kube::find_string(map_.fields(), {"data", key})};
    }
    [[nodiscard]] std::string required(std::string_view key) const {
        auto value = text(key);
        if (value.empty()) throw bad(key, "is required");
        return value;
    }
    [[nodiscard]] Error bad(std::string_view key, const std::string& why) const {
        return {ErrorKind::invalid, name_ + ": data['" + std::string{key} + "'] " + why};
    }

private:
    const kube::Object& map_;
    std::string name_;
};

/// Error(invalid) "is no URL" and the like: a token is shown to it.
net::Url https_url(const std::string& address) {
    net::Url server;
    try {
        server = net::parse_url(address.find("://") == std::string::npos ? "https://" + address
                                                                         : address);
    } catch (const Error&) {
        throw Error{ErrorKind::invalid, "is no URL"};
    }
    if (server.scheme != "https") throw Error{ErrorKind::invalid, "must begin with https://"};
    if (!server.user.empty() || !server.password.empty())
        throw Error{ErrorKind::invalid, "must not have a user"};
    return server;
}

net::Url server_of(const Data& data, const std::string& address) {
    try {
        return https_url(address);
    } catch (const Error& error) {
        throw data.bad("address", error.what());
    }
}

void read_cloud(const Data& data, const std::string& provider, RemoteCluster& cluster) {
    if (!data.text("audiences").empty())
        throw data.bad("audiences", "is not taken with provider " + provider);
    try {
        cluster.cloud = cloud::CloudCluster::parse(provider, data.text("cluster"));
    } catch (const Error& error) {
        throw data.bad("cluster", error.what());
    }
    if (cluster.cloud->resource.empty() && !cluster.is_placed())
        throw data.bad("cluster", "is required without address and ca.crt");
}

std::vector<std::string> audiences_of(const Data& data) {
    const auto text = data.text("audiences");
    if (text.size() > longest_list) throw data.bad("audiences", "is too long");
    kube::json::value value;
    try {
        value = kube::parse_yaml(text);
    } catch (const Error&) {
        throw data.bad("audiences", "is no list");
    }
    std::vector<std::string> result;
    if (value.is_string()) {  // lines without dashes
        std::istringstream words{std::string{value.get_string()}};
        for (std::string word; words >> word;) result.push_back(word);
    } else if (value.is_array()) {
        for (const auto& item : value.get_array()) {
            if (!item.is_string() || item.get_string().empty())
                throw data.bad("audiences", "is no list of texts");
            result.emplace_back(item.get_string());
        }
    } else if (!value.is_null()) {
        throw data.bad("audiences", "is no list");
    }
    return result;
}

}  // namespace

RemoteCluster RemoteCluster::from_config_map(const kube::Object& map) {
    RemoteCluster cluster;
    cluster.source = "ConfigMap " + std::string{map.ns()} + "/" + std::string{map.name()};
    const Data data{map, cluster.source};
    const auto provider = data.required("provider");
    const bool generic = provider == "generic";
    if (!generic && !cloud::has_clusters(provider)) {
        throw data.bad("provider",
                       "'" + provider + "' is not supported: generic, aws, azure and gcp are");
    }
    const auto address = generic ? data.required("address") : data.text("address");
    if (!address.empty()) cluster.server = server_of(data, address);
    cluster.ca_pem = data.text("ca.crt");
    cluster.token.ns = map.ns();
    cluster.token.account = data.required("serviceAccountName");
    if (!kube::check_dns1123_subdomain(cluster.token.account).empty())
        throw data.bad("serviceAccountName", "is no name");
    if (!generic) {
        read_cloud(data, provider, cluster);
        return cluster;
    }
    cluster.token.audiences = audiences_of(data);
    if (cluster.token.audiences.empty()) cluster.token.audiences.push_back(address);
    return cluster;
}

bool RemoteCluster::is_placed() const noexcept {
    return !cloud || (!server.host.empty() && !ca_pem.empty());
}

void RemoteCluster::take(const cloud::ClusterPlace& place) {
    if (server.host.empty()) {
        try {
            server = https_url(place.server);
        } catch (const Error& error) {
            throw Error{ErrorKind::invalid,
                        source + ": the address that " + cloud->cloud + " gives " + error.what()};
        }
    }
    if (ca_pem.empty()) ca_pem = place.ca_pem;
}

cloud::Applicant RemoteCluster::applicant() const {
    cloud::Applicant who;
    who.ns = token.ns;
    who.service_account = token.account;
    who.field = source + ": data['serviceAccountName']";
    who.reach.timeout = cloud_timeout;
    return who;
}

kube::ClusterAccess RemoteCluster::access() const {
    kube::ClusterAccess access;
    access.source = source;
    access.server = server;
    if (!ca_pem.empty()) access.ca.text = std::make_shared<const Secret>(std::string{ca_pem});
    return access;
}

std::string RemoteCluster::fingerprint() const {
    std::string all;
    const auto add = [&](std::string_view part) {
        all += std::to_string(part.size()) + ":" + std::string{part};
    };
    for (const std::string_view part :
         {std::string_view{server.host}, std::string_view{server.port},
          std::string_view{server.target}, std::string_view{ca_pem}, std::string_view{token.ns},
          std::string_view{token.account}}) {
        add(part);
    }
    for (const auto& audience : token.audiences) add(audience);
    if (cloud) {
        add(cloud->cloud);
        add(cloud->resource);
    }
    return crypto::sha256_hex(all);
}

}  // namespace kled::gitops
