/// The API itself: a request and who sends it in, an answer out. No sockets; everything on the
/// storage's loop.
#pragma once

#include "apiserver/registry.h"
#include "apiserver/render.h"
#include "apiserver/request.h"
#include "apiserver/storage.h"
#include "kube/admission.h"
#include "net/http.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace kled::api {

class Discovery;
class OpenApi;

/// Either a whole body, or a stream of lines.
struct Answer {
    unsigned status = 200;
    net::Headers headers;
    std::string body;
    std::unique_ptr<net::BodyStream> stream;
};

class Api {
public:
    /// `storage` and `registry` outlive it. `admission` may be empty.
    Api(boost::asio::any_io_executor executor, Storage& storage, Registry& registry,
        std::shared_ptr<kube::Admission> admission);
    ~Api();

    /// Never throws but for cancellation: what is refused is an answer. `user`: nullopt for a
    /// caller that did not prove who it is; it sees health and version only.
    boost::asio::awaitable<Answer> dispatch(net::Request request, std::optional<User> user);

    /// What lifecycles do in the server's own name.
    boost::asio::awaitable<void> create(ResourcePtr resource, kube::Object object);
    /// Deletes as a client would: finalizers hold it. False when it was not there.
    boost::asio::awaitable<bool> remove(ResourcePtr resource, Key key);
    /// Changes a stored object, and removes it when it is marked deleted and nothing holds it any
    /// more. `mutate` returns false to leave it as it is. False when it was not there.
    using Mutate = std::function<bool(kube::Object&)>;
    boost::asio::awaitable<bool> modify(ResourcePtr resource, Key key, Mutate mutate);

    [[nodiscard]] Storage& storage() noexcept { return storage_; }
    [[nodiscard]] Registry& registry() noexcept { return registry_; }

private:
    struct Call;
    struct Body;
    using Reply = boost::asio::awaitable<Answer>;

    Reply route(net::Request request, std::optional<User> user);
    Reply resource(Call& call);

    // read.cc
    Answer get(Call& call);
    Answer list(Call& call);
    Answer watch(Call& call);

    // write.cc
    Reply create(Call& call);
    Reply update(Call& call);
    Reply patch(Call& call);
    Reply remove(Call& call);
    Reply remove_collection(Call& call);
    /// The object a body describes, checked against the kind's schema.
    kube::Object decode(Call& call, json::value value, const WriteOptions& options,
                        std::vector<std::string> problems);
    json::value parse_body(const Call& call, std::vector<std::string>& problems);
    void check(const Call& call, const kube::Object& object, const kube::Object* current);
    boost::asio::awaitable<void> admit(Call& call, kube::Operation operation, kube::Object& object,
                                       const kube::Object* current, bool dry_run);
    void require_namespace(const Resource& resource, const std::string& ns,
                           const std::string& name);
    Reply create_object(Call& call, kube::Object object, const WriteOptions& options, bool apply);
    using Next = std::function<kube::Object(const kube::Object& current)>;
    Reply replace(Call& call, const WriteOptions& options, bool apply, const Next& next);
    struct Removal {
        bool dry_run = false;
        std::string uid;
        std::string version;
        std::string propagation;
    };
    Removal removal(Call& call);
    struct Removed {
        Stored last;
        bool gone = false;
    };
    boost::asio::awaitable<std::optional<Removed>> remove_object(ResourcePtr resource, Key key,
                                                                 Removal removal, Call* call);

    // scale.cc
    Reply scale(Call& call);

    boost::asio::any_io_executor executor_;
    Storage& storage_;
    Registry& registry_;
    std::shared_ptr<kube::Admission> admission_;
    std::unique_ptr<Discovery> discovery_;
    std::unique_ptr<OpenApi> open_api_;
};

}  // namespace kled::api
