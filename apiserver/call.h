/// One request on its way through the API: internal to it.
#pragma once

#include "apiserver/api.h"

namespace kled::api {

struct Api::Call {
    net::Request request;
    net::Target target;
    ResourcePath path;
    ResourcePtr resource;
    User user;
    Form form;
    std::vector<std::string> warnings;

    [[nodiscard]] Key key() const { return {path.ns, path.name}; }
    [[nodiscard]] Subject subject() const { return resource->subject(path.name); }
    [[nodiscard]] Key key_of(const kube::Object& object) const {
        return {resource->namespaced() ? std::string{object.ns()} : "", std::string{object.name()}};
    }
};

/// JSON with its headers.
[[nodiscard]] Answer json_answer(unsigned status, std::string body);
/// An object as `call` wants it, with the warnings gathered on the way.
[[nodiscard]] Answer object_answer(unsigned status, const Bytes& bytes, const ResourcePtr& resource,
                                   const Form& form);
[[nodiscard]] kube::Object parse_object(const Bytes& bytes);

}  // namespace kled::api
