#include "kube/names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kled::kube {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(Names, TakesWhatKubernetesTakes) {
    EXPECT_THAT(check_dns1123_label("web-1"), IsEmpty());
    EXPECT_THAT(check_dns1123_label(std::string(63, 'a')), IsEmpty());
    EXPECT_THAT(check_dns1123_subdomain("1.example.com"), IsEmpty());
    EXPECT_THAT(check_dns1035_label("a1"), IsEmpty());
    EXPECT_THAT(check_qualified_name("app.kubernetes.io/Name_1.x"), IsEmpty());
    EXPECT_THAT(check_qualified_name("a"), IsEmpty());
    EXPECT_THAT(check_label_value(""), IsEmpty());
    EXPECT_THAT(check_label_value("v1.2_x-Y"), IsEmpty());
}

TEST(Names, SaysWhatIsWrongInKubernetesWords) {
    EXPECT_THAT(check_dns1123_label("a.b"), ElementsAre("must not contain dots"));
    EXPECT_THAT(
        check_dns1123_label("A"),
        ElementsAre("a lowercase RFC 1123 label must consist of lower case alphanumeric "
                    "characters or '-', and must start and end with an alphanumeric character "
                    "(e.g. 'my-name',  or '123-abc', regex used for validation is "
                    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"));
    EXPECT_THAT(check_dns1123_label(std::string(64, 'a')),
                ElementsAre("must be no more than 63 characters"));
    EXPECT_THAT(check_dns1123_subdomain(""), ElementsAre(HasSubstr("RFC 1123 subdomain")));
    EXPECT_THAT(check_dns1123_subdomain("a..b"), ElementsAre(HasSubstr("'example.com'")));
    EXPECT_THAT(check_dns1123_subdomain("-a"), ElementsAre(HasSubstr("must start and end")));
    EXPECT_THAT(check_dns1035_label("1a"), ElementsAre(HasSubstr("start with an alphabetic")));
    EXPECT_THAT(check_label_value("a b"), ElementsAre(HasSubstr("a valid label must be")));
}

TEST(Names, TellsThePartsOfAQualifiedNameApart) {
    EXPECT_THAT(check_qualified_name("/a"), ElementsAre("prefix part must be non-empty"));
    EXPECT_THAT(check_qualified_name("a/"),
                ElementsAre("name part must be non-empty", HasSubstr("name part must consist of")));
    EXPECT_THAT(check_qualified_name("X/a"),
                ElementsAre(HasSubstr("prefix part a lowercase RFC 1123")));
    EXPECT_THAT(check_qualified_name("a/b/c"),
                ElementsAre(HasSubstr("(e.g. 'example.com/MyName')")));
    EXPECT_THAT(check_qualified_name(std::string(64, 'a')),
                ElementsAre("name part must be no more than 63 characters"));
}

}  // namespace
}  // namespace kled::kube
