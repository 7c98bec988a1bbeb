#include "gitops/s3/answers.h"

#include "base/encoding.h"
#include "base/error.h"
#include "gitops/s3/xml.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace kled::gitops::s3 {

namespace {

Error bad(const std::string& what) { return {ErrorKind::invalid, "the list of objects: " + what}; }

/// As servers write keys where `encoding-type=url` was asked for: like a form's fields.
std::string decoded(std::string_view text) {
    std::string result;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '+') {
            result += ' ';
        } else if (text[i] != '%') {
            result += text[i];
        } else {
            const auto byte = from_hex(text.substr(i + 1, 2));
            if (!byte || byte->size() != 1) throw bad("a key with '%' and no byte");
            result += *byte;
            i += 2;
        }
    }
    return result;
}

std::uint64_t number(const std::string& text) {
    std::uint64_t value = 0;
    const auto* end = text.data() + text.size();
    const auto [stop, failed] = std::from_chars(text.data(), end, value);
    if (text.empty() || failed != std::errc{} || stop != end) throw bad("a size that is no number");
    return value;
}

std::string one_line(std::string text) {
    std::ranges::replace_if(text, [](unsigned char c) { return c < 0x20 || c == 0x7f; }, ' ');
    if (text.size() <= Refusal::message_limit) return text;
    auto end = Refusal::message_limit;  // not in the middle of a character
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
    return text.substr(0, end) + "…";
}

}  // namespace

std::string bare_etag(std::string_view etag) {
    // A proxy on the way may call a version weak that the list does not.
    if (etag.starts_with("W/")) etag.remove_prefix(2);
    if (etag.starts_with('"')) etag.remove_prefix(1);
    if (etag.ends_with('"')) etag.remove_suffix(1);
    return std::string{etag};
}

Listing parse_listing(std::string_view xml) {
    Listing result;
    bool encoded = false;
    bool truncated = false;
    XmlReader reader{xml};
    bool first = true;
    bool in_contents = false;
    ListedObject object;
    for (auto what = reader.next(); what != XmlReader::What::end; what = reader.next()) {
        const auto& name = reader.name();
        if (what == XmlReader::What::open) {
            if (first && name != "ListBucketResult") throw bad("<" + name + "> is none");
            first = false;
            if (reader.depth() == 2) in_contents = name == "Contents";
            continue;
        }
        const auto& text = reader.text();
        if (reader.depth() == 2 && in_contents) {
            if (name == "Key") object.key = text;
            if (name == "ETag") object.etag = bare_etag(text);
            if (name == "Size") object.size = number(text);
        } else if (reader.depth() == 1) {
            if (in_contents) {
                if (object.key.empty()) throw bad("an object without a key");
                result.objects.push_back(std::exchange(object, {}));
                in_contents = false;
            } else if (name == "IsTruncated") {
                truncated = text == "true";
            } else if (name == "NextContinuationToken") {
                result.next = text;
            } else if (name == "EncodingType") {
                encoded = text == "url";
            }
        }
    }
    for (auto& item : result.objects) {
        if (encoded) item.key = decoded(item.key);
        if (!is_utf8(item.key)) throw bad("a key that is not UTF-8");
    }
    if (!truncated) result.next.clear();
    if (truncated && result.next.empty()) throw bad("there is more, and no token to ask for it");
    return result;
}

Refusal parse_refusal(std::string_view body) {
    Refusal result;
    try {
        XmlReader reader{body};
        for (auto what = reader.next(); what != XmlReader::What::end; what = reader.next()) {
            if (what == XmlReader::What::open) {
                if (reader.depth() == 1 && reader.name() != "Error") return {};
                continue;
            }
            if (reader.depth() != 1) continue;
            if (reader.name() == "Code") result.code = one_line(reader.text());
            if (reader.name() == "Message") result.message = one_line(reader.text());
            if (reader.name() == "Region") result.region = one_line(reader.text());
        }
    } catch (const Error&) {  // a proxy's page, or nothing
        return {};
    }
    return result;
}

}  // namespace kled::gitops::s3
