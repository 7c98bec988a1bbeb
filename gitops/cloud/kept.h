/// What clouds hand out, kept until it is nearly over.
#pragma once

#include "base/clock.h"

#include <chrono>
#include <cstddef>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>

namespace kled::gitops::cloud {

/// By who has it and where it is from. `T::expires` says how long it is good.
template <typename T>
class Kept {
public:
    /// nullptr: nothing, or it is over in five minutes, in which whoever is given it works.
    const T* find(const std::string& key, WallTime now) {
        std::erase_if(known_, [&](const auto& item) { return item.second.expires - spare <= now; });
        const auto found = known_.find(key);
        return found == known_.end() ? nullptr : &found->second;
    }
    void put(const std::string& key, const T& value) {
        if (known_.size() >= limit) known_.clear();
        known_.insert_or_assign(key, value);
    }

private:
    static constexpr std::chrono::minutes spare{5};
    static constexpr std::size_t limit = 1000;
    std::map<std::string, T> known_;
};

/// One text for several, which no others have.
inline std::string joined(std::initializer_list<std::string_view> parts) {
    std::string all;
    for (const auto part : parts) all += std::to_string(part.size()) + ":" + std::string{part};
    return all;
}

}  // namespace kled::gitops::cloud
