#include "kube/quantity.h"

#include "base/error.h"

#include <gtest/gtest.h>

#include <limits>

namespace kled::kube {
namespace {

std::string canonical(std::string_view text) { return Quantity::parse(text).to_string(); }

TEST(Quantity, WritesTheCanonicalText) {
    // Answers of k8s.io/apimachinery v0.34 (resource.ParseQuantity, then String).
    for (const auto& [text, wanted] : std::initializer_list<std::pair<const char*, const char*>>{
             {"0", "0"},
             {"0Mi", "0"},
             {"1", "1"},
             {"1000", "1k"},
             {"1500m", "1500m"},
             {"1.5", "1500m"},
             {"0.5", "500m"},
             {"1000m", "1"},
             {"1.5Gi", "1536Mi"},
             {"1024Mi", "1Gi"},
             {"1000Ki", "1000Ki"},
             {"512", "512"},
             {"0.5Ki", "512"},
             {"0.1Mi", "104857600m"},
             {"1e3", "1e3"},
             {"1.5e3", "1500"},
             {"12e6", "12e6"},
             {"100k", "100k"},
             {"1000k", "1M"},
             {"-1.5Gi", "-1536Mi"},
             {".5", "500m"},
             {"5.", "5"},
             {"+1", "1"},
             {"1n", "1n"},
             {"0.1n", "1n"},
             {"-0.1n", "-1n"},
             {"1E", "1E"},
             {"0.0000000015", "2n"},
             {"1e-3", "1e-3"},
             {"1e-12", "1e-9"},
             {"100E", "100E"},
             {"8Ei", "9223372036854775807"},
             {"0.000000000000000000001", "1n"},
             {"000123", "123"},
             {"1.0", "1"}}) {
        EXPECT_EQ(canonical(text), wanted) << text;
    }
}

TEST(Quantity, RefusesWhatIsNoQuantity) {
    for (const auto* text : {"", "-", ".", "a", "1x", "1 ", " 1", "1ki", "1KI", "1e", "1e+",
                             "1e+-3", "1.2.3", "0x1", "1mm", "--1", "1Mi1"}) {
        EXPECT_THROW((void)Quantity::parse(text), Error) << text;
    }
}

TEST(Quantity, RefusesWhatIsTooLargeAndHoldsBinaryAmountsBelow2To63) {
    EXPECT_THROW((void)Quantity::parse("1e30"), Error);
    EXPECT_THROW((void)Quantity::parse("1e999999999999"), Error);
    EXPECT_THROW((void)Quantity::parse(std::string(200, '9')), Error);
    EXPECT_EQ(canonical("0e999999999999"), "0");
    EXPECT_EQ(canonical("1e-999999999999"), "1e-9");
    EXPECT_EQ(Quantity::parse("10000000000000Ei").value(),
              std::numeric_limits<std::int64_t>::max());
}

TEST(Quantity, ComparesByValueWhateverTheSpelling) {
    EXPECT_EQ(Quantity::parse("1Gi"), Quantity::parse("1073741824"));
    EXPECT_EQ(Quantity::parse("0.1"), Quantity::parse("100m"));
    EXPECT_LT(Quantity::parse("1G"), Quantity::parse("1Gi"));
    EXPECT_LT(Quantity::parse("-1"), Quantity::parse("1n"));
}

TEST(Quantity, GivesWholeAndMilliUnitsRoundedUp) {
    EXPECT_EQ(Quantity::parse("1500m").value(), 2);
    EXPECT_EQ(Quantity::parse("-1500m").value(), -2);
    EXPECT_EQ(Quantity::parse("1500m").milli_value(), 1500);
    EXPECT_EQ(Quantity::parse("1u").milli_value(), 1);
    EXPECT_DOUBLE_EQ(Quantity::parse("250m").to_double(), 0.25);
}

TEST(Quantity, AddsInTheFormatOfTheLeftSide) {
    auto sum = Quantity::parse("1Gi");
    sum += Quantity::parse("512M");
    EXPECT_EQ(sum.to_string(), "1548576Ki");
    Quantity nothing;
    nothing += Quantity::parse("1Mi");
    EXPECT_EQ(nothing.to_string(), "1Mi");
    nothing -= Quantity::parse("2Mi");
    EXPECT_EQ(nothing.to_string(), "-1Mi");
}

}  // namespace
}  // namespace kled::kube
