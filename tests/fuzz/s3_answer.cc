/// What an S3 server may answer: a list of objects, a refusal, anything.
#include "base/encoding.h"
#include "base/error.h"
#include "gitops/s3/answers.h"
#include "gitops/source/bucket_content.h"
#include "tests/fuzz/target.h"

#include <string>

namespace {

using namespace kled;

void add(gitops::BucketIndex& index, const gitops::s3::ListedObject& object) {
    try {
        if (!index.add(object.key, object.etag)) return;
    } catch (const Error&) {
        return;
    }
    const auto path = "/" + object.key + "/";
    for (const auto* part : {"//", "/../", "/./"})
        if (path.find(part) != std::string::npos)
            fuzz::broken("a path stays inside the tree", object.key);
    for (const unsigned char c : object.key)
        if (c < 0x20 || c == 0x7f) fuzz::broken("no control character in a path", object.key);
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto text = fuzz::text_of(data, size);
    const auto refusal = gitops::s3::parse_refusal(text);
    if (refusal.message.find('\n') != std::string::npos)
        fuzz::broken("a message is one line", refusal.message);
    try {
        const auto listing = gitops::s3::parse_listing(text);
        gitops::BucketIndex index{"", ""};
        for (const auto& object : listing.objects) {
            if (!is_utf8(object.key)) fuzz::broken("a key is UTF-8", object.key);
            add(index, object);
        }
        fuzz::accepted();
    } catch (const Error&) {
    }
    return 0;
}
