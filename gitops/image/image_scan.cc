// ImageRepositories and ImagePolicies: the tags of an image, and the one that counts.
#include "base/error.h"
#include "crypto/hash.h"
#include "gitops/access/registry_access.h"
#include "gitops/image/image_objects.h"

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>
#include <re2/re2.h>

#include <algorithm>
#include <functional>
#include <utility>

namespace kled::gitops {

namespace asio = boost::asio;

namespace {

constexpr std::size_t shown_tags = 10;
const kube::GroupVersionKind namespace_kind{.group = "", .version = "v1", .kind = "Namespace"};

/// Those that count, in descending order and each once: so Flux shows and compares them. What a
/// registry calls a tag and is none does not count.
std::vector<std::string> kept(std::vector<std::string> tags, const ImageRepository& repository,
                              const std::stop_token& stop) {
    std::erase_if(tags, [&](const std::string& tag) {
        if (stop.stop_requested())
            throw boost::system::system_error{asio::error::operation_aborted};
        return !is_image_tag(tag) ||
               std::ranges::any_of(repository.exclusions, [&](const auto& pattern) {
                   return re2::RE2::PartialMatch(tag, *pattern);
               });
    });
    std::ranges::sort(tags, std::greater<>{});
    tags.erase(std::unique(tags.begin(), tags.end()), tags.end());
    return tags;
}

std::string revision_of(const std::vector<std::string>& tags) {
    std::string all;
    for (const auto& tag : tags) all += tag + "\n";
    return "sha256:" + crypto::sha256_hex(all);
}

std::vector<std::string> patterns_of(const ImageRepository& repository) {
    std::vector<std::string> result;
    for (const auto& pattern : repository.exclusions) result.push_back(pattern->pattern());
    return result;
}

std::string elected_message(const ImagePolicyStatus& status) {
    const auto& latest = status.latest;
    auto text = "Latest image tag for " + latest.name + " resolved to " + latest.tag;
    if (!latest.digest.empty()) text += " with digest " + latest.digest;
    if (!status.previous.empty() && status.previous != latest)
        text += " (previously " + status.previous.to_string() + ")";
    return text;
}

}  // namespace

asio::awaitable<RegistryAccess> ImageObjects::access_of(const ImageRepository& repository) {
    auto secrets = repository.secrets;
    auto image = oci::Reference::parse(repository.image);
    auto reading = read_registry_access(client_, logins_.registries, std::move(secrets),
                                        std::move(image), repository.timeout);
    auto access = co_await std::move(reading);
    access.insecure = repository.insecure;
    co_return access;
}

asio::awaitable<Ended> ImageObjects::scan(NodePtr node, const ImageRepository& repository,
                                          ImageRepositoryStatus& status) {
    std::optional<Ended> wrong;
    std::vector<std::string> tags;
    try {
        status.canonical_name = options_.registry->canonical_name(repository.image);
    } catch (const Error& error) {
        node->scan_failure = std::string{"spec.image: "} + error.what();
        touch_users(key_of(node->object));
        co_return stalled("ImageURLInvalid", node->scan_failure);
    }
    std::string reason = "AuthenticationFailed";
    try {
        auto access = co_await access_of(repository);
        reason = "ReadOperationFailed";
        auto asking = options_.registry->tags(repository.image, std::move(access));
        auto all = co_await std::move(asking);
        auto work = [&repository, all = std::move(all)](const std::stop_token& stop) mutable {
            return kept(std::move(all), repository, stop);
        };
        auto keeping = offload_stoppable(pool_, std::move(work));
        tags = co_await std::move(keeping);
    } catch (const Error& error) {
        wrong = failed(reason, error.what());
    }
    // It became different meanwhile, and is scanned again.
    if (node->object.generation() != repository.object.generation()) co_return Ended{};
    const auto key = key_of(node->object);
    if (wrong) {
        node->scan_failure = wrong->message;
        if (!node->tags) touch_users(key);  // they say why they have nothing
        co_return *wrong;
    }
    const bool differ = !node->tags || *node->tags != tags;
    status.revision = revision_of(tags);
    status.tag_count = static_cast<std::int64_t>(tags.size());
    status.latest_tags.assign(tags.begin(), tags.begin() + static_cast<std::ptrdiff_t>(
                                                               std::min(tags.size(), shown_tags)));
    status.scan_time = to_rfc3339(wall_now());
    status.observed_exclusions = patterns_of(repository);
    node->tags = std::make_shared<const std::vector<std::string>>(std::move(tags));
    node->scan_failure.clear();
    if (differ) touch_users(key);
    co_return ready("successful scan: found " + std::to_string(status.tag_count) +
                        " tags with checksum " + status.revision,
                    repository.interval);
}

asio::awaitable<std::string> ImageObjects::denial(const ImagePolicy& policy,
                                                  const ImageRepository& repository) {
    const std::string ns{policy.object.ns()};
    if (repository.object.ns() == ns) co_return std::string{};
    const auto shown = key_of(repository.object).to_string();
    if (options_.no_cross_namespace_refs)
        co_return shown + " is of another namespace, which is not allowed here";
    const std::string none;
    const auto own = co_await client_.get(namespace_kind, none, ns);
    const bool open = own && std::ranges::any_of(repository.access_from, [&](const auto& labels) {
                          return labels.matches(*own);
                      });
    if (open) co_return std::string{};
    co_return "spec.accessFrom of " + shown + " does not let namespace " + ns + " in";
}

asio::awaitable<Ended> ImageObjects::elect(NodePtr /*node*/, const ImagePolicy& policy,
                                           ImagePolicyStatus& status) {
    const auto source = find(policy.repository);
    const auto shown = policy.repository.to_string();
    if (!source && !knows(policy.repository.kind)) co_return Ended{};
    if (!source) co_return failed("DependencyNotReady", "there is no " + shown);
    std::optional<ImageRepository> repository;
    try {
        repository = ImageRepository::from_object(source->object);
        if (!repository->unsupported.empty())
            throw Error{ErrorKind::invalid,
                        repository->unsupported.front().field + " is not supported"};
    } catch (const Error& error) {
        co_return failed("DependencyNotReady", shown + ": " + error.what());
    }
    auto asking = denial(policy, *repository);
    if (const auto why = co_await std::move(asking); !why.empty())
        co_return failed("AccessDenied", why);
    const auto tags = source->tags;
    if (!tags && source->scan_failure.empty()) {
        if (repository->suspend && status.latest.empty())
            co_return failed("DependencyNotReady", shown + " has no tags: it is suspended");
        co_return Ended{};  // the scan touches it
    }
    if (!tags)
        co_return failed("DependencyNotReady", shown + " has no tags: " + source->scan_failure);
    std::optional<Ended> wrong;
    ImageRef latest{.name = repository->image, .tag = {}, .digest = {}};
    try {
        auto work = [&policy, tags](const std::stop_token& stop) {
            return policy.choice.latest(*tags, stop);
        };
        auto choosing = offload_stoppable(pool_, std::move(work));
        latest.tag = co_await std::move(choosing);
        if (!is_image_ref(latest))
            throw Error{ErrorKind::invalid, "'" + latest.tag + "' is no name of a tag"};
        const auto& before = status.latest;
        const bool same = before.name == latest.name && before.tag == latest.tag;
        if (policy.digest == ImagePolicy::Digest::if_not_present && same)
            latest.digest = before.digest;
        if (policy.digest != ImagePolicy::Digest::never && latest.digest.empty()) {
            auto access = co_await access_of(*repository);
            auto digest = options_.registry->digest(latest.name, latest.tag, std::move(access));
            latest.digest = co_await std::move(digest);
        }
        if (!is_image_ref(latest))
            throw Error{ErrorKind::invalid, "'" + latest.digest + "' is no digest"};
    } catch (const Error& error) {
        wrong = failed("Failure", error.what());
    }
    if (wrong) co_return *wrong;
    if (latest != status.latest) {
        status.previous = status.latest;
        status.latest = std::move(latest);
    }
    std::optional<Duration> again;
    if (policy.digest == ImagePolicy::Digest::always) again = policy.interval;
    co_return ready(elected_message(status), again);
}

}  // namespace kled::gitops
