#include "gitops/image/oci_registry.h"

#include "base/error.h"
#include "gitops/oci/client.h"

#include <utility>

namespace kled::gitops {

namespace asio = boost::asio;

namespace {

class OciRegistry : public ImageRegistry {
public:
    explicit OciRegistry(asio::any_io_executor loop) : client_{std::move(loop), limits()} {}

    [[nodiscard]] std::string canonical_name(const std::string& image) const override {
        return repository_of(image).name();
    }
    asio::awaitable<std::vector<std::string>> tags(std::string image,
                                                   RegistryAccess access) override {
        return client_.tags(repository_of(image), std::move(access));
    }
    asio::awaitable<std::string> digest(std::string image, std::string tag,
                                        RegistryAccess access) override {
        auto reference = repository_of(image);
        if (!oci::is_tag(tag)) throw Error{ErrorKind::invalid, "'" + tag + "' is no tag"};
        reference.tag = std::move(tag);
        return client_.digest(std::move(reference), std::move(access));
    }

private:
    static oci::Client::Limits limits() {
        oci::Client::Limits result;
        result.tags = tag_bytes_limit;
        return result;
    }
    static oci::Reference repository_of(const std::string& image) {
        auto result = oci::Reference::parse(image);
        if (!result.tag.empty() || !result.digest.empty())
            throw Error{ErrorKind::invalid,
                        "'" + image + "' names a tag or a digest: leave it out"};
        return result;
    }

    oci::Client client_;
};

}  // namespace

std::shared_ptr<ImageRegistry> make_oci_registry(asio::any_io_executor loop) {
    return std::make_shared<OciRegistry>(std::move(loop));
}

}  // namespace kled::gitops
