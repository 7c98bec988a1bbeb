// Command generate writes kube/schema/table.cc: what kled knows about the built-in kinds of Kubernetes.
//
// Three sources, all of one Kubernetes version, are joined and must agree: the published OpenAPI documents
// (field names, list and map types, merge keys, defaults), the published discovery document (resources), and the Go types (protobuf numbers).
// See docs/kube.md for how to run it.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
)

const kubernetes = "k8s.io/kubernetes@v1.34.4"

func main() {
	log.SetFlags(0)
	out := flag.String("o", "table.cc", "file to write")
	flag.Parse()
	root := module(kubernetes)
	documents := readOpenAPI(filepath.Join(root, "api/openapi-spec/v3"))
	resources := append(readCore(filepath.Join(root, "api/discovery/api__v1.json")), readGroups(filepath.Join(root, "api/discovery/aggregated_v2.json"))...)
	t := build(documents, goTypes(), resources)
	if err := os.WriteFile(*out, []byte(t.source()), 0o644); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d kinds, %d types, %d fields, %d strings\n", len(t.roots), len(t.types), len(t.fields), len(t.strings.values))
}

// module downloads a module's files and returns their folder.
func module(path string) string {
	text, err := exec.Command("go", "mod", "download", "-json", path).Output()
	if err != nil {
		log.Fatalf("go mod download %s: %v\n%s", path, err, text)
	}
	var answer struct{ Dir string }
	if err := json.Unmarshal(text, &answer); err != nil {
		log.Fatal(err)
	}
	return answer.Dir
}

// A schema of an OpenAPI v3 document, as far as the table needs it.
type schema struct {
	Ref                  string             `json:"$ref"`
	AllOf                []schema           `json:"allOf"`
	OneOf                []schema           `json:"oneOf"`
	Type                 string             `json:"type"`
	Format               string             `json:"format"`
	Default              json.RawMessage    `json:"default"`
	Required             []string           `json:"required"`
	Properties           map[string]*schema `json:"properties"`
	AdditionalProperties *schema            `json:"additionalProperties"`
	Items                *schema            `json:"items"`
	ListType             string             `json:"x-kubernetes-list-type"`
	ListMapKeys          []string           `json:"x-kubernetes-list-map-keys"`
	MapType              string             `json:"x-kubernetes-map-type"`
	PatchStrategy        string             `json:"x-kubernetes-patch-strategy"`
	PatchMergeKey        string             `json:"x-kubernetes-patch-merge-key"`
	Kinds                []gvk              `json:"x-kubernetes-group-version-kind"`
}

type gvk struct{ Group, Version, Kind string }

// ref is the name of the schema that s stands for, or "".
func (s *schema) ref() string {
	for _, r := range append([]schema{{Ref: s.Ref}}, s.AllOf...) {
		if r.Ref != "" {
			return r.Ref[strings.LastIndex(r.Ref, "/")+1:]
		}
	}
	return ""
}

var stable = regexp.MustCompile(`^(api|apis__.*)__v\d+_openapi\.json$`)

// readOpenAPI returns the named schemas of all GA group versions.
func readOpenAPI(folder string) map[string]*schema {
	all := map[string]*schema{}
	entries, err := os.ReadDir(folder)
	if err != nil {
		log.Fatal(err)
	}
	for _, entry := range entries {
		if !stable.MatchString(entry.Name()) {
			continue
		}
		var document struct {
			Components struct {
				Schemas map[string]*schema `json:"schemas"`
			} `json:"components"`
		}
		readJSON(filepath.Join(folder, entry.Name()), &document)
		for name, s := range document.Components.Schemas {
			if known, ok := all[name]; ok {
				s.Kinds = append(s.Kinds, known.Kinds...) // DeleteOptions: one of each group
			}
			all[name] = s
		}
	}
	return all
}

type resource struct {
	gvk
	Plural, Singular, Scope       string
	ShortNames, Categories, Verbs []string
	Subresources                  []subresource
}

type subresource struct {
	Name  string
	Kind  gvk
	Verbs []string
}

// readCore returns the resources of the core group, whose document is of the older form.
func readCore(file string) []resource {
	var list struct {
		Resources []struct {
			Name, SingularName, Group, Version, Kind string
			Namespaced                               bool
			ShortNames, Categories, Verbs            []string
		}
	}
	readJSON(file, &list)
	var resources []resource
	for _, r := range list.Resources {
		kind := gvk{r.Group, r.Version, r.Kind}
		if r.Version == "" {
			kind.Version = "v1"
		}
		if _, name, isSub := strings.Cut(r.Name, "/"); isSub { // listed right after their resource
			owner := &resources[len(resources)-1]
			owner.Subresources = append(owner.Subresources, subresource{name, kind, r.Verbs})
			continue
		}
		scope := "Cluster"
		if r.Namespaced {
			scope = "Namespaced"
		}
		resources = append(resources, resource{gvk: kind, Plural: r.Name, Singular: r.SingularName, Scope: scope, ShortNames: r.ShortNames, Categories: r.Categories, Verbs: r.Verbs})
	}
	return resources
}

// readGroups returns the resources of all GA versions of the named groups, in discovery order.
func readGroups(file string) []resource {
	type kind struct{ Group, Version, Kind string }
	type list struct {
		Items []struct {
			Metadata struct{ Name string }
			Versions []struct {
				Version   string
				Resources []struct {
					Resource, SingularResource, Scope string
					ResponseKind                      *kind
					ShortNames, Categories, Verbs     []string
					Subresources                      []struct {
						Subresource  string
						ResponseKind *kind
						Verbs        []string
					}
				}
			}
		}
	}
	var groups list
	readJSON(file, &groups)
	ga := regexp.MustCompile(`^v\d+$`)
	var resources []resource
	for _, group := range groups.Items {
		for _, version := range group.Versions {
			if !ga.MatchString(version.Version) {
				continue
			}
			full := func(k *kind) gvk {
				if k == nil {
					return gvk{}
				}
				g := gvk{k.Group, k.Version, k.Kind}
				if g.Version == "" {
					g.Group, g.Version = group.Metadata.Name, version.Version
				}
				return g
			}
			for _, r := range version.Resources {
				entry := resource{
					gvk: full(r.ResponseKind), Plural: r.Resource, Singular: r.SingularResource, Scope: r.Scope,
					ShortNames: r.ShortNames, Categories: r.Categories, Verbs: r.Verbs,
				}
				for _, s := range r.Subresources {
					entry.Subresources = append(entry.Subresources, subresource{s.Subresource, full(s.ResponseKind), s.Verbs})
				}
				resources = append(resources, entry)
			}
		}
	}
	return resources
}

func readJSON(file string, into any) {
	text, err := os.ReadFile(file)
	if err != nil {
		log.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		log.Fatalf("%s: %v", file, err)
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}
