#include "gitops/s3/xml.h"

#include "base/encoding.h"
#include "base/error.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <utility>

namespace kled::gitops::s3 {

namespace {

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

/// Which characters end a name; the rest of UTF-8 may stand in one.
bool in_name(char c) {
    return !is_space(c) && std::string_view{"<>/=\"'&?!"}.find(c) == std::string_view::npos &&
           static_cast<unsigned char>(c) > 0x20 && c != 0x7f;
}

/// XML 1.0 §2.2, production 2.
bool is_character(std::uint32_t c) {
    return c == 0x9 || c == 0xA || c == 0xD || (c >= 0x20 && c <= 0xD7FF) ||
           (c >= 0xE000 && c <= 0xFFFD) || (c >= 0x10000 && c <= 0x10FFFF);
}

void append_utf8(std::string& text, std::uint32_t c) {
    const auto byte = [&](std::uint32_t value) { text += static_cast<char>(value); };
    if (c < 0x80) {
        byte(c);
    } else if (c < 0x800) {
        byte(0xC0U | (c >> 6U));
        byte(0x80U | (c & 0x3FU));
    } else if (c < 0x10000) {
        byte(0xE0U | (c >> 12U));
        byte(0x80U | ((c >> 6U) & 0x3FU));
        byte(0x80U | (c & 0x3FU));
    } else {
        byte(0xF0U | (c >> 18U));
        byte(0x80U | ((c >> 12U) & 0x3FU));
        byte(0x80U | ((c >> 6U) & 0x3FU));
        byte(0x80U | (c & 0x3FU));
    }
}

std::string local(const std::string& tag) { return tag.substr(tag.rfind(':') + 1); }

}  // namespace

XmlReader::XmlReader(std::string_view text) : all_{text}, rest_{text} {
    if (!is_utf8(text)) fail("it is not UTF-8");
    // Every code point that UTF-8 has and XML has not: control characters, U+FFFE and U+FFFF.
    const bool control = std::ranges::any_of(
        text, [](char c) { return static_cast<unsigned char>(c) < 0x20 && !is_space(c); });
    if (control || text.find("\xEF\xBF\xBE") != std::string_view::npos ||
        text.find("\xEF\xBF\xBF") != std::string_view::npos)
        fail("it has characters that XML has not");
    (void)take("\xEF\xBB\xBF");
    if (rest_.starts_with("<?xml") && rest_.size() > 5 && is_space(rest_[5]))
        skip_past("?>", "its declaration");
}

void XmlReader::fail(const std::string& what) const {
    const auto line = std::ranges::count(all_.substr(0, all_.size() - rest_.size()), '\n') + 1;
    throw Error{ErrorKind::invalid, "XML, line " + std::to_string(line) + ": " + what};
}

bool XmlReader::take(std::string_view what) {
    if (!rest_.starts_with(what)) return false;
    rest_.remove_prefix(what.size());
    return true;
}

void XmlReader::skip_past(std::string_view end, std::string_view of) {
    const auto at = rest_.find(end);
    if (at == std::string_view::npos) fail(std::string{of} + " has no end");
    rest_.remove_prefix(at + end.size());
}

void XmlReader::skip_space() {
    while (!rest_.empty() && is_space(rest_.front())) rest_.remove_prefix(1);
}

XmlReader::What XmlReader::next() {
    if (empty_) {
        empty_ = false;
        content_ = std::move(open_.back().text);
        open_.pop_back();
        return What::close;
    }
    for (;;) {
        if (!rest_.empty() && rest_.front() != '<') read_text();
        if (rest_.empty()) {
            if (!open_.empty()) fail("<" + open_.back().tag + "> has no end");
            if (!rooted_) fail("there is no element");
            return What::end;
        }
        if (take("<!--")) {
            skip_past("-->", "a comment");
        } else if (take("<![CDATA[")) {
            if (open_.empty()) fail("text outside of the root");
            const auto end = rest_.find("]]>");
            if (end == std::string_view::npos) fail("CDATA has no end");
            open_.back().text += rest_.substr(0, end);
            rest_.remove_prefix(end + 3);
        } else if (rest_.starts_with("<!")) {
            fail("a document type, which no answer has");
        } else if (take("<?")) {
            skip_past("?>", "an instruction");
        } else if (take("</")) {
            return read_end();
        } else {
            rest_.remove_prefix(1);
            return read_start();
        }
    }
}

void XmlReader::read_text() {
    while (!rest_.empty() && rest_.front() != '<') {
        if (rest_.front() == '&') {
            read_reference();
            continue;
        }
        const auto piece = rest_.substr(0, rest_.find_first_of("<&"));
        if (!open_.empty()) {
            open_.back().text += piece;
        } else if (!std::ranges::all_of(piece, is_space)) {
            fail("text outside of the root");
        }
        rest_.remove_prefix(piece.size());
    }
}

void XmlReader::read_reference() {
    if (open_.empty()) fail("text outside of the root");
    auto& text = open_.back().text;
    const auto end = rest_.substr(0, 12).find(';');  // the longest is &#x10FFFF;
    if (end == std::string_view::npos) fail("'&' without ';'");
    auto name = rest_.substr(1, end - 1);
    constexpr std::pair<std::string_view, char> known[] = {
        {"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''}};
    if (const auto* found =
            std::ranges::find(known, name, &std::pair<std::string_view, char>::first);
        found != std::end(known)) {
        text += found->second;
    } else if (name.starts_with('#')) {
        name.remove_prefix(1);
        const int base = name.starts_with('x') ? 16 : 10;
        if (base == 16) name.remove_prefix(1);
        std::uint32_t value = 0;
        const auto [stop, failed] =
            std::from_chars(name.data(), name.data() + name.size(), value, base);
        if (failed != std::errc{} || stop != name.data() + name.size() || !is_character(value))
            fail("a reference to no character");
        append_utf8(text, value);
    } else {
        fail("the entity '" + std::string{name} + "', which nothing declares");
    }
    rest_.remove_prefix(end + 1);
}

std::string XmlReader::read_name() {
    const auto end = std::ranges::find_if_not(rest_, in_name);
    std::string name{rest_.begin(), end};
    if (name.empty() || name.ends_with(':')) fail("'<' without a name");
    rest_.remove_prefix(name.size());
    return name;
}

XmlReader::What XmlReader::read_start() {
    if (open_.empty() && std::exchange(rooted_, true)) fail("a second root");
    if (open_.size() == depth_limit)
        throw Error{ErrorKind::exhausted, "XML: elements in elements, more than " +
                                              std::to_string(depth_limit) + " deep"};
    auto tag = read_name();
    for (;;) {  // attributes
        const auto before = rest_.size();
        skip_space();
        if (take(">")) break;
        if (take("/>")) {
            empty_ = true;
            break;
        }
        if (rest_.size() == before) fail("<" + tag + "> has no end");
        (void)read_name();
        skip_space();
        if (!take("=")) fail("an attribute of <" + tag + "> without a value");
        skip_space();
        if (rest_.empty() || (rest_.front() != '"' && rest_.front() != '\''))
            fail("an attribute of <" + tag + "> without quotes");
        const auto value = rest_.substr(1, rest_.find(rest_.front(), 1) - 1);
        if (value.size() + 2 > rest_.size()) fail("an attribute of <" + tag + "> has no end");
        if (value.find('<') != std::string_view::npos) fail("'<' in an attribute of <" + tag + ">");
        rest_.remove_prefix(value.size() + 2);
    }
    name_ = local(tag);
    open_.push_back({.tag = std::move(tag), .text = {}});
    return What::open;
}

XmlReader::What XmlReader::read_end() {
    const auto tag = read_name();
    skip_space();
    if (!take(">")) fail("</" + tag + " has no end");
    if (open_.empty() || open_.back().tag != tag)
        fail("</" + tag + "> ends nothing" +
             (open_.empty() ? std::string{} : "; <" + open_.back().tag + "> is open"));
    name_ = local(tag);
    content_ = std::move(open_.back().text);
    open_.pop_back();
    return What::close;
}

}  // namespace kled::gitops::s3
