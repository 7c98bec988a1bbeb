#include "gitops/image/update.h"

#include "base/error.h"

#include <optional>
#include <utility>

namespace kled::gitops {

namespace {

constexpr int attempts = 4;
constexpr std::size_t remark_limit = 20;
constexpr std::string_view heads = "refs/heads/";
constexpr std::string_view default_message = "Update from image update automation";

/// Where a commit goes, from the spec.
struct Target {
    std::string branch;  ///< full name
    bool other = false;  ///< than what was checked out: ours alone, so it may be overwritten
    std::string also;    ///< what the refspec names; empty: nothing
};

std::string short_name(const std::string& reference) {
    return reference.starts_with(heads) ? reference.substr(heads.size()) : reference;
}

/// The right side of "HEAD:refs/for/main"; the left one has to be the commit.
std::string destination(const std::string& refspec, const std::string& branch) {
    const std::string field = "spec.git.push.refspec";
    const auto bad = [&](const std::string& what) {
        return Error{ErrorKind::invalid, field + ": '" + refspec + "' " + what};
    };
    const auto colon = refspec.find(':');
    const auto from = refspec.substr(0, colon);
    const auto to = colon == std::string::npos ? from : refspec.substr(colon + 1);
    if (refspec.starts_with('+')) throw bad("asks to force, which only spec.git.push.branch may");
    if (from.empty() || to.empty()) throw bad("has an empty side");
    if (from != "HEAD" && from != branch && from != short_name(branch))
        throw bad("begins with neither HEAD nor the branch that is pushed");
    if (to == "HEAD") throw bad("goes to HEAD");
    return git::full_reference(to, field);
}

Target target_of(const ImageUpdate& update) {
    const auto& from = update.checkout.branch;
    if (update.push_branch.empty() && from.empty()) {
        throw Error{ErrorKind::invalid,
                    "spec.git.push.branch: is required, as neither spec.git.checkout nor the "
                    "GitRepository names a branch"};
    }
    Target target;
    target.branch = git::full_reference(update.push_branch.empty() ? from : update.push_branch,
                                        "spec.git.push.branch");
    target.other = from.empty() || target.branch != git::full_reference(from, "spec.git.checkout");
    if (!update.push_refspec.empty()) target.also = destination(update.push_refspec, target.branch);
    return target;
}

bool may_have_markers(std::string_view name) {
    return name.ends_with(".yaml") || name.ends_with(".yml") || name == "Kustomization";
}

/// The path as the message names it: below `spec.update.path`.
std::string below(const std::string& file, std::string folder) {
    while (folder.starts_with("./")) folder.erase(0, 2);
    while (folder.starts_with('/')) folder.erase(0, 1);
    while (folder.ends_with('/')) folder.pop_back();
    if (folder.empty() || !file.starts_with(folder + "/")) return file;
    return file.substr(folder.size() + 1);
}

/// One attempt.
class Attempt {
public:
    Attempt(const ImageUpdate& update, const Target& target, const std::stop_token& stop)
        : update_{update}, target_{target}, stop_{stop} {}

    ImageUpdated run() {
        auto& mirror = *update_.mirror;
        result_.revision = mirror.fetch(update_.checkout, update_.access, stop_);
        if (result_.revision.name == update_.known_revision) return std::move(result_);
        result_.looked = true;
        {
            git::Change change{mirror, result_.revision};
            if (!find_changes(change)) return std::move(result_);
            if (!target_.other) {
                make(change);
                send(change, false);
                return std::move(result_);
            }
        }
        // What stands on a branch of ours may be this commit already. Nothing is fetched while a
        // change is being made.
        const auto pushed = tip();
        git::Change change{mirror, result_.revision};
        make(change);
        if (pushed && change.same_as(pushed->commit)) {
            result_.commit.clear();
        } else {
            send(change, true);
        }
        return std::move(result_);
    }

private:
    /// False: no value is to be changed.
    bool find_changes(const git::Change& change) {
        FileChanges changes;
        std::uint64_t read = 0;
        std::uint64_t written = 0;
        const auto each = [&](const std::string& path, const std::string& text) {
            read += text.size();
            check_limit(read, update_.read_limit, "are read");
            auto set = set_images(text, path, update_.elected);
            for (auto& remark : set.remarks) note(std::move(remark));
            if (set.text.empty()) return;
            written += set.text.size();
            check_limit(written, update_.change_limit, "are to be changed");
            files_.emplace(path, std::move(set.text));
            changes.emplace(below(path, update_.path), std::move(set.changes));
        };
        for (const auto& path :
             change.visit(update_.path, image_file_limit, may_have_markers, each, stop_))
            note(path + ": has more than " + std::to_string(image_file_limit) + " bytes");
        if (files_.empty()) return false;
        result_.message = message(changes);
        return true;
    }

    static void check_limit(std::uint64_t bytes, std::uint64_t limit, const std::string& what) {
        if (bytes <= limit) return;
        throw Error{ErrorKind::exhausted, "the files that " + what + " have more than " +
                                              std::to_string(limit) +
                                              " bytes together; spec.update.path leaves some out"};
    }

    void make(git::Change& change) {
        change.commit(files_, result_.message, update_.author, update_.time, update_.sign);
        result_.commit = change.id().hex();
    }

    void note(std::string remark) {
        if (result_.remarks.size() < remark_limit) result_.remarks.push_back(std::move(remark));
    }

    std::string message(const FileChanges& changes) const {
        if (update_.message_template.empty()) return std::string{default_message};
        try {
            return render_template(
                update_.message_template,
                message_data(update_.ns, update_.name, changes, update_.elected, update_.values));
        } catch (const Error& error) {
            throw Error{ErrorKind::invalid, error.what()}.within("spec.git.commit.messageTemplate");
        }
    }

    std::optional<git::Revision> tip() {
        try {
            return update_.mirror->fetch({.name = target_.branch}, update_.access, stop_);
        } catch (const Error& error) {
            if (error.kind() == ErrorKind::not_found) return std::nullopt;
            throw;
        }
    }

    void send(const git::Change& change, bool force) {
        git::Push push{
            .reference = target_.branch, .force = force, .options = update_.push_options};
        change.send(push, update_.access, stop_);
        result_.branch = target_.branch;
        result_.where = "branch '" + short_name(target_.branch) + "'";
        if (target_.also.empty()) return;
        push.reference = target_.also;
        push.force = false;
        try {
            change.send(push, update_.access, stop_);
        } catch (const Error& error) {
            // The branch has the commit: beginning anew would find nothing to do.
            const auto kind =
                error.kind() == ErrorKind::conflict ? ErrorKind::denied : error.kind();
            throw Error{kind, error.what()}.within("spec.git.push.refspec");
        }
        result_.where += " and using refspec '" + update_.push_refspec + "'";
    }

    const ImageUpdate& update_;
    const Target& target_;
    const std::stop_token& stop_;
    std::map<std::string, std::string> files_;  // changed, with their new texts
    ImageUpdated result_;
};

}  // namespace

ImageUpdated update_images(const ImageUpdate& update, const std::stop_token& stop) {
    const auto target = target_of(update);
    for (int attempt = 1;; ++attempt) {
        try {
            return Attempt{update, target, stop}.run();
        } catch (const Error& error) {
            // Someone else was faster: what they pushed is what the next attempt builds on.
            if (error.kind() != ErrorKind::conflict || attempt == attempts) throw;
        }
    }
}

}  // namespace kled::gitops
