/// Tree objects as a server may send them, which libgit2 stores unread. Lines of "<mode> <name>
/// <object>": `f` is a file, `l` a symbolic link to what the name of the line is, `t` the tree made
/// by the lines up to the last empty one; anything else stands for bytes that go into the tree as
/// they are.
#include "base/error.h"
#include "base/file.h"
#include "gitops/git/libgit2.h"
#include "gitops/git/testing.h"
#include "gitops/git/tree.h"
#include "tests/fuzz/target.h"

#include <filesystem>
#include <string>

namespace {

using namespace kled;
using namespace kled::gitops;

/// A mirror on disk, whose object store is written behind its back.
class Store {
public:
    Store() {
        git::Access access;
        access.local_repositories = true;
        remote_.commit({{"a.yaml", "a: 1\n"}});
        revision_ = mirror_.fetch({.branch = "main"}, access, {});
        git_repository* repository = nullptr;
        git::check(git_repository_open_bare(&repository, (directory_.path() / "mirror").c_str()),
                   "fuzz");
        repository_.reset(repository);
        git_odb* odb = nullptr;
        git::check(git_repository_odb(&odb, repository), "fuzz");
        odb_.reset(odb);
    }

    git_oid write(std::string_view bytes, git_object_t type) {
        git_oid oid{};
        git::check(git_odb_write(&oid, odb_.get(), bytes.data(), bytes.size(), type), "fuzz");
        return oid;
    }

    git::Tree tree(const git_oid& oid) {
        auto revision = revision_;
        revision.tree = git::from_git(oid);
        return {mirror_, revision, 4096};
    }

private:
    git::testing::Repository remote_;
    TemporaryDirectory directory_{"kled-fuzz"};
    git::Mirror mirror_{directory_.path() / "mirror", remote_.url()};
    git::Revision revision_;
    git::RepositoryPtr repository_;
    git::OdbPtr odb_;
};

git_oid build(Store& store, std::string_view text) {
    auto tree = store.write({}, GIT_OBJECT_TREE);
    std::string bytes;
    while (!text.empty()) {
        const auto line = fuzz::take_line(text);
        if (line.empty()) {
            tree = store.write(bytes, GIT_OBJECT_TREE);
            bytes.clear();
            continue;
        }
        const auto first = line.find(' ');
        const auto last = line.rfind(' ');
        const auto kind =
            last == std::string_view::npos ? std::string_view{} : line.substr(last + 1);
        if (first == last || (kind != "f" && kind != "l" && kind != "t")) {
            bytes += line;
            continue;
        }
        const auto name = line.substr(first + 1, last - first - 1);
        // A link's target is behind "->"; its name before that.
        const auto arrow = name.find("->");
        const auto content = arrow == std::string_view::npos ? name : name.substr(arrow + 2);
        const auto oid = kind == "t" ? tree : store.write(content, GIT_OBJECT_BLOB);
        bytes.append(line.substr(0, first))
            .append(" ")
            .append(name.substr(0, arrow))
            .append(1, '\0');
        bytes.append(reinterpret_cast<const char*>(oid.id), sizeof oid.id);
    }
    return bytes.empty() ? tree : store.write(bytes, GIT_OBJECT_TREE);
}

/// Every file that can be reached, as a build would.
std::size_t walk(const kustomize::Files& files, const std::string& path, int depth, int& steps) {
    if (depth == 16 || --steps < 0) return 0;
    std::optional<kustomize::Files::Entry> entry;
    try {
        entry = files.find(path);
    } catch (const Error&) {
        return 0;
    }
    if (!entry) return 0;
    if (entry->path.starts_with("/") || (entry->path + "/").find("../") == 0 ||
        ("/" + entry->path + "/").find("/../") != std::string::npos) {
        fuzz::broken("a path leaves the tree", entry->path);
    }
    try {
        if (entry->kind == kustomize::Files::Kind::file) {
            (void)files.read(entry->path);
            return 1;
        }
        std::size_t found = 0;
        for (const auto& name : files.list(entry->path)) {
            if (name.empty() || name == "." || name == ".." ||
                name.find('/') != std::string::npos) {
                fuzz::broken("a name is no name", name);
            }
            found += walk(files, path.empty() ? name : path + "/" + name, depth + 1, steps);
        }
        return found;
    } catch (const Error&) {
        return 0;
    }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static Store store;
    try {
        const auto tree = store.tree(build(store, fuzz::text_of(data, size)));
        int steps = 1000;
        if (walk(tree, "", 0, steps) != 0) fuzz::accepted();
        for (const auto* path : {"a/b", "a/../a", "link/x", "kustomization.yaml"}) {
            try {
                (void)tree.find(path);
            } catch (const Error&) {
            }
        }
        if (!tree.agrees_with(tree.read_set())) fuzz::broken("a tree differs from itself", "");
    } catch (const Error&) {
    }
    return 0;
}
