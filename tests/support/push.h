/// Artifacts for a registry, pushed as `flux push artifact` does.
#pragma once

#include "base/error.h"
#include "crypto/hash.h"
#include "net/http_client.h"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/this_coro.hpp>

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace kled::testing {

inline constexpr auto flux_config = "application/vnd.cncf.flux.config.v1+json";
inline constexpr auto flux_content = "application/vnd.cncf.flux.content.v1.tar+gzip";

inline std::string digest_of(const std::string& bytes) {
    return "sha256:" + crypto::sha256_hex(bytes);
}

struct OciArtifact {
    struct Layer {
        std::string bytes;
        std::string media_type = flux_content;
        std::map<std::string, std::string> annotations{};
    };
    std::vector<Layer> layers;
    std::map<std::string, std::string> annotations{};

    [[nodiscard]] std::string manifest() const {
        std::string text =
            R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",)"
            R"("config":{"mediaType":")" +
            std::string{flux_config} + R"(","digest":")" + digest_of("{}") +
            R"(","size":2},"layers":[)";
        for (const auto& layer : layers) {
            text +=
                (text.ends_with('[') ? "" : ",") + std::string{R"({"mediaType":")"} +
                layer.media_type + R"(","digest":")" + digest_of(layer.bytes) + R"(","size":)" +
                std::to_string(layer.bytes.size()) +
                (layer.annotations.empty() ? "" : ",\"annotations\":" + json(layer.annotations)) +
                "}";
        }
        return text + R"(],"annotations":)" + json(annotations) + "}";
    }
    static std::string json(const std::map<std::string, std::string>& values) {
        std::string text = "{";
        for (const auto& [key, value] : values)
            text += (text.ends_with('{') ? "\"" : ",\"") + key + "\":\"" + value + "\"";
        return text + "}";
    }
    [[nodiscard]] std::string digest() const { return digest_of(manifest()); }
};

/// Over http and without credentials, what it names being there. Error(unavailable) as below.
inline boost::asio::awaitable<void> push_manifest(std::string host, std::string repository,
                                                  std::string tag, std::string type,
                                                  std::string manifest) {
    const auto loop = co_await boost::asio::this_coro::executor;
    net::HttpClient http{loop, net::parse_url("http://" + host), net::ClientOptions()};
    net::Request put;
    put.method = "PUT";
    put.target = "/v2/" + repository + "/manifests/" + tag;
    put.headers.set("Content-Type", type);
    put.body = std::move(manifest);
    const auto done = co_await http.send(std::move(put));
    if (done.status != 201)
        throw Error{ErrorKind::unavailable,
                    "push: " + std::to_string(done.status) + " " + done.body};
}

/// Over http and without credentials. Error(unavailable) when the registry does not take it.
inline boost::asio::awaitable<void> push(std::string host, std::string repository, std::string tag,
                                         OciArtifact artifact) {
    const auto loop = co_await boost::asio::this_coro::executor;
    net::HttpClient http{loop, net::parse_url("http://" + host), net::ClientOptions()};
    const auto require = [](const net::Response& response, unsigned status) {
        if (response.status != status)
            throw Error{ErrorKind::unavailable,
                        "push: " + std::to_string(response.status) + " " + response.body};
    };
    std::vector<std::string> blobs{"{}"};
    for (const auto& layer : artifact.layers) blobs.push_back(layer.bytes);
    for (const auto& blob : blobs) {
        net::Request begin;
        begin.method = "POST";
        begin.target = "/v2/" + repository + "/blobs/uploads/";
        const auto begun = co_await http.send(std::move(begin));
        require(begun, 202);
        net::Request upload;
        upload.method = "PUT";
        upload.target =
            net::parse_url(begun.headers.get("Location")).target + "&digest=" + digest_of(blob);
        upload.headers.set("Content-Type", "application/octet-stream");
        upload.body = blob;
        const auto uploaded = co_await http.send(std::move(upload));
        require(uploaded, 201);
    }
    auto manifest = artifact.manifest();
    co_await push_manifest(host, repository, tag, "application/vnd.oci.image.manifest.v1+json",
                           std::move(manifest));
}

}  // namespace kled::testing
