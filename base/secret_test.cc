#include "base/secret.h"

#include "base/log.h"

#include <gtest/gtest.h>

#include <sstream>
#include <type_traits>

namespace kled {
namespace {

template <typename T>
concept Printable = requires(std::ostream& out, const T& value) { out << value; };

TEST(Secret, IsNeitherCopiedNorPrintedNorLogged) {
    static_assert(!std::is_copy_constructible_v<Secret>);
    static_assert(!std::is_copy_assignable_v<Secret>);
    static_assert(!std::is_convertible_v<Secret, std::string_view>);
    static_assert(!Printable<Secret>);
    static_assert(!std::is_constructible_v<log::Field, std::string_view, Secret>);
    const Secret secret{std::string{"hunter2"}};
    EXPECT_EQ(secret.reveal(), "hunter2");
    EXPECT_EQ(secret.clone().reveal(), "hunter2");
}

TEST(Secret, LeavesNothingBehindWhereItCameFrom) {
    // Short enough for the string's own buffer, where a plain move leaves the bytes.
    std::string text = "hunter2";
    const char* bytes = text.data();
    Secret first{std::move(text)};
    EXPECT_EQ(std::string_view(bytes, 7), std::string_view("\0\0\0\0\0\0\0", 7));
    const char* revealed = first.reveal().data();
    const Secret second{std::move(first)};
    EXPECT_EQ(std::string_view(revealed, 7), std::string_view("\0\0\0\0\0\0\0", 7));
    EXPECT_EQ(second.reveal(), "hunter2");
}

TEST(Secret, WipesTheWholeCapacity) {
    std::string text(100, 'x');
    const char* bytes = text.data();
    text.resize(10);
    wipe(text);
    EXPECT_TRUE(text.empty());
    EXPECT_EQ(std::string_view(bytes, 100), std::string(100, '\0'));
}

TEST(Secret, ComparesInConstantTime) {
    EXPECT_TRUE(equal_constant_time("", ""));
    EXPECT_TRUE(equal_constant_time("abc", "abc"));
    EXPECT_FALSE(equal_constant_time("abc", "abd"));
    EXPECT_FALSE(equal_constant_time("abc", "ab"));
    EXPECT_FALSE(equal_constant_time({"\0", 1}, {"\x80", 1}));
}

}  // namespace
}  // namespace kled
