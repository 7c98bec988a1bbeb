/// CustomResourceDefinitions: what they add to the registry, and their own conditions
/// (apiextensions-apiserver pkg/controller/{establish,status,finalizer}).
#pragma once

#include "apiserver/api.h"
#include "base/signal.h"

#include <boost/asio/awaitable.hpp>

#include <map>
#include <string>
#include <vector>

namespace kled::api {

inline constexpr std::string_view definition_collection =
    "customresourcedefinitions.apiextensions.k8s.io";

/// What is wrong with a definition; empty: it may be stored.
[[nodiscard]] std::vector<FieldError> definition_errors(const kube::Object& definition);
/// The kinds of its served versions. Error(invalid) for a schema that does not compile.
[[nodiscard]] std::vector<Resource> resources_of(const kube::Object& definition);

/// Keeps the registry in step with the stored definitions.
class Definitions {
public:
    /// Registers what is stored already.
    Definitions(boost::asio::any_io_executor executor, Api& api);

    /// Establishes new definitions and removes the objects of deleted ones, until cancelled.
    boost::asio::awaitable<void> run();

private:
    void changed(const Change& change);
    void serve(const kube::Object& definition);
    boost::asio::awaitable<void> establish(Key key);
    boost::asio::awaitable<void> finalize(Key key);

    Api& api_;
    Signal wake_;
    std::map<std::string, Version> served_;  // by name of the definition
    Storage::Subscription subscription_;
};

}  // namespace kled::api
