#include "edge/hub_store.h"

#include "base/error.h"
#include "edge/fields.h"
#include "kube/object.h"

#include <algorithm>
#include <set>
#include <utility>

namespace kled::edge {

namespace {

store::OpenOptions schema() {
    return {.migrations = {{1, R"(
        CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
        CREATE TABLE devices (
            name TEXT PRIMARY KEY, sealing TEXT NOT NULL, labels TEXT NOT NULL,
            hold INTEGER NOT NULL, gen INTEGER NOT NULL, document TEXT NOT NULL,
            secrets TEXT NOT NULL, session INTEGER NOT NULL, session_id TEXT NOT NULL,
            hello INTEGER NOT NULL, seq INTEGER NOT NULL, agent TEXT NOT NULL, arch TEXT NOT NULL,
            protocol INTEGER NOT NULL, refused TEXT NOT NULL, report TEXT NOT NULL,
            online INTEGER NOT NULL, last_seen INTEGER NOT NULL) STRICT, WITHOUT ROWID;
        CREATE TABLE deployments (
            name TEXT PRIMARY KEY, revision TEXT NOT NULL, latest TEXT NOT NULL,
            selector TEXT NOT NULL,
            generation INTEGER NOT NULL, bundle TEXT NOT NULL,
            signature BLOB NOT NULL) STRICT, WITHOUT ROWID;
        CREATE TABLE blobs (digest TEXT PRIMARY KEY, wire BLOB NOT NULL) STRICT;
        CREATE TABLE secrets (
            deployment TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
            sealed BLOB NOT NULL, PRIMARY KEY (deployment, namespace, name)) STRICT, WITHOUT ROWID;
        CREATE TABLE tokens (
            hash TEXT PRIMARY KEY, device TEXT NOT NULL, labels TEXT NOT NULL,
            expires INTEGER NOT NULL, used_by TEXT NOT NULL,
            used_key TEXT NOT NULL) STRICT, WITHOUT ROWID;
    )"},
                           {2, R"(
        ALTER TABLE devices ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;
        UPDATE devices SET epoch = (SELECT value FROM meta WHERE key = 'epoch');
    )"},
                           {3, R"(
        CREATE TABLE certificates (
            serial TEXT PRIMARY KEY, device TEXT NOT NULL, key TEXT NOT NULL,
            not_after INTEGER NOT NULL, revoked INTEGER NOT NULL) STRICT, WITHOUT ROWID;
        CREATE INDEX certificates_device ON certificates (device);
        CREATE TABLE removed (name TEXT PRIMARY KEY, shown INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    )"}}};
}

std::int64_t seconds_of(WallTime time) {
    return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}
WallTime time_of(std::int64_t seconds) { return WallTime{std::chrono::seconds{seconds}}; }

std::string text_of(const Labels& labels) {
    json::object object;
    for (const auto& [key, value] : labels) object[key] = value;
    return kube::to_json(json::value(std::move(object)));
}
Labels labels_of(std::string_view text) {
    Labels labels;
    for (const auto& field : parse_message("labels", text, 1U << 20U))
        if (const auto* value = field.value().if_string()) labels.emplace(field.key(), *value);
    return labels;
}

std::string text_of(const std::optional<BlobRef>& blob) {
    if (!blob) return {};
    return kube::to_json(json::value(
        json::object{{"digest", blob->digest}, {"size", blob->size}, {"wire", blob->wire}}));
}
std::optional<BlobRef> blob_of(std::string_view text) {
    if (text.empty()) return std::nullopt;
    const auto object = parse_message("blob", text, 4096);
    return read_blob_ref({object, "blob"});
}

}  // namespace

HubStore::HubStore(const std::filesystem::path& path) : database_{path, schema()} {}

void HubStore::transaction(const std::function<void()>& work) { database_.transaction(work); }

std::uint64_t HubStore::epoch(WallTime now) {
    database_.execute("INSERT OR IGNORE INTO meta VALUES ('epoch', ?)", {seconds_of(now)});
    return static_cast<std::uint64_t>(
        database_.query_integer("SELECT value FROM meta WHERE key = 'epoch'").value());
}

std::map<std::string, DeviceRecord> HubStore::devices() {
    std::map<std::string, DeviceRecord> devices;
    database_.query(
        "SELECT name, sealing, labels, hold, gen, document, secrets, session, session_id, hello, "
        "seq, agent, arch, protocol, refused, report, online, last_seen, epoch FROM devices",
        {}, [&devices](const store::Row& row) {
            DeviceRecord device{
                .name = std::string{row.text(0)},
                .sealing = std::string{row.text(1)},
                .labels = labels_of(row.text(2)),
                .hold = row.integer(3) != 0,
                .at = {.epoch = static_cast<std::uint64_t>(row.integer(18)),
                       .gen = static_cast<std::uint64_t>(row.integer(4))},
                .document = blob_of(row.text(5)),
                .secrets = blob_of(row.text(6)),
                .session = {static_cast<std::uint64_t>(row.integer(7)), std::string{row.text(8)}},
                .hello = static_cast<std::uint64_t>(row.integer(9)),
                .seq = static_cast<std::uint64_t>(row.integer(10)),
                .agent = std::string{row.text(11)},
                .arch = std::string{row.text(12)},
                .protocol = static_cast<unsigned>(row.integer(13)),
                .refused = std::string{row.text(14)},
                .online = row.integer(16) != 0,
                .last_seen = time_of(row.integer(17))};
            if (const auto report = row.text(15); !report.empty())
                device.report = parse_report(report);
            auto name = device.name;
            devices.emplace(std::move(name), std::move(device));
            return true;
        });
    return devices;
}

void HubStore::put_device(const DeviceRecord& d) {
    database_.execute(
        "INSERT OR REPLACE INTO devices VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
        {d.name, d.sealing, text_of(d.labels), d.hold ? 1 : 0, d.at.gen, text_of(d.document),
         text_of(d.secrets), d.session.counter, d.session.id, d.hello, d.seq, d.agent, d.arch,
         static_cast<std::int64_t>(d.protocol), d.refused,
         d.report.seq == 0 ? std::string{} : to_json(d.report), d.online ? 1 : 0,
         seconds_of(d.last_seen), d.at.epoch});
}

std::map<std::string, DeploymentRecord> HubStore::deployments() {
    std::map<std::string, DeploymentRecord> deployments;
    database_.query(
        "SELECT name, revision, latest, selector, generation, bundle, signature FROM deployments",
        {}, [&deployments](const store::Row& row) {
            DeploymentRecord deployment{.name = std::string{row.text(0)},
                                        .revision = std::string{row.text(1)},
                                        .latest = std::string{row.text(2)},
                                        .selector = std::string{row.text(3)},
                                        .generation = row.integer(4),
                                        .bundle = blob_of(row.text(5)).value_or(BlobRef{}),
                                        .signature = std::string{row.blob(6)}};
            auto name = deployment.name;
            deployments.emplace(std::move(name), std::move(deployment));
            return true;
        });
    return deployments;
}

void HubStore::put_deployment(const DeploymentRecord& d) {
    database_.execute("INSERT OR REPLACE INTO deployments VALUES (?,?,?,?,?,?,?)",
                      {d.name, d.revision, d.latest, d.selector, d.generation, text_of(d.bundle),
                       store::Blob{d.signature}});
}

void HubStore::remove_deployment(std::string_view name) {
    database_.execute("DELETE FROM deployments WHERE name = ?", {name});
    database_.execute("DELETE FROM secrets WHERE deployment = ?", {name});
}

void HubStore::put_blob(const Blob& blob) {
    database_.execute("INSERT OR IGNORE INTO blobs VALUES (?, ?)",
                      {blob.ref.digest, store::Blob{blob.wire}});
}

std::optional<std::string> HubStore::blob_wire(std::string_view digest) {
    std::optional<std::string> wire;
    database_.query("SELECT wire FROM blobs WHERE digest = ?", {digest},
                    [&wire](const store::Row& row) {
                        wire = std::string{row.blob(0)};
                        return false;
                    });
    return wire;
}

void HubStore::keep_blobs(const std::set<std::string, std::less<>>& wanted) {
    std::vector<std::string> gone;
    database_.query("SELECT digest FROM blobs", {}, [&](const store::Row& row) {
        if (!wanted.contains(row.text(0))) gone.emplace_back(row.text(0));
        return true;
    });
    for (const auto& digest : gone)
        database_.execute("DELETE FROM blobs WHERE digest = ?", {digest});
}

void HubStore::put_secrets(std::string_view deployment, const std::vector<SecretValues>& secrets,
                           const crypto::Recipient& own) {
    database_.execute("DELETE FROM secrets WHERE deployment = ?", {deployment});
    for (const auto& secret : secrets) {
        const auto sealed = crypto::seal(secret.json.reveal(), {own});
        database_.execute("INSERT INTO secrets VALUES (?, ?, ?, ?)",
                          {deployment, secret.ns, secret.name, store::Blob{sealed}});
    }
}

std::vector<Sealable> HubStore::secrets(std::string_view deployment, const crypto::Identity& own) {
    std::vector<Sealable> secrets;
    database_.query(
        "SELECT namespace, name, sealed FROM secrets WHERE deployment = ? ORDER BY 1, 2",
        {deployment}, [&](const store::Row& row) {
            secrets.push_back({.deployment = std::string{deployment},
                               .ns = std::string{row.text(0)},
                               .name = std::string{row.text(1)},
                               .json = crypto::unseal(row.blob(2), own)});
            return true;
        });
    return secrets;
}

void HubStore::put_token(std::string_view hash, const TokenRecord& token) {
    database_.execute("INSERT INTO tokens VALUES (?, ?, ?, ?, '', '')",
                      {hash, token.device, text_of(token.labels), seconds_of(token.expires)});
}

TokenRecord HubStore::use_token(std::string_view hash, std::string_view device,
                                std::string_view key, WallTime now) {
    std::optional<TokenRecord> token;
    std::string used_by;
    std::string used_key;
    database_.query("SELECT device, labels, expires, used_by, used_key FROM tokens WHERE hash = ?",
                    {hash}, [&](const store::Row& row) {
                        token = TokenRecord{.device = std::string{row.text(0)},
                                            .labels = labels_of(row.text(1)),
                                            .expires = time_of(row.integer(2))};
                        used_by = row.text(3);
                        used_key = row.text(4);
                        return false;
                    });
    const auto deny = [](const std::string& why) -> void {
        throw Error{ErrorKind::denied, "the enrolment token " + why};
    };
    if (!token) deny("is not known here");
    if (now >= token->expires) deny("has expired: make a new one with `kled edge token create`");
    if (!token->device.empty() && token->device != device)
        deny("is for device " + token->device + ", not for " + std::string{device});
    if (!used_by.empty() && (used_by != device || used_key != key))
        deny("was used before: make a new one with `kled edge token create`");
    database_.execute("UPDATE tokens SET used_by = ?, used_key = ? WHERE hash = ?",
                      {device, key, hash});
    return *std::move(token);
}

void HubStore::put_certificate(const CertificateRecord& c, WallTime now) {
    database_.execute("DELETE FROM certificates WHERE not_after < ?", {seconds_of(now)});
    database_.execute("UPDATE certificates SET revoked = 1 WHERE device = ? AND key <> ?",
                      {c.device, c.key_id});
    database_.execute("INSERT OR REPLACE INTO certificates VALUES (?, ?, ?, ?, 0)",
                      {c.serial, c.device, c.key_id, seconds_of(c.not_after)});
    database_.execute("DELETE FROM removed WHERE name = ?", {c.device});
}

void HubStore::remove_device(std::string_view name) {
    database_.execute("UPDATE certificates SET revoked = 1 WHERE device = ?", {name});
    database_.execute("DELETE FROM tokens WHERE device = ? OR used_by = ?", {name, name});
    database_.execute("DELETE FROM devices WHERE name = ?", {name});
    database_.execute("INSERT OR REPLACE INTO removed VALUES (?, 0)", {name});
}

std::vector<HubStore::Removed> HubStore::removed() {
    std::vector<Removed> all;
    database_.query(
        "SELECT name, shown FROM removed ORDER BY name", {}, [&all](const store::Row& row) {
            all.push_back({.name = std::string{row.text(0)}, .shown = row.integer(1) != 0});
            return true;
        });
    return all;
}

void HubStore::put_removed_shown(std::string_view name) {
    database_.execute("UPDATE removed SET shown = 1 WHERE name = ?", {name});
}

std::vector<std::string> HubStore::revoked() {
    std::vector<std::string> serials;
    database_.query("SELECT serial FROM certificates WHERE revoked = 1", {},
                    [&serials](const store::Row& row) {
                        serials.emplace_back(row.text(0));
                        return true;
                    });
    return serials;
}

}  // namespace kled::edge
