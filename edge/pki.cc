#include "edge/pki.h"

#include "base/error.h"
#include "base/file.h"
#include "edge/names.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

namespace kled::edge {

namespace fs = std::filesystem;

namespace {

constexpr std::chrono::hours year{24 * 365};
constexpr std::chrono::hours device_lifetime = year;

/// Two programs that start together must not each make a CA.
FileDescriptor locked(const fs::path& directory) {
    make_directories(directory, 0700);
    const auto path = directory / "lock";
    FileDescriptor fd{::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
    if (!fd || ::flock(fd.get(), LOCK_EX) != 0) throw from_errno(errno, path.string());
    return fd;
}

crypto::CertificateAuthority open_ca(const fs::path& directory, const std::string& which,
                                     const std::string& name) {
    const auto lock = locked(directory);
    make_directories(directory / which, 0700);
    return crypto::CertificateAuthority::open(directory / which, name);
}

}  // namespace

Pki::Pki(const fs::path& state)
    : directory_{state / "pki"},
      devices_{open_ca(directory_, "devices", "kled edge devices")},
      servers_{open_ca(directory_, "servers", "kled edge servers")} {}

const std::string& Pki::server_ca_pem() const noexcept { return servers_.certificate_pem(); }
const std::string& Pki::device_ca_pem() const noexcept { return devices_.certificate_pem(); }

std::string Pki::certify_device(std::string_view request_pem, std::string_view device) const {
    const crypto::Issue issue{.subject = {.common_name = std::string{device}, .organizations = {}},
                              .names = {},
                              .server = false,
                              .client = true,
                              .lifetime = device_lifetime};
    return devices_.sign(request_pem, issue);
}

MqttTls Pki::hub_client() const {
    const MqttTls files{.ca = directory_ / "servers" / "ca.crt",
                        .certificate = directory_ / "hub.crt",
                        .key = directory_ / "hub.key"};
    const auto credential =
        devices_.issue({.subject = {.common_name = std::string{hub_user}, .organizations = {}},
                        .names = {},
                        .server = false,
                        .client = true,
                        .lifetime = year});
    write_file_atomic(files.key, credential.key_pem.reveal(), 0600);
    write_file_atomic(files.certificate, credential.certificate_pem);
    return files;
}

crypto::Credential Pki::server(const std::vector<std::string>& names) const {
    return servers_.issue(
        {.subject = {.common_name = names.empty() ? "kled" : names.front(), .organizations = {}},
         .names = names,
         .server = true,
         .client = false,
         .lifetime = year});
}

std::string Pki::crl() const {
    std::vector<std::string> serials;
    std::string text = read_file_if_exists(directory_ / "revoked").value_or("");
    for (std::size_t begin = 0; begin < text.size();) {
        const auto end = std::min(text.find('\n', begin), text.size());
        if (end > begin) serials.push_back(text.substr(begin, end - begin));
        begin = end + 1;
    }
    return devices_.crl(serials, 10 * year);
}

fs::path write_broker_files(const BrokerOptions& options) {
    const Pki pki{options.state};
    const auto directory = fs::absolute(options.state / "broker");
    make_directories(directory, 0700);

    auto names = options.names;
    for (const auto* own : {"localhost", "127.0.0.1"})
        if (!std::ranges::count(names, own)) names.emplace_back(own);
    if (options.host != "0.0.0.0" && options.host != "::" &&
        !std::ranges::count(names, options.host))
        names.push_back(options.host);
    const auto credential = pki.server(names);
    write_file_atomic(directory / "server.key", credential.key_pem.reveal(), 0600);
    write_file_atomic(directory / "server.crt", credential.certificate_pem);
    write_file_atomic(directory / "devices.crt", pki.device_ca_pem());
    write_file_atomic(directory / "crl.pem", pki.crl());

    // Each device reads and writes its own topics; nobody but the hub reads `up`.
    write_file_atomic(directory / "acl",
                      "pattern read kled/v1/+/d/%u/dn/#\n"
                      "pattern read kled/v1/+/all/#\n"
                      "pattern read kled/v1/+/hub\n"
                      "pattern write kled/v1/+/d/%u/up/#\n"
                      "\n"
                      "user " +
                          std::string{hub_user} +
                          "\n"
                          "topic readwrite kled/v1/#\n");

    const auto* account = options.user.empty() ? nullptr : ::getpwnam(options.user.c_str());
    if (!options.user.empty() && account == nullptr)
        throw Error{ErrorKind::not_found, "there is no user \"" + options.user + "\""};
    const auto* self = account == nullptr ? ::getpwuid(::geteuid()) : account;
    const auto in = [&directory](std::string_view file) { return (directory / file).string(); };
    write_file_atomic(
        directory / "mosquitto.conf",
        "# Written by `kled edge broker run` at each start.\n"
        "# The broker is a wire: what must not be lost lives in the hub and on the devices.\n"
        "persistence false\n"
        "user " +
            std::string{self == nullptr ? "mosquitto" : self->pw_name} +
            "\n"
            "log_dest stderr\n"
            "log_type error\nlog_type warning\nlog_type notice\nlog_type information\n"
            "connection_messages true\n"
            "per_listener_settings false\n"
            "allow_anonymous false\n"
            "acl_file " +
            in("acl") +
            "\n"
            "max_packet_size 262144\n"
            "max_queued_messages 256\n"
            "max_queued_bytes 1048576\n"
            "persistent_client_expiration 1h\n"
            "\n"
            "listener " +
            std::to_string(options.port) + " " + options.host +
            "\n"
            "cafile " +
            in("devices.crt") +
            "\n"
            "certfile " +
            in("server.crt") +
            "\n"
            "keyfile " +
            in("server.key") +
            "\n"
            "crlfile " +
            in("crl.pem") +
            "\n"
            "tls_version tlsv1.2\n"
            "require_certificate true\n"
            "use_identity_as_username true\n");
    if (account != nullptr && ::geteuid() == 0) {
        // Only what the broker reads becomes its own.
        for (const auto* file :
             {".", "server.key", "server.crt", "devices.crt", "crl.pem", "acl", "mosquitto.conf"}) {
            if (::chown((directory / file).c_str(), account->pw_uid, account->pw_gid) != 0)
                throw from_errno(errno, (directory / file).string());
        }
    }
    return directory / "mosquitto.conf";
}

}  // namespace kled::edge
