// libgit2 for a program that seldom needs it: linked into `kled` in the place of the library, which
// with all that it needs in turn takes a third of the time until a program has started. Each of its
// functions is a jump to where git_libgit2_init(), which everything calls first, found the real
// one. A function that is missing in the list is no error: then the library is simply linked, as in
// kledd.
#include "base/error.h"

#include <dlfcn.h>

#include <string>

// NOLINTBEGIN(cppcoreguidelines-macro-usage): each entry is a symbol
#define KLED_LIBGIT2(X)               \
    X(git_blob_free)                  \
    X(git_blob_lookup)                \
    X(git_blob_rawcontent)            \
    X(git_blob_rawsize)               \
    X(git_buf_dispose)                \
    X(git_commit_extract_signature)   \
    X(git_commit_free)                \
    X(git_commit_id)                  \
    X(git_commit_lookup)              \
    X(git_commit_time)                \
    X(git_commit_tree_id)             \
    X(git_error_last)                 \
    X(git_error_set_str)              \
    X(git_fetch_options_init)         \
    X(git_libgit2_opts)               \
    X(git_object_free)                \
    X(git_object_id)                  \
    X(git_object_lookup)              \
    X(git_object_peel)                \
    X(git_odb_add_disk_alternate)     \
    X(git_odb_exists)                 \
    X(git_odb_free)                   \
    X(git_odb_hash)                   \
    X(git_odb_object_data)            \
    X(git_odb_object_free)            \
    X(git_odb_object_size)            \
    X(git_odb_read)                   \
    X(git_odb_read_header)            \
    X(git_odb_write)                  \
    X(git_oid_equal)                  \
    X(git_packbuilder_free)           \
    X(git_packbuilder_insert_recur)   \
    X(git_packbuilder_insert_walk)    \
    X(git_packbuilder_name)           \
    X(git_packbuilder_new)            \
    X(git_packbuilder_write)          \
    X(git_reference_create)           \
    X(git_reference_foreach_glob)     \
    X(git_reference_foreach_name)     \
    X(git_reference_free)             \
    X(git_reference_name_is_valid)    \
    X(git_reference_name_to_id)       \
    X(git_reference_remove)           \
    X(git_remote_connect)             \
    X(git_remote_create_options_init) \
    X(git_remote_create_with_opts)    \
    X(git_remote_disconnect)          \
    X(git_remote_download)            \
    X(git_remote_free)                \
    X(git_remote_ls)                  \
    X(git_remote_url)                 \
    X(git_repository_free)            \
    X(git_repository_init)            \
    X(git_repository_odb)             \
    X(git_repository_open_ext)        \
    X(git_revwalk_free)               \
    X(git_revwalk_new)                \
    X(git_revwalk_push_glob)          \
    X(git_tag_free)                   \
    X(git_tag_lookup)                 \
    X(git_tag_name)                   \
    X(git_tag_peel)                   \
    X(git_transport_local)            \
    X(git_transport_smart)            \
    X(git_tree_entry_byindex)         \
    X(git_tree_entry_byname)          \
    X(git_tree_entry_filemode)        \
    X(git_tree_entry_id)              \
    X(git_tree_entry_name)            \
    X(git_tree_entry_type)            \
    X(git_tree_entrycount)            \
    X(git_tree_free)                  \
    X(git_tree_lookup)

#if defined(__x86_64__)
#define KLED_JUMP(slot) "endbr64\n jmp *" slot "(%rip)\n"
#elif defined(__aarch64__)
#define KLED_JUMP(slot) "hint 34\n adrp x16, " slot "\n ldr x16, [x16, :lo12:" slot "]\n br x16\n"
#else
#error "no jump for this processor: link libgit2 itself (gitops/CMakeLists.txt)"
#endif

extern "C" {
#define KLED_SLOT(name) \
    __attribute__((visibility("hidden"), used)) void* kled_lazy_##name = nullptr;
KLED_LIBGIT2(KLED_SLOT)
}

#define KLED_STUB(name)                                                     \
    __asm__(".pushsection .text." #name                                     \
            ", \"ax\", %progbits\n"                                         \
            ".balign 16\n"                                                  \
            ".globl " #name                                                 \
            "\n"                                                            \
            ".hidden " #name                                                \
            "\n"                                                            \
            ".type " #name ", %function\n" #name                            \
            ":\n" KLED_JUMP("kled_lazy_" #name) ".size " #name ", .-" #name \
                                                "\n"                        \
                                                ".popsection\n");
KLED_LIBGIT2(KLED_STUB)

namespace {

void* load() {
    // As the linker would find it; where it was when kled was built (Nix has it nowhere else).
    for (const auto* name : {KLED_LIBGIT2_NAME, KLED_LIBGIT2_FOLDER "/" KLED_LIBGIT2_NAME}) {
        if (auto* library = dlopen(name, RTLD_NOW | RTLD_LOCAL); library != nullptr) return library;
    }
    const auto* why = dlerror();
    throw kled::Error{kled::ErrorKind::unavailable,
                      std::string{"libgit2 cannot be loaded: "} + (why != nullptr ? why : "")};
}

void* symbol(void* library, const char* name) {
    auto* found = dlsym(library, name);
    if (found == nullptr)
        throw kled::Error{kled::ErrorKind::unavailable, std::string{"libgit2 has no "} + name};
    return found;
}

}  // namespace

extern "C" __attribute__((visibility("hidden"))) int git_libgit2_init() {
    static auto* const library = load();
#define KLED_FIND(name) kled_lazy_##name = symbol(library, #name);
    KLED_LIBGIT2(KLED_FIND)
    return reinterpret_cast<int (*)()>(symbol(library, "git_libgit2_init"))();
}
// NOLINTEND(cppcoreguidelines-macro-usage)
