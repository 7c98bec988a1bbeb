#include "kube/kubeconfig.h"

#include "base/encoding.h"
#include "base/error.h"
#include "base/file.h"
#include "kube/object.h"
#include "kube/yaml.h"

#include <cstdlib>

namespace kled::kube {

namespace {

namespace fs = std::filesystem;

/// A named entry (`clusters[].cluster`, …) and the file that has it.
struct Entry {
    json::object fields;
    fs::path file;
    std::string where;  // "cluster \"kind\""

    [[nodiscard]] std::string text(std::string_view key) const {
        const auto* const value = fields.if_contains(key);
        if (value == nullptr || value->is_null()) return {};
        if (!value->is_string()) throw wrong(key, "must be a string");
        return std::string{value->get_string()};
    }
    [[nodiscard]] bool flag(std::string_view key) const {
        const auto* const value = fields.if_contains(key);
        if (value == nullptr || value->is_null()) return false;
        if (!value->is_bool()) throw wrong(key, "must be true or false");
        return value->get_bool();
    }
    /// `<key>` is a path relative to the file, `<key>-data` the bytes in base64; the data wins.
    [[nodiscard]] Material material(std::string_view key) const {
        Material material;
        const auto data_key = std::string{key} + "-data";
        if (const auto data = text(data_key); !data.empty()) {
            auto bytes = from_base64(data);
            if (!bytes) throw wrong(data_key, "is not base64");
            material.text = std::make_shared<const Secret>(*std::move(bytes));
        } else {
            material.file = path(key);
        }
        return material;
    }
    [[nodiscard]] fs::path path(std::string_view key) const {
        const auto name = text(key);
        return name.empty() ? fs::path{} : file.parent_path() / name;
    }
    [[nodiscard]] Error wrong(std::string_view key, const std::string& why) const {
        return {ErrorKind::invalid,
                file.string() + ": " + where + ": " + std::string{key} + " " + why};
    }
};

/// The merged view of some files.
class Kubeconfig {
public:
    void add(const fs::path& file, std::string_view text) {
        YamlOptions options;
        options.dialect = YamlDialect::configuration;
        options.file = file.string();
        auto value = parse_yaml(text, options);
        if (value.is_null()) return;
        if (!value.is_object()) {
            throw Error{ErrorKind::invalid, file.string() + ": a kubeconfig must be a mapping"};
        }
        files_.emplace_back(file, std::move(value.get_object()));
    }
    [[nodiscard]] std::size_t size() const noexcept { return files_.size(); }

    [[nodiscard]] std::string current_context() const {
        for (const auto& [file, fields] : files_) {
            const auto name = find_string(fields, {"current-context"});
            if (!name.empty()) return std::string{name};
        }
        return {};
    }

    /// `lists[name=name].<key>`.
    [[nodiscard]] std::optional<Entry> entry(std::string_view list, std::string_view key,
                                             std::string_view name) const {
        for (const auto& [file, fields] : files_) {
            const auto* const entries = fields.if_contains(list);
            if (entries == nullptr || !entries->is_array()) continue;
            for (const auto& item : entries->get_array()) {
                const auto* const named = item.if_object();
                if (named == nullptr || find_string(*named, {"name"}) != name) continue;
                const auto* const content = named->if_contains(key);
                Entry found;
                if (content != nullptr && content->is_object())
                    found.fields = content->get_object();
                found.file = file;
                found.where = std::string{key} + " \"" + std::string{name} + "\"";
                return found;
            }
        }
        return std::nullopt;
    }

    [[nodiscard]] std::string names() const {
        std::string all;
        for (const auto& [file, fields] : files_) {
            if (!all.empty()) all += ":";
            all += file.string();
        }
        return all;
    }

private:
    std::vector<std::pair<fs::path, json::object>> files_;
};

ExecPlugin read_exec(const Entry& user, const json::object& fields) {
    Entry exec;
    exec.fields = fields;
    exec.file = user.file;
    exec.where = user.where + ": exec";
    ExecPlugin plugin;
    plugin.api_version = exec.text("apiVersion");
    if (plugin.api_version != "client.authentication.k8s.io/v1" &&
        plugin.api_version != "client.authentication.k8s.io/v1beta1")
        throw exec.wrong("apiVersion", "must be client.authentication.k8s.io/v1 or v1beta1");
    auto command = exec.text("command");
    if (command.empty()) throw exec.wrong("command", "is missing");
    if (command.find('/') != std::string::npos)
        command = (exec.file.parent_path() / command).string();
    if (exec.text("interactiveMode") == "Always")
        throw exec.wrong("interactiveMode", "is Always, but kled has no terminal for it");
    plugin.argv.push_back(std::move(command));
    const auto* const args = fields.if_contains("args");
    if (args != nullptr && args->is_array()) {
        for (const auto& arg : args->get_array()) {
            if (!arg.is_string()) throw exec.wrong("args", "must be strings");
            plugin.argv.emplace_back(arg.get_string());
        }
    }
    const auto* const env = fields.if_contains("env");
    if (env != nullptr && env->is_array()) {
        for (const auto& item : env->get_array()) {
            if (!item.is_object()) throw exec.wrong("env", "must be a list of name and value");
            const auto& pair = item.get_object();
            plugin.env.emplace_back(find_string(pair, {"name"}), find_string(pair, {"value"}));
        }
    }
    plugin.install_hint = exec.text("installHint");
    plugin.provide_cluster_info = exec.flag("provideClusterInfo");
    return plugin;
}

void read_cluster(const Entry& cluster, ClusterAccess& access) {
    const auto server = cluster.text("server");
    if (server.empty()) throw cluster.wrong("server", "is missing");
    access.server = net::parse_url(server);
    if (access.server.scheme == "unix")
        throw cluster.wrong("server", "must be http:// or https://");
    access.ca = cluster.material("certificate-authority");
    access.tls_server_name = cluster.text("tls-server-name");
    access.insecure = cluster.flag("insecure-skip-tls-verify");
    access.proxy = cluster.text("proxy-url");
    if (access.insecure && !access.ca.empty())
        throw cluster.wrong("insecure-skip-tls-verify", "cannot be set together with a CA");
}

void read_user(const Entry& user, ClusterAccess& access) {
    access.certificate = user.material("client-certificate");
    access.key = user.material("client-key");
    if (access.certificate.empty() != access.key.empty())
        throw user.wrong("client-certificate", "and client-key go together");
    // As client-go: the file wins over the token beside it, because it can be renewed.
    access.token.file = user.path("tokenFile");
    if (auto token = user.text("token"); !token.empty() && access.token.file.empty())
        access.token.text = std::make_shared<const Secret>(std::move(token));
    access.user = user.text("username");
    access.password = std::make_shared<const Secret>(user.text("password"));
    const auto* const exec = user.fields.if_contains("exec");
    if (exec != nullptr && exec->is_object()) access.exec = read_exec(user, exec->get_object());
    const auto* const provider = user.fields.if_contains("auth-provider");
    if (provider != nullptr && !provider->is_null()) {
        throw user.wrong("auth-provider",
                         "was removed from Kubernetes; use an exec plugin instead");
    }
}

ClusterAccess resolve(const Kubeconfig& config, const std::string& context) {
    const auto name = context.empty() ? config.current_context() : context;
    if (name.empty()) {
        throw Error{ErrorKind::invalid, "kubeconfig " + config.names() +
                                            ": has no current-context; name one with --context or "
                                            "`kubectl config use-context`"};
    }
    const auto chosen = config.entry("contexts", "context", name);
    if (!chosen) {
        throw Error{ErrorKind::not_found,
                    "kubeconfig " + config.names() + ": no context \"" + name + "\""};
    }
    const auto cluster = config.entry("clusters", "cluster", chosen->text("cluster"));
    if (!cluster)
        throw chosen->wrong("cluster", "\"" + chosen->text("cluster") + "\" is not defined");

    ClusterAccess access;
    access.source = "context " + name + " of " + config.names();
    read_cluster(*cluster, access);
    if (const auto user_name = chosen->text("user"); !user_name.empty()) {
        const auto user = config.entry("users", "user", user_name);
        if (!user) throw chosen->wrong("user", "\"" + user_name + "\" is not defined");
        read_user(*user, access);
    }
    if (auto ns = chosen->text("namespace"); !ns.empty()) access.ns = std::move(ns);
    return access;
}

/// What the text of somebody else must not name: files and programs here, a server that is not
/// checked.
void refuse_what_is_ours(const ClusterAccess& access) {
    const auto refuse = [&](const std::string& what) {
        throw Error{ErrorKind::invalid, access.source + ": " + what};
    };
    for (const auto& [name, material] : {std::pair{"certificate-authority", &access.ca},
                                         {"client-certificate", &access.certificate},
                                         {"client-key", &access.key}}) {
        if (!material->file.empty())
            refuse(std::string{name} + " is a file; use " + name + "-data");
    }
    if (!access.token.file.empty()) refuse("tokenFile is a file; use token");
    if (access.exec) refuse("exec plugins are not run for a kubeconfig of the cluster");
    if (access.insecure) refuse("insecure-skip-tls-verify is not allowed here");
}

}  // namespace

std::vector<fs::path> kubeconfig_files() {
    std::vector<fs::path> files;
    if (const char* const list = std::getenv("KUBECONFIG"); list != nullptr && *list != '\0') {
        std::string_view rest = list;
        while (!rest.empty()) {
            const auto one = rest.substr(0, rest.find(':'));
            rest.remove_prefix(std::min(rest.size(), one.size() + 1));
            if (!one.empty()) files.emplace_back(one);
        }
        return files;
    }
    if (const char* const home = std::getenv("HOME"); home != nullptr && *home != '\0') {
        auto file = fs::path{home} / ".kube" / "config";
        std::error_code ignored;
        if (fs::exists(file, ignored)) files.push_back(std::move(file));
    }
    return files;
}

ClusterAccess load_kubeconfig(const std::vector<fs::path>& files, const std::string& context) {
    Kubeconfig config;
    for (const auto& file : files) {
        if (const auto text = read_file_if_exists(file)) config.add(fs::absolute(file), *text);
    }
    if (config.size() == 0) {
        std::string names;
        for (const auto& file : files) names += (names.empty() ? "" : ":") + file.string();
        throw Error{ErrorKind::not_found, "kubeconfig " + names + ": no such file"};
    }

    return resolve(config, context);
}

ClusterAccess read_kubeconfig(std::string_view text, const std::string& name) {
    Kubeconfig config;
    config.add(name, text);
    auto access = resolve(config, {});
    refuse_what_is_ours(access);
    return access;
}

std::optional<ClusterAccess> in_cluster_access(const fs::path& directory) {
    const char* const host = std::getenv("KUBERNETES_SERVICE_HOST");
    const char* const port = std::getenv("KUBERNETES_SERVICE_PORT");
    if (host == nullptr || port == nullptr || *host == '\0' || *port == '\0') return std::nullopt;
    if (!read_file_if_exists(directory / "token")) return std::nullopt;
    ClusterAccess access;
    access.source = "in-cluster";
    const std::string name = host;
    const auto authority = name.find(':') == std::string::npos ? name : "[" + name + "]";
    access.server = net::parse_url("https://" + authority + ":" + port);
    access.ca.file = directory / "ca.crt";
    access.token.file = directory / "token";
    if (auto ns = read_file_if_exists(directory / "namespace"); ns && !ns->empty())
        access.ns = *std::move(ns);
    return access;
}

}  // namespace kled::kube
