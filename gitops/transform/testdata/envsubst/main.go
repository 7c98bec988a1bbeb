// Writes expected.json: random texts, and what Flux's envsubst makes of them.
//
//	go run . -cases 1200 > expected.json
package main

import (
	"encoding/json"
	"flag"
	"math/rand"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/fluxcd/pkg/envsubst"
)

var vars = map[string]string{
	"empty": "", "word": "Hello", "path": "a/b/c.tar.gz", "number": "42", "one": "x",
	"upper": "ÀÉÎ straße", "lower": "éa ǆ", "spaces": "  a b ", "dollar": "$word", "star": "a*b?c",
	"Grüße": "ü", "_u": "l", "repeat": "abcabcabc", "truth": "true", "brackets": "[a-c]{}",
}

var names = []string{"empty", "word", "path", "number", "one", "upper", "lower", "spaces", "dollar",
	"star", "Grüße", "_u", "repeat", "truth", "brackets", "unset", "unset", "1a", "", "a-b", "#word"}
var pieces = []string{"a", "b", "/", "*", "?", "[a-c]", "[^a]", "\\", "\\/", "$", "$$", "{", "}", ":",
	"#", "%", "-", "=", "+", "1", "2", "-1", "0", " ", ".", "tar", "abc", "ü", "^", ",", "\n", "]", "["}
var operators = []string{"", "", "", "^", "^^", ",", ",,", ",^", "^,", ":", ":", ":=", ":-", ":?",
	":+", "=", "-", "#", "##", "%", "%%", "/", "//", "/#", "/%", "?", "::"}

func word(r *rand.Rand, depth int) string {
	var b strings.Builder
	for i := r.Intn(4); i > 0; i-- {
		if depth > 0 && r.Intn(5) == 0 {
			b.WriteString(call(r, depth-1))
		} else {
			b.WriteString(pieces[r.Intn(len(pieces))])
		}
	}
	return b.String()
}

func call(r *rand.Rand, depth int) string {
	text := "${" + names[r.Intn(len(names))]
	operator := operators[r.Intn(len(operators))]
	text += operator
	if operator != "" || r.Intn(20) == 0 {
		text += word(r, depth)
	}
	switch {
	case strings.HasPrefix(operator, "/") && r.Intn(8) > 0:
		text += "/" + word(r, depth)
	case operator == ":" && r.Intn(2) == 0:
		text = strings.TrimRight(text, "ab*?/[]{}$\\ .") + []string{"0", "1", "2", "-1", "-3", "9"}[r.Intn(6)]
		if r.Intn(2) == 0 {
			text += ":" + []string{"0", "1", "2", "-1", "-3", "9", "x"}[r.Intn(7)]
		}
	}
	if r.Intn(30) > 0 {
		text += "}"
	}
	return text
}

type result struct {
	In     string  `json:"in"`
	Strict *string `json:"strict"` // null: an error
	Loose  *string `json:"loose"`
}

func eval(text string, strict bool) (out *string) {
	defer func() {
		if recover() != nil {
			out = nil
		}
	}()
	s, err := envsubst.Eval(text, func(name string) (string, bool) {
		value, ok := vars[name]
		return value, ok || !strict
	})
	if err != nil {
		return nil
	}
	return &s
}

func main() {
	cases := flag.Int("cases", 1200, "how many")
	seed := flag.Int64("seed", 1, "of the random texts")
	flag.Parse()
	r := rand.New(rand.NewSource(*seed))
	all := []result{}
	for len(all) < *cases {
		text := ""
		for i := 1 + r.Intn(2); i > 0; i-- {
			text += word(r, 0) + call(r, 2)
		}
		c := result{In: text, Strict: eval(text, true), Loose: eval(text, false)}
		// JSON cannot carry what is cut in the middle of a letter.
		if c.Loose != nil && !utf8.ValidString(*c.Loose) {
			continue
		}
		// One in ten of those that are wrong is enough.
		if c.Loose == nil && r.Intn(10) > 0 {
			continue
		}
		all = append(all, c)
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	os.Stdout.WriteString("{\"vars\":")
	encoder.Encode(vars)
	os.Stdout.WriteString(",\"cases\":[\n")
	for i, c := range all {
		if i > 0 {
			os.Stdout.WriteString(",")
		}
		encoder.Encode(c)
	}
	os.Stdout.WriteString("]}\n")
}
