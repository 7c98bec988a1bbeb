/// For tests of OCIRepositories in a cluster: artifacts in a real registry, in Flux's media types,
/// and the objects that they bring.
#pragma once

#include "base/file.h"
#include "crypto/hash.h"
#include "gitops/git/gzip.h"
#include "gitops/testing/cluster_world.h"
#include "tests/support/push.h"
#include "tests/support/registry.h"
#include "tests/support/tar.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kled::gitops::testing {

using kled::testing::OciArtifact;
using kled::testing::Registry;
using kled::testing::TarEntry;

inline std::string packed(const std::vector<TarEntry>& entries) {
    std::string result;
    git::GzipWriter gzip{[&](std::string_view bytes) { result += bytes; }};
    gzip.write(kled::testing::tar(entries));
    gzip.finish();
    return result;
}

inline OciArtifact artifact_of(const std::vector<TarEntry>& entries) {
    OciArtifact result;
    result.layers = {{.bytes = packed(entries)}};
    return result;
}

/// The namespace, and a ConfigMap by name and value.
inline std::vector<TarEntry> files(const std::map<std::string, std::string>& values) {
    std::vector<TarEntry> result{{.name = "./", .type = '5'},
                                 {.name = "./apps/web.yaml", .content = ClusterWorld::web()}};
    for (const auto& [name, value] : values) {
        result.push_back(
            {.name = "./apps/" + name + ".yaml", .content = ClusterWorld::config(name, value)});
    }
    return result;
}

class OciMode : public ::testing::Test {
protected:
    void SetUp() override {
        if (Registry::program().empty()) GTEST_SKIP() << "docker-registry is not installed";
        registry.emplace(storage());
        host = registry->host();
    }
    ~OciMode() override { world.stop_reconciler(); }

    [[nodiscard]] std::filesystem::path storage() const {
        return world.directory.path() / "registry";
    }
    void push(const std::string& tag, OciArtifact artifact) {
        world.sync(kled::testing::push(host, "team/app", tag, std::move(artifact)));
    }
    /// What the registry has of a blob on its disk.
    [[nodiscard]] std::filesystem::path stored(const std::string& bytes) const {
        const auto hex = crypto::sha256_hex(bytes);
        return storage() / "docker/registry/v2/blobs/sha256" / hex.substr(0, 2) / hex / "data";
    }
    /// With a password from now on.
    void ask_for_password() {
        registry.reset();
        const auto passwords = world.directory.path() / "htpasswd";
        write_file_atomic(passwords,
                          "reader:$2b$04$Bv0aaUqMqspVBLTha3X.1.zElMxAcX17I.huMTD/WRSxfc5qG9elq\n");
        registry.emplace(storage(),
                         "auth:\n  htpasswd: {realm: test, path: " + passwords.string() + "}\n");
        host = registry->host();
    }
    void apply_secret(const std::string& name, const std::string& config) {
        world.apply("apiVersion: v1\nkind: Secret\nmetadata: {name: " + name +
                    ", namespace: default}\ntype: kubernetes.io/dockerconfigjson\n"
                    "stringData: {.dockerconfigjson: '" +
                    config + "'}\n");
    }
    void apply_source(const std::string& more = "", const std::string& repository = "team/app") {
        world.apply(
            "apiVersion: source.toolkit.fluxcd.io/v1\nkind: OCIRepository\nmetadata: {name: app, "
            "namespace: default}\nspec:\n  url: oci://" +
            host + "/" + repository + "\n  interval: 10m\n  insecure: true\n" + more);
    }
    void apply_kustomization(const std::string& more = "") {
        world.apply(
            "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: "
            "apps, namespace: default}\nspec:\n  interval: 10m\n  retryInterval: 1s\n"
            "  path: apps\n  prune: true\n  sourceRef: {kind: OCIRepository, name: app}\n" +
            more);
    }
    std::optional<kube::Object> source() {
        return world.get("source.toolkit.fluxcd.io/v1", "OCIRepository", "default", "app");
    }
    std::string of_source(std::initializer_list<std::string_view> path) {
        const auto object = source();
        return object ? std::string{kube::find_string(object->fields(), path)} : "absent";
    }
    std::string revision() { return of_source({"status", "artifact", "revision"}); }
    /// What the Kustomization says that its artifact was made of.
    std::string origin() {
        const auto apps =
            world.get("kustomize.toolkit.fluxcd.io/v1", "Kustomization", "default", "apps");
        return std::string{
            kube::find_string(apps->fields(), {"status", "lastAppliedOriginRevision"})};
    }
    /// Until the condition has this reason; what it says then.
    std::string says(const std::string& type, const std::string& reason) {
        std::string message;
        const bool so = world.eventually([&] {
            const auto object = source();
            const auto conditions = Conditions::from_status(object ? object->status() : nullptr);
            const auto* condition = conditions.find(type);
            if (condition == nullptr) return false;
            message = condition->message;
            return condition->reason == reason &&
                   condition->observed_generation == object->generation();
        });
        return so ? message : "(never " + reason + ") " + message;
    }
    bool has(const std::string& name, const std::string& value) {
        return world.eventually([&] { return world.value(name) == value; });
    }
    bool reconciled() { return world.reconciled("oci/app"); }

    ClusterWorld world;
    std::optional<Registry> registry;
    std::string host;
};

}  // namespace kled::gitops::testing
