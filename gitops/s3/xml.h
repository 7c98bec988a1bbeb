/// The little XML that S3 servers answer with, and no more of XML than that.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace kled::gitops::s3 {

/// Goes over a document element by element, without recursion and without building anything of it.
/// Elements, text, CDATA, comments, the five entities and character references (XML 1.0);
/// attributes are passed over, names are without their prefix. A document type is refused, and with
/// it every entity that could be declared. Error(invalid) for what is no such document,
/// Error(exhausted) past `depth_limit`. The text outlives it.
class XmlReader {
public:
    static constexpr std::size_t depth_limit = 16;

    explicit XmlReader(std::string_view text);

    enum class What { open, close, end };
    /// Up to the next element's beginning or end; `end` once, after the root's.
    What next();

    /// Of the element that began or ended just now.
    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    /// At its end: what stands in it and in none of its children, references resolved.
    [[nodiscard]] const std::string& text() const noexcept { return content_; }
    /// How many elements enclose it.
    [[nodiscard]] std::size_t depth() const noexcept { return open_.size(); }

private:
    struct Element {
        std::string tag;  ///< with its prefix, as its end must repeat it
        std::string text;
    };

    [[nodiscard]] bool take(std::string_view what);
    void skip_past(std::string_view end, std::string_view of);
    void read_text();
    void read_reference();
    What read_start();
    What read_end();
    [[nodiscard]] std::string read_name();
    void skip_space();
    [[noreturn]] void fail(const std::string& what) const;

    std::string_view all_;
    std::string_view rest_;
    std::vector<Element> open_;
    std::string name_;
    std::string content_;
    bool empty_ = false;  ///< `<a/>`: its end comes next
    bool rooted_ = false;
};

}  // namespace kled::gitops::s3
