#include "gitops/apply/preview.h"

#include "base/error.h"
#include "gitops/apply/compare.h"
#include "gitops/apply/immutable.h"
#include "gitops/apply/ownership.h"

namespace kled::gitops {

namespace asio = boost::asio;

asio::awaitable<Preview> preview(kube::Client& client, const kube::Object& object) {
    const auto id = object.id();
    Preview result;
    result.change = changed(id, Change::Action::unchanged);
    result.after = object;
    try {
        const auto live = co_await client.get(object.gvk(), id.ns, id.name);
        kube::Object desired{object.fields()};
        if (live) {
            result.before = without_bookkeeping(*live);
            for (const auto* label : {owner_name_label, owner_namespace_label})
                if (!live->label(label).empty()) desired.set_label(label, live->label(label));
        }
        kube::ApplyOptions options;
        options.field_manager = default_field_manager;
        options.dry_run = true;
        const auto applied = co_await client.apply(desired, options);
        result.after = without_bookkeeping(applied);
        if (!live) {
            result.change.action = Change::Action::created;
        } else if (!(result.before == result.after)) {
            result.change.action = Change::Action::configured;
        }
    } catch (const kube::StatusError& error) {
        result.change = failed(id, error.what());
        if (is_immutable_error(error)) result.change.action = Change::Action::recreated;
        if (error.code() == 404) result.missing = Preview::Missing::place;
    } catch (const Error& error) {
        if (error.kind() != ErrorKind::not_found) throw;
        result.change = failed(id, error.what());
        result.missing = Preview::Missing::kind;
    }
    co_return result;
}

}  // namespace kled::gitops
