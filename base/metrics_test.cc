#include "base/metrics.h"

#include "base/error.h"

#include <gtest/gtest.h>

namespace kled::metrics {
namespace {

TEST(Metrics, AreWrittenInPrometheusTextFormat) {
    Registry registry;
    registry.counter("kled_b_total", "Things\nseen.", {{"z", "1"}, {"a", "say \"hi\"\\\n"}}).add(3);
    registry.gauge("kled_a", "A gauge.").set(0.5);
    auto& h = registry.histogram("kled_c_seconds", "Times.", {0.1, 1}, {{"k", "v"}});
    for (const double v : {0.05, 0.1, 0.5, 7.0}) h.observe(v);
    EXPECT_EQ(registry.text(),
              "# HELP kled_a A gauge.\n"
              "# TYPE kled_a gauge\n"
              "kled_a 0.5\n"
              "# HELP kled_b_total Things\\nseen.\n"
              "# TYPE kled_b_total counter\n"
              "kled_b_total{a=\"say \\\"hi\\\"\\\\\\n\",z=\"1\"} 3\n"
              "# HELP kled_c_seconds Times.\n"
              "# TYPE kled_c_seconds histogram\n"
              "kled_c_seconds_bucket{k=\"v\",le=\"0.1\"} 2\n"
              "kled_c_seconds_bucket{k=\"v\",le=\"1\"} 3\n"
              "kled_c_seconds_bucket{k=\"v\",le=\"+Inf\"} 4\n"
              "kled_c_seconds_sum{k=\"v\"} 7.65\n"
              "kled_c_seconds_count{k=\"v\"} 4\n");
}

TEST(Metrics, AreTheSameForTheSameNameAndLabels) {
    Registry registry;
    auto& first = registry.counter("c", "h", {{"a", "1"}, {"b", "2"}});
    EXPECT_EQ(&first, &registry.counter("c", "h", {{"b", "2"}, {"a", "1"}}));
    EXPECT_NE(&first, &registry.counter("c", "h", {{"a", "2"}}));
    EXPECT_THROW(registry.gauge("c", "h"), Error);
    EXPECT_EQ(&kled::metrics::registry(), &kled::metrics::registry());
}

}  // namespace
}  // namespace kled::metrics
