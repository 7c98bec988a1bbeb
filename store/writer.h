/// One thread that owns the writing connection and commits what waits together (group commit).
#pragma once

#include "store/database.h"

#include <boost/asio/awaitable.hpp>

#include <functional>
#include <memory>

namespace kled::store {

/// Work submitted while a commit is on its way joins the next one: one fsync for all of it. Each
/// piece runs in its own savepoint, so one that throws is undone alone.
class Writer {
public:
    explicit Writer(std::unique_ptr<Database> database);
    ~Writer();  ///< finishes what was submitted

    /// Completes after the commit that holds `work` is durable; what `work` threw is thrown here.
    /// The work runs on the writer's thread, in order of submission; if the commit itself fails,
    /// all of the group get that error and nothing of it is stored.
    boost::asio::awaitable<void> write(std::function<void(Database&)> work);
    /// The same for callers that may block.
    void write_blocking(std::function<void(Database&)> work);

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace kled::store
