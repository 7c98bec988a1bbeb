#include "store/writer.h"

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <condition_variable>
#include <deque>
#include <exception>
#include <future>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace kled::store {

namespace asio = boost::asio;

namespace {

/// So many pieces share one commit: bounds the time the first of them waits.
constexpr std::size_t group_limit = 256;

struct Submission {
    std::function<void(Database&)> work;
    std::function<void(std::exception_ptr)> done;  // called once, on the writer's thread
    std::exception_ptr failure;
};
using Group = std::vector<Submission>;

/// Every piece in a savepoint, all in one transaction.
void commit(Database& database, Group& group) {
    try {
        database.transaction([&] {
            for (auto& piece : group) {
                try {
                    database.transaction([&] { piece.work(database); });
                } catch (...) {
                    // A full disk or a broken file ends the transaction around it, too.
                    if (!database.in_transaction()) throw;
                    piece.failure = std::current_exception();
                }
            }
        });
    } catch (...) {
        for (auto& piece : group)
            if (!piece.failure) piece.failure = std::current_exception();
    }
}

}  // namespace

struct Writer::Impl {
    std::unique_ptr<Database> database;
    std::mutex mutex;
    std::condition_variable submitted;
    std::deque<Submission> waiting;
    bool closing = false;
    std::thread thread;

    void submit(std::function<void(Database&)> work, std::function<void(std::exception_ptr)> done) {
        {
            const std::lock_guard lock{mutex};
            waiting.push_back({.work = std::move(work), .done = std::move(done), .failure = {}});
        }
        submitted.notify_one();
    }

    /// What waits, at most a group; empty: closing, and nothing waits any more.
    Group next() {
        std::unique_lock lock{mutex};
        submitted.wait(lock, [this] { return closing || !waiting.empty(); });
        Group group;
        while (!waiting.empty() && group.size() < group_limit) {
            group.push_back(std::move(waiting.front()));
            waiting.pop_front();
        }
        return group;
    }

    void run() {
        for (auto group = next(); !group.empty(); group = next()) {
            commit(*database, group);
            for (auto& piece : group) {
                piece.work = nullptr;  // what it holds goes before its owner hears of the end
                piece.done(std::move(piece.failure));
                piece.done = nullptr;
            }
        }
    }
};

Writer::Writer(std::unique_ptr<Database> database) : impl_{std::make_unique<Impl>()} {
    impl_->database = std::move(database);
    impl_->thread = std::thread{[impl = impl_.get()] { impl->run(); }};
}

Writer::~Writer() {
    {
        const std::lock_guard lock{impl_->mutex};
        impl_->closing = true;
    }
    impl_->submitted.notify_one();
    impl_->thread.join();
}

asio::awaitable<void> Writer::write(std::function<void(Database&)> work) {
    std::exception_ptr failure;  // lives in this frame, which the handler keeps
    auto start = [this, &work, &failure](auto handler) {
        auto loop = asio::prefer(asio::get_associated_executor(handler),
                                 asio::execution::outstanding_work.tracked);
        // std::function copies what it holds; the handler is there once.
        auto kept = std::make_shared<decltype(handler)>(std::move(handler));
        impl_->submit(std::move(work), [&failure, loop = std::move(loop),
                                        kept = std::move(kept)](std::exception_ptr error) {
            failure = std::move(error);
            asio::post(loop, std::move(*kept));
        });
    };
    co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(start,
                                                                         asio::use_awaitable);
    if (failure) std::rethrow_exception(failure);
}

void Writer::write_blocking(std::function<void(Database&)> work) {
    // Shared: set_value may still be at work in it when get has returned.
    const auto ended = std::make_shared<std::promise<void>>();
    impl_->submit(std::move(work), [ended](std::exception_ptr error) {
        if (error) {
            ended->set_exception(std::move(error));
        } else {
            ended->set_value();
        }
    });
    ended->get_future().get();
}

}  // namespace kled::store
