#include "kube/yaml_restyle.h"

#include "kube/yaml.h"

#include <gtest/gtest.h>

namespace kled::kube {
namespace {

/// `text` after `change` was made to what it says.
template <typename Change>
std::string changed(std::string_view text, Change change) {
    auto value = parse_yaml(text);
    change(value.get_object());
    return restyle_yaml(value, text);
}

TEST(RestyleYaml, KeepsOrderQuotesAndLists) {
    EXPECT_EQ(changed("z: 'one'\na:\n- \"x\"\n- {flow: yes, more: [1, 2]}\nn: 010\n",
                      [](json::object& object) { object["z"] = "two"; }),
              "z: 'two'\na:\n- \"x\"\n- {flow: yes, more: [1, 2]}\nn: 010\n");
}

TEST(RestyleYaml, WritesANewValueAsItsTypeNeeds) {
    EXPECT_EQ(changed("a: 1\nb: text\n",
                      [](json::object& object) {
                          object["a"] = "2";
                          object["b"] = 3;
                          object["c"] = json::object{{"new", true}};
                      }),
              "a: \"2\"\nb: 3\nc:\n  new: true\n");
}

TEST(RestyleYaml, DropsWhatIsGoneAndExpandsAliases) {
    EXPECT_EQ(
        changed("a: &x {k: v}\nb: *x\nc: 1\n", [](json::object& object) { object.erase("c"); }),
        "a: {k: v}\nb: {k: v}\n");
}

TEST(RestyleYaml, KeepsTextBlocks) {
    EXPECT_EQ(changed("s: |\n  one\n  two\nn: 1\n", [](json::object& object) { object["n"] = 2; }),
              "s: |\n  one\n  two\nn: 2\n");
}

}  // namespace
}  // namespace kled::kube
