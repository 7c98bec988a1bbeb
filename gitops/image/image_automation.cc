// ImageUpdateAutomations: which images, which repository, and one run of it.
#include "base/error.h"
#include "base/log.h"
#include "crypto/pgp.h"
#include "gitops/access/credentials.h"
#include "gitops/access/secret_data.h"
#include "gitops/image/image_objects.h"
#include "gitops/source/cache_names.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <system_error>
#include <utility>

namespace kled::gitops {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

std::int64_t seconds_of(WallTime time) {
    return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

constexpr std::size_t shown_digits = 7;  // of a commit, as Flux shows it

}  // namespace

std::map<std::string, ImageRef> ImageObjects::elected(
    const ImageUpdateAutomation& automation) const {
    std::map<std::string, ImageRef> result;
    for (const auto& [key, node] : nodes_) {
        if (key.kind != "ImagePolicy" || key.ns != automation.object.ns()) continue;
        if (!automation.policies.matches(node->object)) continue;
        if (auto ref = latest_ref(node->object); !ref.empty()) result.emplace(key.name, ref);
    }
    return result;
}

asio::awaitable<Ended> ImageObjects::automate(NodePtr node, const ImageUpdateAutomation& automation,
                                              ImageUpdateAutomationStatus& status) {
    const auto& source = automation.source;
    const auto shown = source.ns + "/" + source.name;
    if (options_.no_cross_namespace_refs && source.ns != automation.object.ns()) {
        co_return stalled("AccessDenied",
                          "spec.sourceRef: GitRepository " + shown +
                              " is of another namespace, which is not allowed here");
    }
    const auto found = find(source);
    // When it comes, this is touched.
    if (!found && !knows(source.kind)) co_return Ended{};
    if (!found) co_return failed("SourceManagerFailed", "there is no GitRepository " + shown);
    std::optional<GitRepository> repository;
    try {
        repository = GitRepository::from_object(found->object);
        if (!repository->unsupported.empty())
            co_return failed("SourceManagerFailed", "GitRepository " + shown + ": " +
                                                        repository->unsupported.front().field +
                                                        " is not supported");
    } catch (const Error& error) {
        co_return failed("SourceManagerFailed", "GitRepository " + shown + ": " + error.what());
    }
    const auto cache = cache_of(source, repository->url);
    if (cache->busy) {
        cache->waiting.insert(key_of(node->object));
        co_return Ended{};
    }
    cache->busy = true;
    // Also when it is cancelled or fails.
    const std::unique_ptr<Cache, std::function<void(Cache*)>> release_it{
        cache.get(), [this, keep = cache](Cache* one) { release(*one); }};
    auto running = update(automation, std::move(*repository), status);
    co_return co_await std::move(running);
}

asio::awaitable<git::Change::Sign> ImageObjects::signer_of(
    const ImageUpdateAutomation& automation) {
    if (automation.signing_secret_name.empty()) co_return git::Change::Sign{};
    const std::string ns{automation.object.ns()};
    auto reading = read_secret(client_, ns, automation.signing_secret_name);
    const auto data = co_await std::move(reading);
    const auto text = data.secret({"git.asc"});
    if (!text) throw Error{ErrorKind::invalid, "Secret " + data.name() + " has no git.asc"};
    const auto passphrase = data.secret({"passphrase"});
    auto work = [text, passphrase, shown = data.name()]() -> git::Change::Sign {
        const auto keys = std::make_shared<crypto::PgpKeys>();
        try {
            if (passphrase) {
                keys->add(text->reveal(), *passphrase);
            } else {
                keys->add(text->reveal());
            }
            static_cast<void>(keys->sign("whether it can"));
        } catch (const Error& error) {
            throw error.within("Secret " + shown + ": git.asc");
        }
        return [keys](std::string_view payload) { return keys->sign(payload); };
    };
    auto making = offload(pool_, std::move(work));
    co_return co_await std::move(making);
}

asio::awaitable<Ended> ImageObjects::update(const ImageUpdateAutomation& automation,
                                            GitRepository repository,
                                            ImageUpdateAutomationStatus& status) {
    const auto object = automation.object;
    const auto observed = elected(automation);
    const auto started = wall_now();
    const auto request = reconcile_request(object);
    ImageUpdate order;
    order.mirror = cache_of(automation.source, repository.url)->mirror;
    order.checkout = automation.checkout.value_or(repository.reference);
    for (const auto& [name, ref] : observed)
        order.elected.emplace(std::string{object.ns()} + ":" + name, ref);
    order.path = automation.path;
    order.ns = object.ns();
    order.name = object.name();
    order.author = automation.author;
    order.message_template = automation.message_template;
    order.values = automation.values;
    order.push_branch = automation.push_branch;
    order.push_refspec = automation.push_refspec;
    order.push_options = automation.push_options;
    order.time = seconds_of(started);
    // Asked for, it looks at everything again: someone may have removed the branch of the push.
    if (status.conditions.is_true("Ready") && status.observed_policies == observed &&
        status.observed_generation == object.generation() && status.handled_request == request)
        order.known_revision = status.observed_source_revision;
    ImageUpdated updated;
    std::optional<Ended> wrong;
    try {
        auto signer = signer_of(automation);
        order.sign = co_await std::move(signer);
    } catch (const Error& error) {
        wrong = failed("SourceManagerFailed",
                       std::string{"spec.git.commit.signingKey: "} + error.what());
    }
    if (wrong) co_return *wrong;
    try {
        order.access = co_await read_access(client_, logins_, repository);
        order.access.local_repositories = options_.local_repositories;
        order.access.own_ssh_configuration =
            !options_.local_repositories || order.access.ssh_identity;
        auto work = [&order](const std::stop_token& stop) { return update_images(order, stop); };
        updated = co_await offload_stoppable(pool_, std::move(work));
    } catch (const Error& error) {
        const std::string what = error.what();
        if (error.kind() == ErrorKind::invalid && what.starts_with("spec.")) {
            wrong = stalled("InvalidSourceConfiguration", what);
        } else {
            wrong = failed(
                error.kind() == ErrorKind::denied ? "AuthenticationFailed" : "GitOperationFailed",
                what);
        }
    }
    status.last_run = to_rfc3339(started);
    if (wrong) co_return *wrong;
    for (const auto& remark : updated.remarks)
        log::warn("gitops", remark, {{"object", key_of(object).to_string()}});
    if (updated.looked) {
        status.observed_policies = observed;
        status.observed_source_revision = updated.revision.name;
    }
    if (updated.commit.empty()) co_return ready("repository up-to-date", automation.interval);
    status.last_push_commit = updated.commit;
    status.last_push_time = to_rfc3339(wall_now());
    events_.record(object, false, "Succeeded",
                   "pushed commit '" + updated.commit.substr(0, shown_digits) + "' to " +
                       updated.where + "\n" + updated.message,
                   updated.revision.name);
    const auto& branch = repository.reference.branch;
    const bool tracked = updated.branch == "refs/heads/" + branch;
    if (tracked) co_await ask(automation.source);
    co_return ready(
        "pushed commit '" + updated.commit.substr(0, shown_digits) + "' to " + updated.where,
        automation.interval);
}

std::filesystem::path ImageObjects::mirror_of(const Key& source) const {
    return options_.cache / cache_name(source, push_cache);
}

std::shared_ptr<ImageObjects::Cache> ImageObjects::cache_of(const Key& source,
                                                            const std::string& url) {
    auto& cache = caches_[source];
    if (!cache) cache = std::make_shared<Cache>();
    if (!cache->busy && (!cache->mirror || cache->mirror->url() != url))
        cache->mirror = std::make_shared<git::Mirror>(mirror_of(source), url);
    return cache;
}

void ImageObjects::release(Cache& cache) {
    cache.busy = false;
    for (const auto& key : std::exchange(cache.waiting, {})) turns_.touch(key);
}

asio::awaitable<void> ImageObjects::discard(Key source) {
    const auto found = caches_.find(source);
    if (found != caches_.end() && found->second->busy) co_return;  // it is only a cache
    caches_.erase(source);
    auto remove = [path = mirror_of(source)] {
        std::error_code ignored;
        std::filesystem::remove_all(path, ignored);
    };
    co_await offload(pool_, std::move(remove));
}

asio::awaitable<void> ImageObjects::sweep(std::set<Key> others) {
    auto look = [cache = options_.cache] {
        std::set<Key> found;
        std::error_code ignored;
        for (std::filesystem::directory_iterator entry{cache, ignored}, end; entry != end;
             entry.increment(ignored)) {
            const auto folder = entry->path().filename().native();
            const auto key = owner_of_cache(folder);
            if (key && folder == cache_name(*key, push_cache)) found.insert(*key);
        }
        return found;
    };
    const auto found = co_await offload(pool_, std::move(look));
    for (const auto& key : found) {
        if (!nodes_.contains(key) && !others.contains(key)) co_await discard(key);
    }
}

/// The repository has something new: no need to wait for its interval.
asio::awaitable<void> ImageObjects::ask(Key source) {
    const auto node = find(source);
    if (!node) co_return;
    const auto gvk = node->object.gvk();
    try {
        co_await request_reconcile(gvk, source.ns, source.name);
    } catch (const Error& error) {  // then its interval finds the commit
        log::warn("gitops", error.what(), {{"object", source.to_string()}});
    }
}

}  // namespace kled::gitops
