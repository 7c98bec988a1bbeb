#include "gitops/image/choice.h"

#include "base/error.h"

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>
#include <re2/re2.h>

#include <charconv>
#include <cmath>
#include <utility>

namespace kled::gitops {

namespace {

constexpr std::size_t text_limit = 1'024;  // of what is extracted

bool is_word(char c) {
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/// `$name`, `${name}` and `$1` of `text` replaced, as Go's Regexp.Expand does: a group that is not
/// there is empty, `$$` is a dollar sign.
std::string expanded(const std::string& text, const re2::RE2& pattern,
                     const std::vector<re2::StringPiece>& groups) {
    const auto group = [&](const std::string& name) -> re2::StringPiece {
        std::size_t number = groups.size();
        const auto* end = name.data() + name.size();
        if (std::from_chars(name.data(), end, number).ptr != end) {
            const auto& names = pattern.NamedCapturingGroups();
            const auto found = names.find(name);
            if (found == names.end()) return {};
            number = static_cast<std::size_t>(found->second);
        }
        return number < groups.size() ? groups[number] : re2::StringPiece{};
    };
    std::string result;
    for (std::size_t at = 0; at < text.size();) {
        if (text[at] != '$') {
            result += text[at++];
            continue;
        }
        if (text.compare(at, 2, "$$") == 0) {
            result += '$';
            at += 2;
            continue;
        }
        const bool braced = text.compare(at, 2, "${") == 0;
        const auto begin = at + (braced ? 2 : 1);
        auto end = begin;
        while (end < text.size() && is_word(text[end])) ++end;
        if (end == begin || (braced && (end == text.size() || text[end] != '}'))) {
            result += text[at++];
            continue;
        }
        const auto value = group(text.substr(begin, end - begin));
        if (result.size() + value.size() > text_limit)
            throw Error{ErrorKind::invalid, "spec.filterTags.extract: makes more than " +
                                                std::to_string(text_limit) + " bytes of a tag"};
        result.append(value.data(), value.size());
        at = end + (braced ? 1 : 0);
    }
    return result;
}

double number_of(const std::string& text) {
    const auto* begin = text.data() + (text.starts_with('+') ? 1 : 0);
    const auto* end = text.data() + text.size();
    double value = 0;
    const auto read = std::from_chars(begin, end, value);
    if (begin == end || read.ec != std::errc{} || read.ptr != end || std::isnan(value)) {
        throw Error{ErrorKind::invalid, "'" + text +
                                            "' is no number, which spec.policy.numerical needs "
                                            "(spec.filterTags leaves tags out)"};
    }
    return value;
}

bool descending(const Reader& policy) {
    const auto order = policy.text("order");
    if (!order.empty() && order != "asc" && order != "desc")
        throw policy.bad("order", "'" + order + "' is neither asc nor desc");
    return order == "desc";
}

}  // namespace

TagChoice TagChoice::from_spec(const Reader& spec) {
    TagChoice result;
    const auto policy = spec.object("policy");
    int given = 0;
    if (policy.field("semver") != nullptr) {
        ++given;
        const auto semver = policy.object("semver");
        result.range_text_ = semver.required("range");
        try {
            result.range_ = git::VersionRange::parse(result.range_text_);
        } catch (const Error& error) {
            throw semver.bad("range", error.what());
        }
    }
    if (policy.field("alphabetical") != nullptr) {
        ++given;
        result.order_ = Order::alphabetical;
        result.descending_ = descending(policy.object("alphabetical"));
    }
    if (policy.field("numerical") != nullptr) {
        ++given;
        result.order_ = Order::numerical;
        result.descending_ = descending(policy.object("numerical"));
    }
    if (given != 1) throw spec.bad("policy", "has to be one of semver, alphabetical, numerical");
    const auto filter = spec.object("filterTags");
    if (const auto pattern = filter.text("pattern"); !pattern.empty())
        result.pattern_ = compile_pattern(pattern, "spec.filterTags.pattern");
    result.extract_ = filter.text("extract");
    if (result.extract_.size() > text_limit)
        throw filter.bad("extract", "has more than " + std::to_string(text_limit) + " bytes");
    return result;
}

std::string TagChoice::latest(const std::vector<std::string>& tags,
                              const std::stop_token& stop) const {
    const auto count = pattern_ ? pattern_->NumberOfCapturingGroups() + 1 : 0;
    std::vector<re2::StringPiece> groups(static_cast<std::size_t>(count));
    bool any = false;  // that fits the pattern
    const std::string* best = nullptr;
    std::string best_key;  // what is compared: the tag, or what was extracted from it
    std::optional<git::Version> best_version;
    double best_number = 0;
    for (const auto& tag : tags) {
        if (stop.stop_requested())
            throw boost::system::system_error{boost::asio::error::operation_aborted};
        if (pattern_ &&
            !pattern_->Match(tag, 0, tag.size(), re2::RE2::UNANCHORED, groups.data(), count)) {
            continue;
        }
        any = true;
        auto key = pattern_ && !extract_.empty() ? expanded(extract_, *pattern_, groups) : tag;
        bool better = best == nullptr;
        switch (order_) {
            case Order::semver: {
                const auto version = git::Version::parse(key);
                better = version && range_.contains(*version) &&
                         (best == nullptr || *version > *best_version);
                if (better) best_version = version;
                break;
            }
            case Order::alphabetical:
                if (best != nullptr) better = descending_ ? key < best_key : key > best_key;
                break;
            case Order::numerical: {
                const auto number = number_of(key);
                if (best != nullptr)
                    better = descending_ ? number < best_number : number > best_number;
                if (better) best_number = number;
                break;
            }
        }
        if (!better) continue;
        best = &tag;
        best_key = std::move(key);
    }
    if (!any) {
        throw Error{ErrorKind::not_found,
                    tags.empty() ? "the image has no tags" : "no tag fits spec.filterTags.pattern"};
    }
    if (best == nullptr)
        throw Error{ErrorKind::not_found, "no tag is a version in the range '" + range_text_ + "'"};
    return *best;
}

}  // namespace kled::gitops
