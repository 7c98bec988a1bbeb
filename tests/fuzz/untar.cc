/// A tar, as whoever may push to a registry may make it.
#include "gitops/git/untar.h"

#include "base/error.h"
#include "tests/fuzz/target.h"

#include <map>
#include <string>

namespace {

using namespace kled;
using namespace kled::gitops;

constexpr std::size_t pieces[] = {1, 513, 1U << 20U};

std::map<std::string, std::string> read(std::string_view bytes, std::size_t piece) {
    git::UntarLimits limits;
    limits.entries = 1'000;
    limits.file = 1U << 16U;
    limits.total = 1U << 18U;
    std::map<std::string, std::string> files;
    git::Untar reader{[&](const std::string& path, bool, std::string content) {
                          const auto whole = "/" + path + "/";
                          for (const auto* no : {"//", "/./", "/../", "/.git/"}) {
                              if (whole.find(no) != std::string::npos)
                                  fuzz::broken("a path is plain", path);
                          }
                          if (content.size() > limits.file)
                              fuzz::broken("a file is within its limit", path);
                          files[path] = std::move(content);
                      },
                      limits};
    for (std::size_t at = 0; at < bytes.size(); at += piece) reader.put(bytes.substr(at, piece));
    reader.finish();
    for (const auto& [path, content] : files) {
        for (auto slash = path.find('/'); slash != std::string::npos;
             slash = path.find('/', slash + 1)) {
            if (files.contains(path.substr(0, slash)))
                fuzz::broken("nothing is a file and a folder", path);
        }
    }
    return files;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto bytes = fuzz::text_of(data, size);
    std::map<std::string, std::string> first;
    bool taken = false;
    for (const auto piece : pieces) {
        std::map<std::string, std::string> files;
        bool good = true;
        try {
            files = read(bytes, piece);
        } catch (const Error&) {
            good = false;
        }
        if (piece == pieces[0]) {
            first = files;
            taken = good;
        }
        if (good != taken || files != first)
            fuzz::broken("what comes in other pieces is the same", std::to_string(piece));
    }
    if (taken) fuzz::accepted();
    return 0;
}
