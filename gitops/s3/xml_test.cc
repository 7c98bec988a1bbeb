#include "gitops/s3/xml.h"

#include "base/error.h"

#include <gtest/gtest.h>

namespace kled::gitops::s3 {
namespace {

/// "(a(b'text')'…')": elements with their text at their ends.
std::string shape(std::string_view xml) {
    std::string result;
    XmlReader reader{xml};
    for (;;) {
        switch (reader.next()) {
            case XmlReader::What::end: return result;
            case XmlReader::What::open: result += "(" + reader.name(); break;
            case XmlReader::What::close: result += "'" + reader.text() + "')"; break;
        }
    }
}

std::string refused(std::string_view xml) {
    try {
        return "taken: " + shape(xml);
    } catch (const Error& error) {
        return error.what();
    }
}

TEST(S3Xml, ElementsHaveTheirOwnText) {
    EXPECT_EQ(
        shape("<?xml version='1.0'?>\n<!-- x --><a x=\"1>2\" y = '\"'>o<n:b>t</n:b>n<c/></a>\n"),
        "(a(b't')(c'')'on')");
}

TEST(S3Xml, ReferencesAndCdataAreTheirCharacters) {
    EXPECT_EQ(shape("<a>&lt;&amp;&gt;&quot;&apos;&#65;&#x20AC;&#x1F600;<![CDATA[<&]]></a>"),
              "(a'<&>\"'A€😀<&')");
}

TEST(S3Xml, WhatCouldDeclareSomethingIsRefused) {
    EXPECT_EQ(refused("<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>"),
              "XML, line 1: a document type, which no answer has");
    EXPECT_EQ(refused("<a>\n&b;</a>"), "XML, line 2: the entity 'b', which nothing declares");
}

TEST(S3Xml, WhatIsNotWellFormedIsRefused) {
    for (const auto* xml : {"",
                            "a",
                            "<a>",
                            "<a></b>",
                            "</a>",
                            "<a/><b/>",
                            "<a/>b",
                            "<a b></a>",
                            "<a b=c></a>",
                            "<a b='c></a>",
                            "<a b='<'/>",
                            "<a>&#0;</a>",
                            "<a>&#xD800;</a>",
                            "<a>&#x110000;</a>",
                            "<a>&#99999999999;</a>",
                            "<a>&amp</a>",
                            "<a><![CDATA[x</a>",
                            "<a><!-- x</a>",
                            "<>x</>",
                            "<a>\x01</a>",
                            "<a>\xff</a>",
                            "<a",
                            "<a:/>",
                            "< a/>",
                            "<a>&;</a>",
                            "<a>&#;</a>",
                            "<a>&#-1;</a>",
                            "<a>\xEF\xBF\xBF</a>"}) {
        EXPECT_TRUE(refused(xml).starts_with("XML, line ")) << xml << ": " << refused(xml);
    }
}

TEST(S3Xml, DepthHasALimit) {
    std::string deep;
    for (int i = 0; i < 17; ++i) deep += "<a>";
    EXPECT_EQ(refused(deep), "XML: elements in elements, more than 16 deep");
}

}  // namespace
}  // namespace kled::gitops::s3
