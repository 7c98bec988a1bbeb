/// One of several processes does the work: a `coordination.k8s.io/v1` Lease says which. The rules
/// are client-go's (tools/leaderelection), so that its processes and ours can share a lease.
#pragma once

#include "base/clock.h"
#include "kube/client.h"
#include "kube/object.h"

#include <boost/asio/awaitable.hpp>

#include <functional>
#include <optional>
#include <string>

namespace kled::kube {

/// Decides whose turn it is; sends nothing and reads no clock. A lease is over when, seen from
/// here, it has not changed for its duration: the clocks of two machines are never compared.
class LeaseTurn {
public:
    struct Options {
        std::string ns;
        std::string name;
        std::string identity;           ///< who we are, different for every process
        Duration duration{15'000};      ///< how long others leave a silent holder alone
        Duration renew_within{10'000};  ///< silent for longer we stop; less than `duration`
        Duration retry{2'000};          ///< between two attempts
    };

    explicit LeaseTurn(Options options) : options_{std::move(options)} {}
    [[nodiscard]] const Options& options() const noexcept { return options_; }

    /// What to write when the server has `lease` (nullopt: none): ours, renewed, or one that is
    /// free or over, taken. nullopt: it is another's.
    [[nodiscard]] std::optional<Object> claim(const std::optional<Object>& lease, SteadyTime now,
                                              WallTime wall);
    /// The server took what `claim` said; `asked`: before it was sent.
    void granted(SteadyTime asked) noexcept { granted_ = asked; }

    [[nodiscard]] bool held(SteadyTime now) const noexcept {
        return granted_ && now - *granted_ < options_.renew_within;
    }
    /// Who had it when `claim` looked last; empty: nobody.
    [[nodiscard]] const std::string& holder() const noexcept { return holder_; }

    /// `lease` given back: it is anybody's at once.
    [[nodiscard]] Object surrender(const Object& lease, WallTime wall) const;

private:
    Options options_;
    std::string holder_;
    std::string seen_;  ///< resourceVersion of the lease at `changed_`
    SteadyTime changed_{};
    std::optional<SteadyTime> granted_;
};

/// Takes part in the election. Used from one loop; the client outlives it.
class Election {
public:
    Election(Client& client, LeaseTurn::Options options)
        : client_{client}, turn_{std::move(options)} {}

    /// Waits for the turn, runs `work` until it ends or the caller is cancelled, and gives the
    /// lease back. Error(unavailable) when it was lost: by then `work` was cancelled and has ended.
    boost::asio::awaitable<void> lead(std::function<boost::asio::awaitable<void>()> work);

    [[nodiscard]] bool leading() const noexcept { return leading_; }
    [[nodiscard]] const std::string& holder() const noexcept { return turn_.holder(); }

private:
    boost::asio::awaitable<void> acquire();
    boost::asio::awaitable<void> keep();
    boost::asio::awaitable<void> pause();
    /// False: it is another's.
    boost::asio::awaitable<bool> attempt();
    boost::asio::awaitable<bool> claim_once();
    boost::asio::awaitable<void> give_back();

    Client& client_;
    LeaseTurn turn_;
    std::optional<Object> ours_;  ///< as the server has it, while nobody else wrote
    bool leading_ = false;
};

}  // namespace kled::kube
