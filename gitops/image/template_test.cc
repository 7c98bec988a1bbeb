#include "gitops/image/template.h"

#include "base/error.h"
#include "gitops/image/update.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kled::gitops {
namespace {

TemplateValue data() {
    const ElectedImages elected{
        {"apps:web", {.name = "registry.example.org/web", .tag = "2.0.0", .digest = {}}}};
    const ObjectIdentity web{"apps/v1", "Deployment", "web", "apps"};
    const ObjectIdentity values{"", "", "", ""};
    const FileChanges changes{
        {"web.yaml", {{web, {{"web:1", "registry.example.org/web:2.0.0", "apps:web"}}}}},
        {"values.yaml", {{values, {{"1.0.0", "2.0.0", "apps:web:tag"}}}}}};
    return message_data("flux-system", "images", changes, elected, {{"cluster", "prod"}});
}

std::string rendered(const std::string& text) { return render_template(text, data()); }

std::string failure(const std::string& text) {
    try {
        return "rendered " + rendered(text);
    } catch (const Error& error) {
        return error.what();
    }
}

TEST(Template, WritesWhatChanged) {
    EXPECT_EQ(rendered("Automated image update\n"
                       "\n"
                       "Automation name: {{ .AutomationObject }}\n"
                       "\n"
                       "Files:\n"
                       "{{ range $filename, $_ := .Changed.FileChanges -}}\n"
                       "- {{ $filename }}\n"
                       "{{ end -}}\n"
                       "\n"
                       "Objects:\n"
                       "{{ range $resource, $changes := .Changed.Objects -}}\n"
                       "- {{ $resource.Kind | lower }} {{ $resource.Name | upper }}\n"
                       "  Changes:\n"
                       "{{- range $_, $change := $changes }}\n"
                       "    {{ if contains \"web:2\" $change.NewValue -}}\n"
                       "    - {{ $change.OldValue }} -> {{ $change.NewValue }}\n"
                       "    {{ else -}}\n"
                       "    [skip ci]\n"
                       "    {{ end -}}\n"
                       "{{ end -}}\n"
                       "{{ end -}}\n"),
              "Automated image update\n"
              "\n"
              "Automation name: flux-system/images\n"
              "\n"
              "Files:\n"
              "- values.yaml\n"
              "- web.yaml\n"
              "Objects:\n"
              "-  \n"
              "  Changes:\n"
              "    [skip ci]\n"
              "    - deployment WEB\n"
              "  Changes:\n"
              "    - web:1 -> registry.example.org/web:2.0.0\n"
              "    ");
    EXPECT_EQ(rendered("{{range .Changed.Changes}}{{println .}}{{end}}"),
              "{1.0.0 2.0.0 apps:web:tag}\n"
              "{web:1 registry.example.org/web:2.0.0 apps:web}\n");
    EXPECT_EQ(rendered("{{ .Values.cluster }}{{ .Values.none }}"), "prod<no value>");
}

TEST(Template, KnowsWhatOlderVersionsOffered) {
    EXPECT_EQ(rendered("{{range .Updated.Images}}{{println .}}{{end}}"),
              "registry.example.org/web:2.0.0\n");
    EXPECT_EQ(rendered("{{range .Updated.Images}}{{.Registry}} {{.Repository}} {{.Identifier}} "
                       "{{.Policy.Name}}{{end}}"),
              "registry.example.org web 2.0.0 web");
    EXPECT_EQ(rendered("{{range $file, $_ := .Updated.Files}}{{$file}} {{end}}"
                       "{{range $o, $_ := .Updated.Objects}}{{$o}}{{end}}"),
              "values.yaml web.yaml {{{ } { }}}{{{apps/v1 Deployment} {web apps}}}");
}

TEST(Template, HasGosActions) {
    EXPECT_EQ(rendered("a {{- /* gone */ -}} b"), "ab");
    EXPECT_EQ(rendered("{{ $x := \"1\" }}{{ if true }}{{ $x = \"2\" }}{{ end }}{{ $x }}"), "2");
    EXPECT_EQ(rendered("{{ with .Values }}{{ .cluster }}{{ $.AutomationObject.Name }}{{ end }}"),
              "prodimages");
    EXPECT_EQ(rendered("{{ if false }}a{{ else if eq .Values.cluster \"prod\" }}b{{ else }}c{{ end "
                       "}}d"),
              "bd");
    EXPECT_EQ(rendered("{{ range .Values }}{{ . }}{{ else }}none{{ end }}"), "prod");
    EXPECT_EQ(rendered("{{ (index .Changed.Changes 0).NewValue }}{{ len .Values }}"), "2.0.01");
    EXPECT_EQ(rendered("{{ printf \"%s-%d%%\" `a` 3 }}|{{ print 1 2 \"x\" true }}"),
              "a-3%|1 2xtrue");
    EXPECT_EQ(rendered("{{ \"a,b\" | splitList \",\" | join \"+\" }}{{ and 1 0 }}{{ or 0 2 }}"),
              "a+b02");
    EXPECT_EQ(rendered("{{ \"x\" | default \"d\" }}{{ \"\" | default \"d\" }}{{ not 1 }}"),
              "xdfalse");
    EXPECT_EQ(rendered("{{ \"abcdef\" | trunc 3 }}{{ \"abcdef\" | substr 1 2 }}{{ quote \"q\" }}"),
              "abcb\"q\"");
}

TEST(Template, SaysWhatItDoesNotKnow) {
    using ::testing::StartsWith;
    EXPECT_EQ(failure("\n{{ env \"HOME\" }}"), "line 2: the function 'env' is not supported");
    EXPECT_EQ(failure("{{ .Nothing }}"), "line 1: there is no field '.Nothing' here");
    EXPECT_EQ(failure("{{ template \"x\" }}"), "line 1: 'template' is not supported");
    EXPECT_EQ(failure("{{ if true }}"), "line 1: 'if' without {{end}}");
    EXPECT_EQ(failure("{{ end }}"), "line 1: 'end' without its beginning");
    EXPECT_EQ(failure("{{ $x }}"), "line 1: the variable '$x' is not declared");
    EXPECT_EQ(failure("{{ upper 1 }}"), "line 1: upper: '1' is not a text");
    for (const auto* text : {"{{", "{{ }}", "{{ \"a }}", "{{ ( .Values }}", "{{ 1.5 }}",
                             "{{ . . }}", "{{ .Values | }}", "{{ ~ }}", "{{ range 3 }}{{ end }}",
                             "{{ printf \"%x\" 1 }}", "{{/* a", "{{ index .Changed.Changes 9 }}"}) {
        EXPECT_THAT(failure(text), StartsWith("line 1: ")) << text;
    }
}

TEST(Template, EndsWhereItWouldGrow) {
    const auto exhausted = [](const std::string& text) {
        try {
            static_cast<void>(rendered(text));
        } catch (const Error& error) {
            return error.kind() == ErrorKind::exhausted;
        }
        return false;
    };
    EXPECT_TRUE(exhausted(std::string(template_limit + 1, 'x')));
    std::string many = "{{ $l := splitList \",\" \"" + std::string(200, ',') + "\" }}";
    many += "{{ range $l }}{{ range $l }}{{ range $l }}x{{ end }}{{ end }}{{ end }}";
    EXPECT_TRUE(exhausted(many));
    // Each of a few steps, and gigabytes of memory.
    const auto long_text = "{{ $x := \"" + std::string(40'000, ',') + "\" }}";
    EXPECT_TRUE(exhausted(long_text + "{{ $l := splitList \",\" $x }}{{ join $x $l }}"));
    for (const auto* function : {"print", "println", "and"}) {
        auto many_times = long_text + "{{ " + function;
        for (int i = 0; i < 2'000; ++i) many_times += " $x";
        EXPECT_TRUE(exhausted(many_times + " }}")) << function;
    }
    std::string lists = long_text;
    for (int i = 0; i < 100; ++i)
        lists += "{{ $l" + std::to_string(i) + " := splitList \",\" $x }}";
    EXPECT_TRUE(exhausted(lists));
    std::string copies = long_text;
    for (int i = 0; i < 300; ++i) copies += "{{ $c := $x }}";
    copies += "{{ range splitList \",\" \",,,,\" }}";
    for (int i = 0; i < 50; ++i) copies += "{{ $c := $x }}{{ $c = upper $x }}";
    EXPECT_FALSE(exhausted(copies + "{{ end }}"));
    std::string nested;
    for (int i = 0; i < 100; ++i) nested += "{{ if true }}";
    EXPECT_EQ(failure(nested), "line 1: too deep");
}

}  // namespace
}  // namespace kled::gitops
