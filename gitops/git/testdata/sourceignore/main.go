// Writes expected.json: which paths some .sourceignore files leave out, as Flux says.
//
//	go run . > expected.json
package main

import (
	"encoding/json"
	"math/rand"
	"os"
	"strings"

	"github.com/fluxcd/pkg/sourceignore"
)

var paths = []string{"a", "a.yaml", "b.png", "apps/a.yaml", "apps/b/c.yaml", "apps/b", "deploy/x.yaml",
	".git/config", ".github/w.yml", ".gitignore", "sub/.sops.yaml", ".sops.yaml", "x y", "docs/README.md",
	"apps/.gitattributes", "a/b/c/d.txt", "#x", "!x", "v1.tar.gz", "ü.yaml"}
var parts = []string{"a", "b", "*", "**", "*.yaml", "apps", "deploy", "?", "[a-c]*", "c.yaml", "x y", "[", "\\*", "", "ü*",
	"**.yaml", "docs"}
var fixed = []string{"/*\n!/deploy\n", "*.md\n!README.md\n", "# no\n\n  \napps/\n", "!a.yaml", "apps/**/c.yaml", "**/b",
	"/apps/b/", "apps/b/**", "**", "a \n", "x y\\ \n", "\\#x", "\r\na.yaml\r\n", "/**\n!/**/*.yaml\n"}

type result struct {
	Text     string `json:"text"`
	Domain   string `json:"domain"`
	Defaults bool   `json:"defaults"`
	Ignored  string `json:"ignored"`
}

func main() {
	r := rand.New(rand.NewSource(5))
	results := []result{}
	for i := 0; i < 400; i++ {
		text := ""
		if i < len(fixed) {
			text = fixed[i]
		} else {
			for n := 1 + r.Intn(3); n > 0; n-- {
				line := []string{"", "", "!", "/"}[r.Intn(4)]
				for k := 1 + r.Intn(3); k > 0; k-- {
					line += parts[r.Intn(len(parts))]
					if k > 1 || r.Intn(4) == 0 {
						line += "/"
					}
				}
				text += line + []string{"\n", "\n", " \n"}[r.Intn(3)]
			}
		}
		domain := []string{"", "", "", "apps", "a/b"}[r.Intn(5)]
		var in []string
		if domain != "" {
			in = strings.Split(domain, "/")
		}
		patterns := sourceignore.ReadPatterns(strings.NewReader(text), in)
		defaults := r.Intn(3) == 0
		matcher := sourceignore.NewMatcher(patterns)
		if defaults {
			matcher = sourceignore.NewDefaultMatcher(patterns, nil)
		}
		ignored := ""
		for _, p := range paths {
			for _, dir := range []bool{false, true} {
				switch {
				case !matcher.Match(strings.Split(p, "/"), dir):
					ignored += "-"
				case dir:
					ignored += "d"
				default:
					ignored += "f"
				}
			}
		}
		results = append(results, result{text, domain, defaults, ignored})
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	os.Stdout.WriteString("{\"paths\":")
	encoder.Encode(paths)
	os.Stdout.WriteString(",\"cases\":[\n")
	for i, c := range results {
		if i > 0 {
			os.Stdout.WriteString(",")
		}
		encoder.Encode(c)
	}
	os.Stdout.WriteString("]}\n")
}
