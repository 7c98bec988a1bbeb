/// A line with a key, then a signature of it over a commit, as they come from Git.
#include "base/error.h"
#include "crypto/ssh_keys.h"
#include "tests/fuzz/target.h"

#include <string>

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace kled;
    auto text = fuzz::text_of(data, size);
    try {
        crypto::SshKeys keys;
        keys.add(fuzz::take_line(text));
        const auto who = keys.verify(text, "tree 1\n\nmessage\n", "git");
        if (!who.starts_with("SHA256:")) fuzz::broken("it is known whose signature it is", who);
        fuzz::accepted();
    } catch (const Error&) {
        return 0;
    }
    try {  // what was good is of nothing else
        crypto::SshKeys keys;
        auto again = fuzz::text_of(data, size);
        keys.add(fuzz::take_line(again));
        fuzz::broken("a signature is of one message",
                     keys.verify(again, "tree 2\n\nmessage\n", "git"));
    } catch (const Error&) {
    }
    return 0;
}
