// Writes expected.json: which of some versions are in some ranges, and the order of the versions, as
// the library that Flux uses says.
//
//	go run . > expected.json
package main

import (
	"encoding/json"
	"math/rand"
	"os"
	"sort"
	"strings"

	"github.com/Masterminds/semver/v3"
)

var versions = []string{"0.0.0", "0.0.1", "0.0.2", "0.1.0", "0.2.3", "0.2.4-alpha", "1.0.0-alpha",
	"1.0.0-alpha.1", "1.0.0-beta", "1.0.0-rc.1", "1.0.0-rc.10", "1.0.0-rc.2", "v1.0.0", "1.0.1+build", "1.2.0",
	"1.2.3", "1.2.4-0", "1.2.30", "v1.10.0", "2.0.0-1", "2.0.0", "2.1.0", "3.0.0", "10.4.2", "2025.02.03-rc.1",
	"01.2.3", "1.2", "1", "v", "1.2.3.4", "1.2.3-", "1.2.3-01", "latest", "", "1.2.3+", "99999999999999999999.0.0",
	"1.0.0--", "1.0.0-a-b.c", " 1.0.0", "1.0.0 ", "V1.0.0"}
var operators = []string{"", "", "=", "!=", ">", "<", ">=", "=>", "<=", "=<", "~", "~>", "^", "==", "!"}
var parts = []string{"0", "1", "2", "3", "10", "x", "*", "X", "|"}
var pre = []string{"", "", "", "-0", "-alpha", "-rc.1", "+b", "-"}
var joins = []string{" ", ", ", ",", " || ", "||", " - ", "  "}

func one(r *rand.Rand) string {
	s := operators[r.Intn(len(operators))]
	if r.Intn(4) == 0 {
		s += " "
	}
	if r.Intn(6) == 0 {
		s += "v"
	}
	n := 1 + r.Intn(3)
	for i := 0; i < n; i++ {
		if i > 0 {
			s += "."
		}
		s += parts[r.Intn(len(parts)-r.Intn(2))]
	}
	return s + pre[r.Intn(len(pre))]
}

type result struct {
	Range string `json:"range"`
	In    []int  `json:"in"` // positions in versions; null: no range
}

func main() {
	r := rand.New(rand.NewSource(3))
	parse := func(s string) *semver.Version {
		if len(strings.SplitN(s, ".", 3)) != 3 {
			return nil
		}
		v, err := semver.NewVersion(s)
		if err != nil {
			return nil
		}
		return v
	}
	var order []*semver.Version
	for _, s := range versions {
		if v := parse(s); v != nil {
			order = append(order, v)
		}
	}
	sort.Stable(semver.Collection(order))
	sorted := []string{}
	for _, v := range order {
		sorted = append(sorted, v.Original())
	}
	ranges := []string{"", "*", "x", ">=1.0.0 <2.0.0", "1.x || ~3.1", "1.2 - 1.4.5", "^0.3", "^0.0.1", "^0",
		"~0", "~0.0.0", ">= 1.0.0-0", "1.0.0 - 2", "foo", ">=", "1.0.0,", "|| 1", "1.2.3 foo"}
	for len(ranges) < 900 {
		s := one(r)
		for i := r.Intn(3); i > 0; i-- {
			s += joins[r.Intn(len(joins))] + one(r)
		}
		ranges = append(ranges, s)
	}
	results := []result{}
	for _, s := range ranges {
		c, err := semver.NewConstraint(s)
		if err != nil {
			if len(s)%5 == 0 || len(results) < 40 {
				results = append(results, result{s, nil})
			}
			continue
		}
		in := []int{}
		for i, text := range versions {
			if v := parse(text); v != nil && c.Check(v) {
				in = append(in, i)
			}
		}
		results = append(results, result{s, in})
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	os.Stdout.WriteString("{\"versions\":")
	encoder.Encode(versions)
	os.Stdout.WriteString(",\"sorted\":")
	encoder.Encode(sorted)
	os.Stdout.WriteString(",\"ranges\":[\n")
	for i, c := range results {
		if i > 0 {
			os.Stdout.WriteString(",")
		}
		encoder.Encode(c)
	}
	os.Stdout.WriteString("]}\n")
}
