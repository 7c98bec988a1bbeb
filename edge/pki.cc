#include "edge/pki.h"

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "edge/names.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <system_error>
#include <utility>

namespace kled::edge {

namespace fs = std::filesystem;

namespace {

constexpr std::chrono::hours year{24 * 365};

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

std::vector<std::string> lines_of(const fs::path& file) {
    std::vector<std::string> lines;
    const auto text = read_file_if_exists(file).value_or("");
    for (std::size_t begin = 0; begin < text.size();) {
        const auto end = std::min(text.find('\n', begin), text.size());
        if (end > begin) lines.push_back(text.substr(begin, end - begin));
        begin = end + 1;
    }
    return lines;
}

std::string text_of(const std::vector<std::string>& lines) {
    std::string text;
    for (const auto& line : lines) text += line + "\n";
    return text;
}

/// New CAs beside the database of a hub would lock out every device that joined.
fs::path directory_of(const fs::path& state) {
    if (!Pki::exists(state) && fs::exists(state / "hub.db"))
        throw Error{ErrorKind::conflict,
                    state.string() +
                        ": holds the database of a hub, but its certificate authorities (pki/) are "
                        "gone: restore them from a backup"};
    return state / "pki";
}

}  // namespace

Pki::Pki(const fs::path& state)
    : directory_{directory_of(state)},
      devices_{open_ca(directory_, "devices", "kled edge devices")},
      servers_{open_ca(directory_, "servers", "kled edge servers")} {}

const std::string& Pki::server_ca_pem() const noexcept { return servers_.certificate_pem(); }
const std::string& Pki::device_ca_pem() const noexcept { return devices_.certificate_pem(); }

bool Pki::exists(const fs::path& state) {
    return fs::exists(state / "pki/devices/ca.crt") && fs::exists(state / "pki/servers/ca.crt");
}

std::string Pki::certify_device(std::string_view request_pem, std::string_view device,
                                std::chrono::seconds lifetime) const {
    const crypto::Issue issue{.subject = {.common_name = std::string{device}, .organizations = {}},
                              .names = {},
                              .server = false,
                              .client = true,
                              .lifetime = lifetime};
    return devices_.sign(request_pem, issue);
}

std::string Pki::renew_device(std::string_view present_pem, std::string_view request_pem,
                              std::string_view device, std::chrono::seconds lifetime) const {
    const auto present = devices_.verify(present_pem, std::chrono::system_clock::now());
    const auto deny = [](const std::string& why) {
        throw Error{ErrorKind::denied, "renewal refused: " + why};
    };
    if (present.common_name != device)
        deny("the certificate shown is of \"" + present.common_name + "\"");
    if (std::ranges::count(lines_of(directory_ / "revoked"), present.serial_hex) != 0)
        deny("the certificate shown is revoked");
    // The request is signed by its key (which `sign` looks at): who asks has it.
    if (crypto::request_key_id(request_pem) != present.key_id)
        deny("the request is not signed by the key of the certificate shown");
    return certify_device(request_pem, device, lifetime);
}

bool Pki::shut_out(const std::vector<std::string>& serials,
                   const std::vector<std::string>& devices) const {
    const auto lock = locked(directory_);
    // Lines of others stay: an administrator may revoke by hand.
    const auto before = lines_of(directory_ / "revoked");
    auto revoked = before;
    for (const auto& serial : serials)
        if (std::ranges::count(revoked, serial) == 0) revoked.push_back(serial);
    if (revoked == before && lines_of(directory_ / "removed") == devices) return false;
    write_file_atomic(directory_ / "revoked", text_of(revoked), 0600);
    write_file_atomic(directory_ / "removed", text_of(devices), 0600);
    return true;
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

std::string Pki::crl() const { return devices_.crl(lines_of(directory_ / "revoked"), 10 * year); }

namespace {

/// Each device reads and writes its own topics; nobody but the hub reads `up`. One that was removed
/// reads and writes nothing, also on a connection that is open.
std::string access_rules(const fs::path& state) {
    std::string text =
        "pattern read kled/v1/+/d/%u/dn/#\n"
        "pattern read kled/v1/+/all/#\n"
        "pattern read kled/v1/+/hub\n"
        "pattern write kled/v1/+/d/%u/up/#\n"
        "\n"
        "user " +
        std::string{hub_user} +
        "\n"
        "topic readwrite kled/v1/#\n";
    for (const auto& device : lines_of(state / "pki/removed"))
        text += "\nuser " + device + "\ntopic deny #\n";
    return text;
}

/// In place of a file that the broker's user owns, where it does.
void replace_file(const fs::path& path, const std::string& text) {
    struct stat before{};
    const bool known = ::stat(path.c_str(), &before) == 0;
    write_file_atomic(path, text);
    if (known && before.st_uid != ::geteuid() && ::geteuid() == 0 &&
        ::chown(path.c_str(), before.st_uid, before.st_gid) != 0)
        throw from_errno(errno, path.string());
}

/// Field 22 of proc_pid_stat(5): with the pid it names a process for as long as the machine is up.
std::string start_time(const std::string& pid) {
    const auto text = read_file_if_exists("/proc/" + pid + "/stat", 4096).value_or("");
    auto at = text.rfind(')');  // the name before it may hold anything
    constexpr int fields_between = 20;
    for (int i = 0; i < fields_between && at != std::string::npos; ++i) at = text.find(' ', at + 1);
    if (at == std::string::npos) return {};
    return text.substr(at + 1, text.find(' ', at + 1) - at - 1);
}

/// A folder without CAs in which there is something else: making new ones would lock out all who
/// joined, or nobody would ever look there.
void refuse_strange_state(const fs::path& state) {
    for (const auto& [file, what] :
         {std::pair{state.parent_path() / "agent.json",
                    "the state of a kled-agent: name the hub's with --state"},
          std::pair{state.parent_path() / "hub.db",
                    "the database of a hub: name the folder above it with --state"}}) {
        if (fs::exists(file))
            throw Error{ErrorKind::conflict, file.parent_path().string() + ": holds " + what};
    }
}

}  // namespace

void note_broker(const fs::path& state, int pid) {
    const auto number = std::to_string(pid);
    write_file_atomic(state / "broker/pid", number + " " + start_time(number) + "\n", 0600);
}

std::string update_broker_access(const fs::path& state) {
    const auto directory = state / "broker";
    try {
        if (!fs::exists(directory / "mosquitto.conf"))
            return "the broker's files are not in " + directory.string() +
                   ": write them anew with `kled edge broker run` where they are, and restart it";
        replace_file(directory / "crl.pem", Pki{state}.crl());
        replace_file(directory / "acl", access_rules(state));
    } catch (const Error& error) {
        return error.what();
    }
    const auto noted = read_file_if_exists(directory / "pid", 64).value_or("");
    const auto pid = noted.substr(0, noted.find(' '));
    const auto number = std::atoi(pid.c_str());
    if (number <= 1 || pid + " " + start_time(pid) + "\n" != noted)
        return "no broker that `kled edge broker run` started runs on " + directory.string() +
               ": give it these files and restart it";
    if (::kill(number, SIGHUP) != 0)
        return "the broker (process " + pid +
               ") cannot be told: " + std::generic_category().message(errno) + "; restart it";
    return {};
}

fs::path write_broker_files(const BrokerOptions& options) {
    const bool fresh = !Pki::exists(options.state);
    if (fresh) refuse_strange_state(fs::absolute(options.state));
    const Pki pki{options.state};
    if (fresh) {
        log::warn("edge",
                  "no certificate authorities here yet: made new ones; the hub has to run on the "
                  "same --state",
                  {{"folder", fs::absolute(options.state / "pki").string()}});
    }
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

    write_file_atomic(directory / "acl", access_rules(options.state));

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
