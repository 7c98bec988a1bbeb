#include "gitops/apply/immutable.h"

#include <gtest/gtest.h>

#include <string>

namespace kled::gitops {
namespace {

TEST(ImmutableError, IsKnownByItsText) {
    const auto error = [](int code, const std::string& message) {
        return kube::StatusError{ErrorKind::invalid, message, code, {}, {}};
    };
    EXPECT_TRUE(is_immutable_error(error(422, "spec.selector: field is immutable")));
    EXPECT_TRUE(is_immutable_error(error(422, "updates to statefulset spec are forbidden")));
    // Of a rule in a definition, and of webhooks, which refuse with codes of their own.
    EXPECT_TRUE(is_immutable_error(error(422, "spec.class: Invalid value: Value is immutable")));
    EXPECT_TRUE(is_immutable_error(
        error(403, "admission webhook \"x\" denied the request: immutable field spec.size")));
    EXPECT_FALSE(is_immutable_error(error(403, "creations are forbidden")));
    EXPECT_FALSE(is_immutable_error(error(422, "spec.replicas: must be a number")));
}

}  // namespace
}  // namespace kled::gitops
