/// Counters, gauges and histograms in Prometheus' text format 0.0.4. Thread-safe; a metric object
/// lives as long as its registry, so look it up once and keep the reference.
#pragma once

#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kled::metrics {

using Labels = std::vector<std::pair<std::string, std::string>>;

class Counter {
public:
    void add(std::uint64_t n = 1) noexcept { value_.fetch_add(n, std::memory_order_relaxed); }
    [[nodiscard]] std::uint64_t value() const noexcept { return value_.load(); }

private:
    std::atomic<std::uint64_t> value_ = 0;
};

class Gauge {
public:
    void set(double v) noexcept { value_.store(v, std::memory_order_relaxed); }
    [[nodiscard]] double value() const noexcept { return value_.load(); }

private:
    std::atomic<double> value_ = 0;
};

class Histogram {
public:
    explicit Histogram(std::vector<double> bounds);
    void observe(double v) noexcept;
    [[nodiscard]] const std::vector<double>& bounds() const noexcept { return bounds_; }
    [[nodiscard]] std::vector<std::uint64_t> cumulative() const;  ///< one more than bounds: +Inf
    [[nodiscard]] double sum() const noexcept { return sum_.load(); }

private:
    std::vector<double> bounds_;
    std::vector<std::atomic<std::uint64_t>> counts_;
    std::atomic<double> sum_ = 0;
};

/// Name the unit in the name: `kled_reconcile_duration_seconds`. Asking for the same name and
/// labels again gives the same metric; a name that has another type is Error(internal).
class Registry {
public:
    Registry();
    ~Registry();

    Counter& counter(std::string_view name, std::string_view help, const Labels& labels = {});
    Gauge& gauge(std::string_view name, std::string_view help, const Labels& labels = {});
    /// `bounds`: upper bounds in rising order, without +Inf.
    Histogram& histogram(std::string_view name, std::string_view help, std::vector<double> bounds,
                         const Labels& labels = {});
    /// The exposition, families by name, label values escaped.
    [[nodiscard]] std::string text() const;

private:
    struct Family;
    template <typename T, typename Make>
    T& find_or_make(int type, std::string_view name, std::string_view help, const Labels& labels,
                    const Make& make);

    mutable std::mutex mutex_;
    std::map<std::string, std::unique_ptr<Family>, std::less<>> families_;
};

/// The process' own registry.
Registry& registry();

}  // namespace kled::metrics
