#include "base/metrics.h"

#include "base/error.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <charconv>
#include <cmath>
#include <variant>

namespace kled::metrics {

namespace {

enum class Type { counter, gauge, histogram };
constexpr std::array<std::string_view, 3> type_names{"counter", "gauge", "histogram"};

void append_number(std::string& text, double v) {
    if (std::isnan(v)) {
        text += "NaN";
    } else if (std::isinf(v)) {
        text += v > 0 ? "+Inf" : "-Inf";
    } else {
        std::array<char, 32> digits{};
        text.append(digits.data(),
                    std::to_chars(digits.data(), digits.data() + digits.size(), v).ptr);
    }
}

void append_escaped(std::string& text, std::string_view value, bool quotes) {
    for (const char c : value) {
        if (c == '\\') {
            text += "\\\\";
        } else if (c == '\n') {
            text += "\\n";
        } else if (c == '"' && quotes) {
            text += "\\\"";
        } else {
            text += c;
        }
    }
}

/// `a="1",b="2"` in the order of the names: the key of a metric in its family, and its text.
std::string label_text(Labels labels) {
    std::ranges::sort(labels);
    std::string text;
    for (const auto& [name, value] : labels) {
        if (!text.empty()) text += ',';
        text += name;
        text += "=\"";
        append_escaped(text, value, true);
        text += '"';
    }
    return text;
}

void append_sample(std::string& text, std::string_view name, std::string_view labels,
                   double value) {
    text += name;
    if (!labels.empty()) {
        text += '{';
        text += labels;
        text += '}';
    }
    text += ' ';
    append_number(text, value);
    text += '\n';
}

}  // namespace

Histogram::Histogram(std::vector<double> bounds)
    : bounds_{std::move(bounds)}, counts_(bounds_.size() + 1) {
    assert(std::ranges::is_sorted(bounds_));
}

void Histogram::observe(double v) noexcept {
    // An upper bound belongs to its bucket: `le`.
    const auto bucket = std::ranges::lower_bound(bounds_, v) - bounds_.begin();
    counts_[static_cast<std::size_t>(bucket)].fetch_add(1, std::memory_order_relaxed);
    sum_.fetch_add(v, std::memory_order_relaxed);
}

std::vector<std::uint64_t> Histogram::cumulative() const {
    std::vector<std::uint64_t> counts;
    counts.reserve(counts_.size());
    std::uint64_t total = 0;
    for (const auto& count : counts_) counts.push_back(total += count.load());
    return counts;
}

struct Registry::Family {
    Type type;
    std::string help;
    using Metric =
        std::variant<std::unique_ptr<Counter>, std::unique_ptr<Gauge>, std::unique_ptr<Histogram>>;
    std::map<std::string, Metric, std::less<>> metrics;
};

Registry::Registry() = default;
Registry::~Registry() = default;

template <typename T, typename Make>
T& Registry::find_or_make(int type, std::string_view name, std::string_view help,
                          const Labels& labels, const Make& make) {
    const std::lock_guard lock{mutex_};
    auto family = families_.find(name);
    if (family == families_.end()) {
        auto made = std::make_unique<Family>(
            Family{.type = static_cast<Type>(type), .help = std::string{help}, .metrics = {}});
        family = families_.emplace(name, std::move(made)).first;
    }
    if (family->second->type != static_cast<Type>(type)) {
        throw Error{ErrorKind::internal,
                    "metric " + std::string{name} + " is already a " +
                        std::string{type_names[static_cast<std::size_t>(family->second->type)]}};
    }
    auto& metrics = family->second->metrics;
    const auto key = label_text(labels);
    auto metric = metrics.find(key);
    if (metric == metrics.end()) metric = metrics.emplace(key, make()).first;
    return *std::get<std::unique_ptr<T>>(metric->second);
}

Counter& Registry::counter(std::string_view name, std::string_view help, const Labels& labels) {
    return find_or_make<Counter>(static_cast<int>(Type::counter), name, help, labels,
                                 [] { return std::make_unique<Counter>(); });
}

Gauge& Registry::gauge(std::string_view name, std::string_view help, const Labels& labels) {
    return find_or_make<Gauge>(static_cast<int>(Type::gauge), name, help, labels,
                               [] { return std::make_unique<Gauge>(); });
}

Histogram& Registry::histogram(std::string_view name, std::string_view help,
                               std::vector<double> bounds, const Labels& labels) {
    return find_or_make<Histogram>(static_cast<int>(Type::histogram), name, help, labels,
                                   [&] { return std::make_unique<Histogram>(std::move(bounds)); });
}

std::string Registry::text() const {
    const std::lock_guard lock{mutex_};
    std::string text;
    for (const auto& [name, family] : families_) {
        text += "# HELP " + name + ' ';
        append_escaped(text, family->help, false);
        text += "\n# TYPE " + name + ' ';
        text += type_names[static_cast<std::size_t>(family->type)];
        text += '\n';
        for (const auto& [labels, metric] : family->metrics) {
            if (const auto* counter = std::get_if<std::unique_ptr<Counter>>(&metric)) {
                append_sample(text, name, labels, static_cast<double>((*counter)->value()));
            } else if (const auto* gauge = std::get_if<std::unique_ptr<Gauge>>(&metric)) {
                append_sample(text, name, labels, (*gauge)->value());
            } else {
                const auto& histogram = *std::get<std::unique_ptr<Histogram>>(metric);
                const auto counts = histogram.cumulative();
                for (std::size_t i = 0; i < counts.size(); ++i) {
                    auto bucket = labels.empty() ? std::string{} : labels + ',';
                    bucket += "le=\"";
                    append_number(bucket,
                                  i < histogram.bounds().size() ? histogram.bounds()[i] : HUGE_VAL);
                    append_sample(text, name + "_bucket", bucket + '"',
                                  static_cast<double>(counts[i]));
                }
                append_sample(text, name + "_sum", labels, histogram.sum());
                append_sample(text, name + "_count", labels, static_cast<double>(counts.back()));
            }
        }
    }
    return text;
}

Registry& registry() {
    static Registry process_registry;
    return process_registry;
}

}  // namespace kled::metrics
