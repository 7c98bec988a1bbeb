/// The hub's memory: what is desired, what devices said, tokens. SQLite, schema below.
/// Everything here blocks, and is called from one place at a time (edge/hub.cc).
#pragma once

#include "edge/bundle.h"
#include "edge/enrolment.h"
#include "edge/fleet.h"
#include "store/database.h"

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace kled::edge {

/// One deployment object and its current bundle.
struct DeploymentRecord {
    std::string name;             ///< "namespace/name"
    std::string revision{};       ///< that is signed: the first with this content
    std::string latest{};         ///< the last with this content
    std::string selector{};       ///< JSON of placement.selector; empty: places nowhere
    std::int64_t generation = 0;  ///< of the object
    BlobRef bundle{};
    std::string signature{};
};

struct TokenRecord {
    std::string device{};  ///< empty: any name
    Labels labels{};
    WallTime expires{};
};

/// A certificate that a device was given.
struct CertificateRecord {
    std::string serial;  ///< hex
    std::string device;
    std::string key_id;
    WallTime not_after;
};

/// For one thread at a time: once the hub runs, for whoever has its turn, on the pool. A read
/// beside somebody's transaction can lose what that wrote.
class HubStore {
public:
    explicit HubStore(const std::filesystem::path& path);

    /// All of `work` or nothing, durable on return.
    void transaction(const std::function<void()>& work);

    /// Of devices that join. Made once, from the time: a store that was lost begins above all
    /// positions of the old one.
    [[nodiscard]] std::uint64_t epoch(WallTime now);

    [[nodiscard]] std::map<std::string, DeviceRecord> devices();
    void put_device(const DeviceRecord& device);
    [[nodiscard]] std::map<std::string, DeploymentRecord> deployments();
    void put_deployment(const DeploymentRecord& deployment);
    void remove_deployment(std::string_view name);

    void put_blob(const Blob& blob);
    [[nodiscard]] std::optional<std::string> blob_wire(std::string_view digest);
    /// Removes all other blobs.
    void keep_blobs(const std::set<std::string, std::less<>>& wanted);

    /// Values, sealed to the hub's own key.
    void put_secrets(std::string_view deployment, const std::vector<SecretValues>& secrets,
                     const crypto::Recipient& own);
    [[nodiscard]] std::vector<Sealable> secrets(std::string_view deployment,
                                                const crypto::Identity& own);

    void put_token(std::string_view hash, const TokenRecord& token);
    /// Uses a token for (device, key): once, or again for the same two (an answer that was lost).
    /// Error(denied) when it is unknown, expired, used, or for another device.
    [[nodiscard]] TokenRecord use_token(std::string_view hash, std::string_view device,
                                        std::string_view key, WallTime now);

    /// What the device was given before for another key is revoked with it. Expired ones go.
    void put_certificate(const CertificateRecord& certificate, WallTime now);
    /// Forgets the device, revokes its certificates and the tokens that were for it or used by it.
    void remove_device(std::string_view name);
    /// Devices that were removed and have not joined again.
    struct Removed {
        std::string name;
        bool shown = false;  ///< its EdgeNode is gone too
    };
    [[nodiscard]] std::vector<Removed> removed();
    void put_removed_shown(std::string_view name);
    /// Serials of certificates that have not expired.
    [[nodiscard]] std::vector<std::string> revoked();

private:
    store::Database database_;
};

}  // namespace kled::edge
