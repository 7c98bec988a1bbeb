#include "gitops/cloud/clusters.h"

#include "base/encoding.h"
#include "base/error.h"
#include "crypto/hash.h"
#include "kube/object.h"
#include "kube/yaml.h"

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cstddef>
#include <optional>
#include <vector>

namespace kled::gitops::cloud {

namespace json = boost::json;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t longest_part = 200;
constexpr std::size_t longest_kubeconfig = 256U << 10U;
// The cluster counts from the date in it, whatever X-Amz-Expires says.
constexpr auto eks_token_life = 15min;

bool is_part(std::string_view text, std::string_view others) {
    return !text.empty() && text.size() <= longest_part && text.front() != '.' &&
           std::ranges::all_of(text, [&](unsigned char c) {
               return std::isalnum(c) != 0 ||
                      others.find(static_cast<char>(c)) != std::string_view::npos;
           });
}

bool same_word(std::string_view a, std::string_view b) {
    return std::ranges::equal(
        a, b, [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

std::vector<std::string> split(std::string_view text, char by) {
    std::vector<std::string> parts;
    for (;;) {
        const auto at = text.find(by);
        parts.emplace_back(text.substr(0, at));
        if (at == std::string_view::npos || parts.size() > 16) return parts;
        text.remove_prefix(at + 1);
    }
}

/// Whether the parts at even places are `words`, and those between them names.
bool is_path(const std::vector<std::string>& parts, const std::vector<std::string_view>& words,
             std::string_view others) {
    if (parts.size() != words.size() * 2) return false;
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (!same_word(parts[2 * i], words[i]) || !is_part(parts[2 * i + 1], others)) return false;
    }
    return true;
}

bool read_arn(CloudCluster& cluster) {
    const auto parts = split(cluster.resource, ':');
    constexpr std::string_view kind = "cluster/";
    if (parts.size() != 6 || parts[0] != "arn" || !parts[1].starts_with("aws") ||
        !is_part(parts[1], "-") || parts[2] != "eks" || !is_aws_region(parts[3]) ||
        parts[4].empty() ||
        !std::ranges::all_of(parts[4], [](unsigned char c) { return std::isdigit(c) != 0; }) ||
        !parts[5].starts_with(kind))
        return false;
    cluster.region = parts[3];
    cluster.name = parts[5].substr(kind.size());
    return is_part(cluster.name, "-_") && std::isalnum(static_cast<unsigned char>(cluster.name[0]));
}

std::string_view text_in(const json::object& fields, std::initializer_list<std::string_view> path) {
    const auto* value = kube::find(fields, path);
    return value != nullptr && value->is_string() ? std::string_view{value->get_string()}
                                                  : std::string_view{};
}

/// The first cluster of a kubeconfig; the user in it runs a program, and is of no use here.
void read_kubeconfig(std::string_view base64, ClusterPlace& place) {
    const auto text = from_base64(base64);
    if (!text || text->size() > longest_kubeconfig) return;
    kube::YamlOptions limits;
    limits.max_depth = 32;
    limits.max_nodes = 10'000;
    const auto config = kube::parse_yaml(*text, limits);
    const auto* clusters = config.is_object() ? kube::find(config, {"clusters"}) : nullptr;
    if (clusters == nullptr || !clusters->is_array() || clusters->get_array().empty() ||
        !clusters->get_array().front().is_object())
        return;
    const auto& first = clusters->get_array().front().get_object();
    place.server = text_in(first, {"cluster", "server"});
    place.ca_pem =
        from_base64(text_in(first, {"cluster", "certificate-authority-data"})).value_or("");
}

void read(const CloudCluster& cluster, const json::object& answer, ClusterPlace& place) {
    if (cluster.cloud == "aws") {
        place.server = text_in(answer, {"cluster", "endpoint"});
        place.ca_pem =
            from_base64(text_in(answer, {"cluster", "certificateAuthority", "data"})).value_or("");
    } else if (cluster.cloud == "gcp") {
        place.server = text_in(answer, {"endpoint"});
        place.ca_pem =
            from_base64(text_in(answer, {"masterAuth", "clusterCaCertificate"})).value_or("");
    } else {
        const auto* all = answer.if_contains("kubeconfigs");
        if (all != nullptr && all->is_array() && !all->get_array().empty() &&
            all->get_array().front().is_object())
            read_kubeconfig(text_in(all->get_array().front().get_object(), {"value"}), place);
    }
}

}  // namespace

bool has_clusters(std::string_view cloud) {
    return cloud == "aws" || cloud == "azure" || cloud == "gcp";
}

CloudCluster CloudCluster::parse(const std::string& cloud, const std::string& resource) {
    CloudCluster cluster;
    cluster.cloud = cloud;
    cluster.resource = resource;
    if (cloud == "aws") {
        if (!read_arn(cluster)) {
            throw Error{ErrorKind::invalid,
                        "is no cluster of EKS: arn:aws:eks:REGION:ACCOUNT:cluster/NAME"};
        }
        return cluster;
    }
    if (resource.empty()) return cluster;
    if (cloud == "azure") {
        const std::vector<std::string_view> words{"subscriptions", "resourceGroups", "providers",
                                                  "managedClusters"};
        const bool absolute = resource.starts_with('/');
        const auto parts = split(std::string_view{resource}.substr(absolute ? 1 : 0), '/');
        if (!absolute || !is_path(parts, words, "-_.()") ||
            !same_word(parts[5], "Microsoft.ContainerService")) {
            throw Error{ErrorKind::invalid,
                        "is no cluster of AKS: /subscriptions/ID/resourceGroups/GROUP/providers/"
                        "Microsoft.ContainerService/managedClusters/NAME"};
        }
        cluster.name = parts.back();
    } else {
        const std::vector<std::string_view> words{"projects", "locations", "clusters"};
        const auto parts = split(resource, '/');
        if (!is_path(parts, words, "-_.:")) {
            throw Error{ErrorKind::invalid,
                        "is no cluster of GKE: projects/PROJECT/locations/PLACE/clusters/NAME"};
        }
        cluster.name = parts.back();
    }
    return cluster;
}

AwsService eks_of(const CloudCluster& cluster) {
    AwsService api;
    api.host = "eks." + cluster.region + "." + aws_domain(cluster.region);
    api.region = cluster.region;
    api.name = "eks";
    return api;
}

net::Request eks_request(const CloudCluster& cluster, const AwsCredentials& credentials,
                         WallTime now) {
    net::Request request;
    request.target = "/clusters/" + cluster.name;
    request.headers.set("Accept", "application/json");
    sign_aws(request, eks_of(cluster), credentials, now);
    return request;
}

kube::IssuedToken eks_token(const CloudCluster& cluster, const AwsCredentials& credentials,
                            WallTime now) {
    s3::Signable question;
    question.query = {{"Action", "GetCallerIdentity"}, {"Version", "2011-06-15"}};
    const auto host = "sts." + cluster.region + "." + aws_domain(cluster.region);
    // So that it is good for no other cluster.
    question.headers = {{"host", host}, {"x-k8s-aws-id", cluster.name}};
    question.payload_sha256 = crypto::sha256_hex("");
    const s3::Scope scope{.date = s3::amz_date(now), .region = cluster.region, .service = "sts"};
    auto url = "https://" + host + "/?" +
               s3::presigned_query(std::move(question), scope, credentials.keys,
                                   credentials.session_token.get(), eks_token_life);
    kube::IssuedToken token;
    token.text = std::make_shared<const Secret>("k8s-aws-v1." + to_base64url(url));
    wipe(url);
    token.issued = now;
    token.expires = std::min(now + eks_token_life, credentials.expires);
    return token;
}

net::Request aks_request(const CloudCluster& cluster, const Secret& token) {
    net::Request request;
    request.method = "POST";
    request.target =
        s3::encode_path(cluster.resource) + "/listClusterUserCredential?api-version=2024-09-01";
    request.headers.set("Authorization", "Bearer " + std::string{token.reveal()});
    request.headers.set("Accept", "application/json");
    return request;
}

net::Request gke_request(const CloudCluster& cluster, const Secret& token) {
    net::Request request;
    request.target = "/v1/" + s3::encode_path(cluster.resource);
    request.headers.set("Authorization", "Bearer " + std::string{token.reveal()});
    request.headers.set("Accept", "application/json");
    return request;
}

ClusterPlace read_place(const CloudCluster& cluster, std::string_view body) {
    ClusterPlace place;
    try {
        const auto answer = kube::parse_json(body, 64);
        if (answer.is_object()) read(cluster, answer.get_object(), place);
    } catch (const Error&) {  // it may have a kubeconfig in it: no word of that
        place = {};
    }
    constexpr std::string_view begin = "-----BEGIN CERTIFICATE-----";
    if (place.server.empty() || place.ca_pem.find(begin) == std::string::npos) {
        throw Error{ErrorKind::invalid,
                    "the answer about cluster " + cluster.name + " has no address and certificate"};
    }
    return place;
}

}  // namespace kled::gitops::cloud
