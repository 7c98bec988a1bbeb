/// One run of an ImageUpdateAutomation: from a branch to a commit with the elected images on it.
#pragma once

#include "gitops/git/access.h"
#include "gitops/git/change.h"
#include "gitops/git/mirror.h"
#include "gitops/git/revision.h"
#include "gitops/image/setters.h"
#include "gitops/image/template.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace kled::gitops {

struct ImageUpdate {
    std::shared_ptr<git::Mirror> mirror;
    git::Access access;
    git::Reference checkout;
    ElectedImages elected;
    std::string path;  ///< files at or below it
    std::string ns;    ///< of the automation: for the message
    std::string name;
    git::Author author;
    std::string message_template;  ///< empty: Flux's
    std::map<std::string, std::string> values;
    std::string push_branch;  ///< empty: that of `checkout`
    std::string push_refspec;
    std::vector<std::string> push_options;
    git::Change::Sign sign;  ///< empty: commits are not signed
    std::int64_t time = 0;   ///< of the commit, in seconds since 1970
    /// A revision in which all of this was set already; empty: none.
    std::string known_revision;
    /// Bytes of all files that are read, and of those that are changed. In Git the same file may be
    /// in a million places.
    std::uint64_t read_limit = 1'024ULL << 20U;
    std::uint64_t change_limit = 128ULL << 20U;
};

struct ImageUpdated {
    git::Revision revision;  ///< what it was made of
    bool looked = false;     ///< false: it is `known_revision`
    std::string commit;      ///< that was pushed; empty: none was needed
    std::string message;     ///< its
    std::string where;       ///< "branch 'main'", " and using refspec '…'"
    std::string branch;      ///< full name of the reference that it went to
    std::vector<std::string> remarks;
};

/// Files with more are left alone, with a remark.
inline constexpr std::size_t image_file_limit = 4U << 20U;

/// Blocking. When the branch moves meanwhile it begins anew, a few times. Errors: as of
/// Mirror::fetch and Change::send; Error(invalid) naming the field of the spec; Error(exhausted)
/// past the limits.
[[nodiscard]] ImageUpdated update_images(const ImageUpdate& update, const std::stop_token& stop);

using FileChanges = std::map<std::string, std::map<ObjectIdentity, std::vector<ImageChange>>>;

/// What a commit's message template sees: `AutomationObject`, `Changed`, `Values`, and `Updated`
/// as Flux's older versions have it.
[[nodiscard]] TemplateValue message_data(const std::string& ns, const std::string& name,
                                         const FileChanges& changes, const ElectedImages& elected,
                                         const std::map<std::string, std::string>& values);

}  // namespace kled::gitops
