// get, list, watch.
#include "apiserver/call.h"
#include "apiserver/watch.h"

#include <algorithm>
#include <utility>

namespace kled::api {

Answer Api::get(Call& call) {
    const auto* stored = storage_.find(call.resource->collection, call.key());
    if (stored == nullptr) throw not_found(call.subject());
    return object_answer(200, stored->bytes, call.resource, call.form);
}

Answer Api::list(Call& call) {
    const auto options = list_options(call.target, false);
    const Filter filter{*call.resource, options};
    const auto current = storage_.version();
    if (options.version && *options.version > current)
        throw too_large_version(*options.version, current);

    // A continued or exact list is of a moment in the past: the history takes the present back.
    auto snapshot = current;
    Key after;
    bool continued = false;
    if (!options.continue_token.empty()) {
        auto token = Continue::decode(options.continue_token);
        continued = true;
        after = std::move(token.after);
        if (token.version != 0) snapshot = token.version;
    } else if (options.version_match == "Exact") {
        snapshot = *options.version;
    }
    std::optional<Collection> past;
    const auto* objects = &storage_.collection(call.resource->collection);
    if (snapshot != current) {
        past = storage_.at(call.resource->collection, call.path.ns, snapshot);
        if (!past && continued) {
            auto gone = expired(
                "The provided continue parameter is too old to display a consistent list result. "
                "You can start a new list without the continue parameter, or use the continue "
                "token in this response to retrieve the remainder of the results. Continuing with "
                "the provided token results in an inconsistent list - objects that were created, "
                "modified, or deleted between the time the first chunk was returned and now may "
                "show up in the list.");
            auto status = gone.to_status();
            const Continue rest{.version = 0, .after = std::move(after)};
            status["metadata"].as_object()["continue"] = rest.encode();
            return json_answer(410, kube::to_json(status));
        }
        if (!past) throw expired("The resourceVersion for the provided list is too old.");
        objects = &*past;
    }

    std::vector<Bytes> items;
    ListMeta meta{.version = snapshot, .continue_token = {}, .remaining = {}};
    auto it = objects->lower_bound(Key{call.path.ns, ""});
    if (continued) it = objects->upper_bound(after);
    for (; it != objects->end(); ++it) {
        if (!call.path.ns.empty() && it->first.ns != call.path.ns) break;
        if (!filter.matches(it->second.bytes)) continue;
        if (options.limit > 0 && items.size() == options.limit) break;
        items.push_back(it->second.bytes);
        after = it->first;
    }
    const auto in_scope = [&](const auto& entry) {
        return call.path.ns.empty() || entry.first.ns == call.path.ns;
    };
    if (it != objects->end() && in_scope(*it)) {
        meta.continue_token = Continue{.version = snapshot, .after = after}.encode();
        if (filter.all()) {
            meta.remaining = static_cast<std::size_t>(
                std::count_if(it, objects->end(), [&](const auto& e) { return in_scope(e); }));
        }
    }
    const Renderer renderer{call.resource, call.form};
    auto answer = json_answer(200, renderer.list(items, meta, std::chrono::system_clock::now()));
    answer.headers.set("Content-Type", renderer.content_type());
    return answer;
}

Answer Api::watch(Call& call) {
    const auto options = list_options(call.target, true);
    WatchStream::Options watching;
    watching.ns = call.path.ns;
    watching.name = call.path.name;
    watching.bookmarks = options.bookmarks;
    watching.timeout = options.timeout;
    const Filter filter{*call.resource, options};
    const auto current = storage_.version();
    const auto asked = options.version.value_or(0);
    const bool initial = options.send_initial_events.value_or(asked == 0);
    if (options.send_initial_events == true && asked > current)
        throw too_large_version(asked, current);

    watching.from = asked;
    if (initial || asked == 0) watching.from = current;
    if (initial) {
        const auto& objects = storage_.collection(call.resource->collection);
        for (auto it = objects.lower_bound(Key{watching.ns, ""}); it != objects.end(); ++it) {
            if (!watching.ns.empty() && it->first.ns != watching.ns) break;
            if (!watching.name.empty() && it->first.name != watching.name) continue;
            if (filter.matches(it->second.bytes)) watching.initial.push_back(it->second.bytes);
        }
        watching.initial_end = options.send_initial_events == true && options.bookmarks;
    }
    Answer answer;
    answer.headers.set("Content-Type", "application/json");
    answer.headers.set("Cache-Control", "no-cache, private");
    if (call.form.yaml) throw not_acceptable("application/json, application/json;stream=watch");
    answer.stream = std::make_unique<WatchStream>(executor_, storage_, call.resource, call.form,
                                                  filter, std::move(watching));
    return answer;
}

}  // namespace kled::api
