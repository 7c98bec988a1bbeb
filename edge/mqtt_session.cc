#include "edge/mqtt_session.h"

#include "base/error.h"
#include "base/log.h"
#include "base/task_group.h"
#include "base/timeout.h"

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fcntl.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <utility>

namespace kled::edge {

namespace asio = boost::asio;

namespace {

/// libmosquitto's process-wide state; kept to the end, because OpenSSL's is kept too.
void initialise_library() {
    static const int once = mosquitto_lib_init();
    static_cast<void>(once);
}

struct DestroyHandle {
    void operator()(mosquitto* handle) const noexcept { mosquitto_destroy(handle); }
};

struct FreeProperties {
    void operator()(mosquitto_property* list) const noexcept { mosquitto_property_free_all(&list); }
};
using Properties = std::unique_ptr<mosquitto_property, FreeProperties>;

/// Reason codes from 128 on are refusals (MQTT 5.0 §2.4).
constexpr int refused = 128;

}  // namespace

struct MqttSession::Impl {
    Impl(asio::any_io_executor loop, ThreadPool& threads, MqttOptions given, MqttHandlers called)
        : executor{std::move(loop)},
          pool{threads},
          options{std::move(given)},
          handlers{std::move(called)},
          where{"broker " + options.host + ":" + std::to_string(options.port)},
          write_wanted{executor},
          answered{executor} {}

    // --- libmosquitto calls these from inside its own calls. None may throw through C.

    static void on_connect(mosquitto*, void* self, int reason, int,
                           const mosquitto_property*) noexcept {
        auto& impl = *static_cast<Impl*>(self);
        impl.connack = reason;
        impl.answered.notify();
    }
    static void on_disconnect(mosquitto*, void* self, int reason,
                              const mosquitto_property*) noexcept {
        static_cast<Impl*>(self)->disconnect_reason = reason;
    }
    static void on_subscribe(mosquitto*, void* self, int id, int count, const int* granted,
                             const mosquitto_property*) noexcept {
        auto& impl = *static_cast<Impl*>(self);
        if (id != impl.subscribing) return;
        impl.suback = count > 0 ? *std::max_element(granted, granted + count) : 0;
        impl.answered.notify();
    }
    static void on_publish(mosquitto*, void* self, int id, int reason,
                           const mosquitto_property*) noexcept {
        auto& impl = *static_cast<Impl*>(self);
        const auto entry = impl.in_flight.find(id);
        if (entry == impl.in_flight.end()) return;
        const auto sequence = entry->second;
        impl.in_flight.erase(entry);
        impl.guarded([&] {
            if (reason >= refused) {
                log::warn("mqtt", "the broker refused a publication",
                          {{"broker", impl.where}, {"reason", mosquitto_reason_string(reason)}});
            }
            impl.handlers.acknowledged(sequence);
        });
    }
    static void on_message(mosquitto*, void* self, const mosquitto_message* message,
                           const mosquitto_property*) noexcept {
        auto& impl = *static_cast<Impl*>(self);
        impl.guarded([&] {
            impl.handlers.message(message->topic,
                                  {static_cast<const char*>(message->payload),
                                   static_cast<std::size_t>(std::max(0, message->payloadlen))});
        });
    }
    /// OpenSSL's reasons reach us only so. While `connect` waits for the pool, this is the pool's
    /// thread and nobody else touches the text.
    static void on_log(mosquitto*, void* self, int level, const char* text) noexcept {
        auto& impl = *static_cast<Impl*>(self);
        if (level == MOSQ_LOG_ERR) impl.guarded([&] { impl.last_error = text; });
    }

    template <typename Work>
    void guarded(Work work) noexcept {
        try {
            work();
        } catch (...) {
            if (!failure) failure = std::current_exception();
        }
    }

    // --- Outcomes

    [[noreturn]] void fail(int code, ErrorKind kind = ErrorKind::unavailable) const {
        std::string why = mosquitto_strerror(code);
        if (code == MOSQ_ERR_ERRNO) why = std::strerror(errno);
        if (disconnect_reason >= refused)
            why = std::string{"disconnected: "} + mosquitto_reason_string(disconnect_reason);
        if (!last_error.empty()) why += " (" + last_error + ")";
        throw Error{code == MOSQ_ERR_TLS ? ErrorKind::denied : kind, where + ": " + why};
    }

    void check(int code) {
        if (failure) std::rethrow_exception(std::exchange(failure, nullptr));
        if (code != MOSQ_ERR_SUCCESS) fail(code);
        if (mosquitto_want_write(handle.get())) write_wanted.notify();
    }

    // --- The loop

    /// With TLS, libmosquitto takes a connection that was refused or reset for a handshake that
    /// goes on, and its error for its own.
    void check_socket() {
        pollfd state{.fd = socket->native_handle(), .events = 0, .revents = 0};
        if (::poll(&state, 1, 0) == 1 && (state.revents & (POLLERR | POLLHUP)) != 0)
            throw Error{ErrorKind::unavailable, where + ": connection refused or reset"};
    }

    asio::awaitable<void> read() {
        for (;;) {
            co_await socket->async_wait(asio::posix::stream_descriptor::wait_read,
                                        asio::use_awaitable);
            check(mosquitto_loop_read(handle.get(), 1));
            if (!connack) check_socket();
        }
    }

    asio::awaitable<void> write() {
        for (;;) {
            while (mosquitto_want_write(handle.get())) {
                co_await socket->async_wait(asio::posix::stream_descriptor::wait_write,
                                            asio::use_awaitable);
                check(mosquitto_loop_write(handle.get(), 1));
            }
            co_await write_wanted.wait();
        }
    }

    /// Pings, and notices a broker that went silent.
    asio::awaitable<void> keep_alive() {
        asio::steady_timer timer{executor};
        for (;;) {
            timer.expires_after(std::max(std::chrono::seconds{1}, options.keepalive / 8));
            co_await timer.async_wait(asio::use_awaitable);
            check(mosquitto_loop_misc(handle.get()));
        }
    }

    asio::awaitable<void> handshake() {
        TaskGroup tasks{executor};
        tasks.spawn(read());
        tasks.spawn(write());
        tasks.spawn(await_connack(tasks));
        co_await even_if_cancelled;
        co_await tasks.join();
    }

    asio::awaitable<void> await_connack(TaskGroup& tasks) {
        while (!connack) co_await answered.wait();
        tasks.cancel();
    }

    asio::awaitable<void> await_suback() {
        while (!suback) co_await answered.wait();
    }

    asio::any_io_executor executor;
    ThreadPool& pool;
    MqttOptions options;
    MqttHandlers handlers;
    std::string where;
    std::unique_ptr<mosquitto, DestroyHandle> handle;
    std::optional<asio::posix::stream_descriptor> socket;  // our duplicate of libmosquitto's
    Signal write_wanted;
    Signal answered;
    std::map<int, Outbox::Sequence> in_flight;  // by packet id
    std::exception_ptr failure;                 // thrown in a callback, on its way to the caller
    std::string last_error;                     // the library's last line of level error
    std::optional<int> connack;
    std::optional<int> suback;
    int subscribing = 0;
    int disconnect_reason = 0;
};

MqttSession::MqttSession(asio::any_io_executor executor, ThreadPool& pool, MqttOptions options,
                         MqttHandlers handlers)
    : impl_{std::make_unique<Impl>(std::move(executor), pool, std::move(options),
                                   std::move(handlers))} {
    initialise_library();
    auto& impl = *impl_;
    impl.handle.reset(mosquitto_new(impl.options.client_id.c_str(), true, impl_.get()));
    if (!impl.handle) impl.fail(MOSQ_ERR_ERRNO, ErrorKind::internal);
    auto* handle = impl.handle.get();
    mosquitto_connect_v5_callback_set(handle, Impl::on_connect);
    mosquitto_disconnect_v5_callback_set(handle, Impl::on_disconnect);
    mosquitto_subscribe_v5_callback_set(handle, Impl::on_subscribe);
    mosquitto_publish_v5_callback_set(handle, Impl::on_publish);
    mosquitto_message_v5_callback_set(handle, Impl::on_message);
    mosquitto_log_callback_set(handle, Impl::on_log);
    impl.check(mosquitto_int_option(handle, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5));
    impl.check(mosquitto_int_option(handle, MOSQ_OPT_TCP_NODELAY, 1));
    if (const auto& will = impl.options.will) {
        impl.check(mosquitto_will_set(handle, will->topic.c_str(),
                                      static_cast<int>(will->payload.size()), will->payload.data(),
                                      1, will->retain));
    }
    if (const auto& tls = impl.options.tls) {
        const auto code = mosquitto_tls_set(handle, tls->ca.c_str(), nullptr,
                                            tls->certificate.c_str(), tls->key.c_str(), nullptr);
        if (code == MOSQ_ERR_INVAL) {
            throw Error{ErrorKind::not_found, impl.where + ": cannot read " + tls->ca.string() +
                                                  ", " + tls->certificate.string() + " or " +
                                                  tls->key.string()};
        }
        impl.check(code);
    }
}

MqttSession::~MqttSession() = default;

asio::awaitable<void> MqttSession::connect() {
    auto& impl = *impl_;
    // The name service blocks; the connection itself is made by the loop. (The library's own
    // documentation asks for its thread here, its code does not: docs/decisions/081-*.md)
    const auto [code, error] = co_await offload(impl.pool, [&impl] {
        const int done = mosquitto_connect_bind_async(
            impl.handle.get(), impl.options.host.c_str(), impl.options.port,
            static_cast<int>(impl.options.keepalive.count()), nullptr);
        return std::pair{done, errno};  // which is the thread's own
    });
    errno = error;
    if (code != MOSQ_ERR_SUCCESS) impl.fail(code);
    const int duplicate = ::fcntl(mosquitto_socket(impl.handle.get()), F_DUPFD_CLOEXEC, 0);
    if (duplicate < 0) impl.fail(MOSQ_ERR_ERRNO);
    impl.socket.emplace(impl.executor, duplicate);
    impl.write_wanted.notify();
    co_await with_timeout(impl.options.connect_timeout, impl.where, impl.handshake());
    if (!impl.connack) throw_cancelled();
    if (*impl.connack != 0) {
        throw Error{*impl.connack == MQTT_RC_NOT_AUTHORIZED ||
                            *impl.connack == MQTT_RC_BAD_USERNAME_OR_PASSWORD
                        ? ErrorKind::denied
                        : ErrorKind::unavailable,
                    impl.where + ": " + mosquitto_reason_string(*impl.connack)};
    }
}

asio::awaitable<void> MqttSession::run() {
    TaskGroup tasks{impl_->executor};
    tasks.spawn(impl_->read());
    tasks.spawn(impl_->write());
    tasks.spawn(impl_->keep_alive());
    co_await even_if_cancelled;
    co_await tasks.join();
}

asio::awaitable<void> MqttSession::subscribe(std::vector<std::string> filters) {
    auto& impl = *impl_;
    std::vector<char*> pointers;
    pointers.reserve(filters.size());
    for (auto& filter : filters) pointers.push_back(filter.data());
    impl.suback.reset();
    impl.check(mosquitto_subscribe_multiple(impl.handle.get(), &impl.subscribing,
                                            static_cast<int>(pointers.size()), pointers.data(), 1,
                                            0, nullptr));
    co_await with_timeout(impl.options.answer_timeout, impl.where + ": subscribe",
                          impl.await_suback());
    if (*impl.suback >= refused) {
        throw Error{ErrorKind::denied,
                    impl.where + ": subscribe: " + mosquitto_reason_string(*impl.suback)};
    }
}

asio::awaitable<void> MqttSession::publish(Outbox::Sequence sequence, Message message) {
    auto& impl = *impl_;
    Properties properties;
    if (message.expires_at != Clock::time_point::max()) {
        const auto left =
            std::chrono::ceil<std::chrono::seconds>(message.expires_at - Clock::now());
        mosquitto_property* list = nullptr;
        mosquitto_property_add_int32(&list, MQTT_PROP_MESSAGE_EXPIRY_INTERVAL,
                                     static_cast<std::uint32_t>(std::max<long>(1, left.count())));
        properties.reset(list);
    }
    int id = 0;
    const auto code = mosquitto_publish_v5(
        impl.handle.get(), &id, message.topic.c_str(), static_cast<int>(message.payload.size()),
        message.payload.data(), 1, message.retain, properties.get());
    if (code == MOSQ_ERR_OVERSIZE_PACKET || code == MOSQ_ERR_PAYLOAD_SIZE ||
        code == MOSQ_ERR_MALFORMED_UTF8 || code == MOSQ_ERR_INVAL) {
        // Sending it again would fail again.
        log::error("mqtt", "a publication cannot be sent",
                   {{"broker", impl.where},
                    {"topic", message.topic},
                    {"bytes", message.payload.size()},
                    {"reason", mosquitto_strerror(code)}});
        impl.handlers.acknowledged(sequence);
        co_return;
    }
    impl.in_flight.insert_or_assign(id, sequence);
    impl.check(code);
}

void MqttSession::disconnect() noexcept {
    if (impl_->handle) mosquitto_disconnect(impl_->handle.get());
}

}  // namespace kled::edge
