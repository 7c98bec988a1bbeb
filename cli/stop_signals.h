/// SIGINT and SIGTERM from the first line of a daemon on: one that comes while it starts ends it in
/// order once it runs, instead of killing it.
#pragma once

namespace kled::cli {

/// While it lives the two wait for whoever listens (boost::asio::signal_set); made before any
/// thread, so that all threads let them wait. Children start with none held (base/process.h).
class HeldSignals {
public:
    HeldSignals() noexcept;
    HeldSignals(const HeldSignals&) = delete;
    HeldSignals& operator=(const HeldSignals&) = delete;
    /// On the thread that made it, once somebody listens: what came meanwhile is delivered.
    void release() noexcept;
    /// Nobody listens any more, and the program is about to end.
    void hold() noexcept;
};

}  // namespace kled::cli
