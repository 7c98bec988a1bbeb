/// Bearer tokens as OAuth 2.0 has them, and what services answer in JSON instead. No clock, no I/O.
#pragma once

#include "base/clock.h"
#include "base/error.h"
#include "base/secret.h"
#include "kube/object.h"

#include <memory>
#include <string>
#include <string_view>

namespace kled::gitops::cloud {

struct BearerToken {
    std::shared_ptr<const Secret> text;
    WallTime expires;
};
/// The fields of an answer in JSON. What is no object is `none`, thrown without a word of what it
/// is: a secret may be in it.
[[nodiscard]] kube::json::object fields_of_answer(std::string_view body, const Error& none);
/// Of an answer with status 200 (RFC 6749 §5.1). Error(invalid) "the answer of `service` holds no
/// token", without a word of it.
[[nodiscard]] BearerToken read_bearer(std::string_view body, WallTime now,
                                      const std::string& service);
/// "code: message" of another answer, in any of the forms that are in use: RFC 6749 §5.2, those of
/// Amazon's and Google's APIs, that of registries; empty: it does not say. Never throws.
[[nodiscard]] std::string json_refusal(std::string_view body);

}  // namespace kled::gitops::cloud
