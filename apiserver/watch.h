/// A watch: changes of a collection as lines of JSON, from the history the storage keeps. It holds
/// no queue: it reads the history from where it stopped, and ends with 410 when that is forgotten.
#pragma once

#include "apiserver/render.h"
#include "apiserver/request.h"
#include "apiserver/storage.h"
#include "net/http.h"

#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace kled::api {

class WatchStream final : public net::BodyStream {
public:
    struct Options {
        std::string ns;              ///< empty: all
        std::string name;            ///< empty: all
        Version from = 0;            ///< changes after this one are sent …
        std::vector<Bytes> initial;  ///< … after these, as ADDED
        bool initial_end = false;    ///< then the bookmark that marks their end
        bool bookmarks = false;
        std::optional<std::chrono::seconds> timeout;
        std::chrono::seconds bookmark_period{60};
    };
    /// `storage` outlives it. Used and destroyed on the storage's loop.
    WatchStream(boost::asio::any_io_executor executor, Storage& storage, ResourcePtr resource,
                Form form, Filter filter, Options options);

    boost::asio::awaitable<std::optional<std::string>> next() override;

private:
    void append_initial(std::string& out);
    void append_changes(std::string& out);
    void append_change(std::string& out, const Change& change);
    void append_error(std::string& out);
    boost::asio::awaitable<void> wait();

    Storage& storage_;
    Renderer renderer_;
    Filter filter_;
    Options options_;
    std::string collection_;
    std::size_t initial_sent_ = 0;
    Version cursor_;
    bool ended_ = false;
    bool changed_ = false;
    std::chrono::steady_clock::time_point deadline_;
    std::chrono::steady_clock::time_point next_bookmark_;
    boost::asio::steady_timer timer_;
    Storage::Subscription subscription_;
};

}  // namespace kled::api
