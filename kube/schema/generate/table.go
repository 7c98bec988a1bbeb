package main

import (
	"fmt"
	"log"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// The rows mirror kube/schema/table.h.
type typeRow struct {
	kind, name, listType, flags      int
	keys, keyCount                   int
	firstField, fieldCount, elements int
}

type fieldRow struct {
	name, typ, number, embedded, flags, mergeKey, defaultValue int
}

type table struct {
	documents map[string]*schema
	numbers   map[string]map[string]number
	strings   pool
	types     []typeRow
	fields    []fieldRow
	lists     []int // strings of list-map keys, names, verbs …; each list's place is found by its content
	listAt    map[string]int
	byName    map[string]int // OpenAPI name → type
	byShape   map[typeRow]int
	roots     []rootRow
	resources []resource
}

type rootRow struct {
	kind gvk
	typ  int
}

// Enumerators of kled::kube::TypeSchema::Kind, in its order.
var kinds = []string{
	"any", "string", "bytes", "boolean", "int32", "int64", "number", "time", "micro_time", "duration", "quantity", "int_or_string", "object", "list", "map",
}

var listTypes = []string{"none", "atomic", "set", "map"}

const (
	atomicFlag = 1

	patchMerge      = 1
	patchRetainKeys = 2
	patchReplace    = 4
	alwaysEncoded   = 8
)

// Types that JSON or protobuf write in a way of their own.
var leaves = map[string]string{
	"io.k8s.apimachinery.pkg.apis.meta.v1.Time":                                                "time",
	"io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime":                                           "micro_time",
	"io.k8s.apimachinery.pkg.apis.meta.v1.Duration":                                            "duration",
	"io.k8s.apimachinery.pkg.api.resource.Quantity":                                            "quantity",
	"io.k8s.apimachinery.pkg.util.intstr.IntOrString":                                          "int_or_string",
	"io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1":                                            "any",
	"io.k8s.apimachinery.pkg.runtime.RawExtension":                                             "any",
	"io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON":                            "any",
	"io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray":          "any",
	"io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool":           "any",
	"io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray":    "any",
	"io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceSubresourceStatus": "any",
}

func build(documents map[string]*schema, numbers map[string]map[string]number, resources []resource) *table {
	t := &table{
		documents: documents, numbers: numbers, resources: resources,
		listAt: map[string]int{}, byName: map[string]int{}, byShape: map[typeRow]int{},
	}
	t.strings.add("")
	for _, name := range sortedKeys(documents) {
		for _, kind := range documents[name].Kinds {
			if t.wanted(kind) {
				t.roots = append(t.roots, rootRow{kind, t.named(name)})
			}
		}
	}
	sort.Slice(t.roots, func(i, j int) bool {
		a, b := t.roots[i].kind, t.roots[j].kind
		return a.Group+"\n"+a.Version+"\n"+a.Kind < b.Group+"\n"+b.Version+"\n"+b.Kind
	})
	t.roots = slices.Compact(t.roots)
	return t
}

// wanted: every kind of a GA version except lists and, out of the core group, the shared ones.
func (t *table) wanted(kind gvk) bool {
	if strings.HasSuffix(kind.Kind, "List") || strings.Trim(kind.Version, "v0123456789") != "" {
		return false
	}
	switch kind.Kind {
	case "WatchEvent", "APIGroup", "APIVersions":
		return false
	case "DeleteOptions", "Status":
		return kind.Group == ""
	}
	return true
}

// named is the type of an OpenAPI name, built on first use.
func (t *table) named(name string) int {
	if at, known := t.byName[name]; known {
		return at
	}
	s, known := t.documents[name]
	if !known {
		log.Fatalf("%s: not in the OpenAPI documents", name)
	}
	if kind, ok := leaves[name]; ok {
		row := typeRow{kind: slices.Index(kinds, kind), name: t.strings.add(name)}
		if name == "io.k8s.apimachinery.pkg.runtime.RawExtension" {
			row.flags = atomicFlag
		}
		return t.shape(row)
	}
	if len(s.Properties) == 0 {
		if s.Type == "object" && s.AdditionalProperties == nil {
			row := typeRow{kind: slices.Index(kinds, "object"), name: t.strings.add(name)} // an empty message
			at := t.shape(row)
			t.byName[name] = at
			return at
		}
		return t.of(s, name)
	}
	at := len(t.types)
	t.byName[name] = at
	row := typeRow{kind: slices.Index(kinds, "object"), name: t.strings.add(name)}
	if s.MapType == "atomic" {
		row.flags = atomicFlag
	}
	t.types = append(t.types, row)
	var fields []fieldRow
	for _, property := range sortedKeys(s.Properties) {
		fields = append(fields, t.field(name, property, s.Properties[property]))
	}
	row.firstField, row.fieldCount = len(t.fields), len(fields)
	t.fields = append(t.fields, fields...)
	t.types[at] = row
	return at
}

func (t *table) field(owner, property string, s *schema) fieldRow {
	row := fieldRow{name: t.strings.add(property), typ: t.of(s, owner+"."+property)}
	numbers, known := t.numbers[owner]
	if !known {
		log.Fatalf("%s: no such Go type", owner)
	}
	n, known := numbers[property]
	if !known {
		log.Fatalf("%s.%s: no such field in the Go type", owner, property)
	}
	row.number, row.embedded = n.own, n.embedded[0]+n.embedded[1]<<8
	if n.always {
		row.flags |= alwaysEncoded
	}
	for _, word := range strings.Split(s.PatchStrategy, ",") {
		switch word {
		case "merge":
			row.flags |= patchMerge
		case "retainKeys":
			row.flags |= patchRetainKeys
		case "replace":
			row.flags |= patchReplace
		case "":
		default:
			log.Fatalf("%s.%s: patch strategy %q", owner, property, word)
		}
	}
	row.mergeKey = t.strings.add(s.PatchMergeKey)
	if d := string(s.Default); d != "" && d != "{}" && d != "[]" && d != "null" {
		row.defaultValue = t.strings.add(d)
	}
	return row
}

// of is the type of a schema that stands at `where`.
func (t *table) of(s *schema, where string) int {
	if name := s.ref(); name != "" {
		at := t.named(name)
		return t.overridden(at, s, where)
	}
	row := typeRow{}
	switch s.Type {
	case "string":
		row.kind = slices.Index(kinds, map[string]string{"": "string", "byte": "bytes", "date-time": "time", "int-or-string": "int_or_string"}[s.Format])
	case "boolean":
		row.kind = slices.Index(kinds, "boolean")
	case "integer":
		row.kind = slices.Index(kinds, s.Format) // int32, int64
	case "number":
		row.kind = slices.Index(kinds, "number")
	case "array":
		row.kind = slices.Index(kinds, "list")
		row.elements = t.of(s.Items, where+"[]")
		listType, keys := listType(s, where)
		row.listType = slices.Index(listTypes, listType)
		row.keys, row.keyCount = t.list(keys), len(keys)
	case "object":
		row.kind = slices.Index(kinds, "map")
		if s.AdditionalProperties == nil {
			log.Fatalf("%s: an object of nothing", where)
		}
		row.elements = t.of(s.AdditionalProperties, where+"{}")
		if s.MapType == "atomic" {
			row.flags = atomicFlag
		}
	default:
		log.Fatalf("%s: type %q", where, s.Type)
	}
	if row.kind < 0 {
		log.Fatalf("%s: type %q, format %q", where, s.Type, s.Format)
	}
	return t.shape(row)
}

// overridden applies a map type that a field gives to the type it refers to.
func (t *table) overridden(at int, s *schema, where string) int {
	row := t.types[at]
	switch s.MapType {
	case "":
		return at
	case "atomic":
		row.flags |= atomicFlag
	case "granular":
		row.flags &^= atomicFlag
	default:
		log.Fatalf("%s: map type %q", where, s.MapType)
	}
	if row == t.types[at] {
		return at
	}
	if row.fieldCount == 0 {
		log.Fatalf("%s: map type of a type that is not complete yet", where)
	}
	return t.shape(row)
}

// listType follows kube-openapi's schemaconv: the patch strategy stands in where there is no list type.
func listType(s *schema, where string) (string, []string) {
	switch {
	case s.ListType != "":
		return s.ListType, s.ListMapKeys
	case s.PatchStrategy == "merge" || s.PatchStrategy == "merge,retainKeys":
		if s.PatchMergeKey == "" {
			return "set", nil
		}
		return "map", []string{s.PatchMergeKey}
	}
	return "atomic", nil
}

func (t *table) shape(row typeRow) int {
	if at, known := t.byShape[row]; known {
		return at
	}
	at := len(t.types)
	t.byShape[row] = at
	t.types = append(t.types, row)
	return at
}

// list is the place of a list of strings; equal lists share it.
func (t *table) list(values []string) int {
	if len(values) == 0 {
		return 0
	}
	key := strings.Join(values, "\n")
	if at, known := t.listAt[key]; known {
		return at
	}
	at := len(t.lists)
	t.listAt[key] = at
	for _, value := range values {
		t.lists = append(t.lists, t.strings.add(value))
	}
	return at
}

type pool struct {
	values []string
	at     map[string]int
}

func (p *pool) add(value string) int {
	if at, known := p.at[value]; known {
		return at
	}
	if p.at == nil {
		p.at = map[string]int{}
	}
	p.at[value] = len(p.values)
	p.values = append(p.values, value)
	return len(p.values) - 1
}

// source is the text of table.cc.
func (t *table) source() string {
	var out strings.Builder
	line := func(format string, arguments ...any) { fmt.Fprintf(&out, format+"\n", arguments...) }
	rows := func(declaration string, count int, row func(int) string) {
		line("\n%s = {", declaration)
		width := 0
		for i := range count {
			text := row(i) + ","
			if width > 0 && width+len(text) > 160 {
				out.WriteString("\n")
				width = 0
			}
			out.WriteString(text)
			width += len(text)
		}
		line("\n};")
	}

	list := func(values []string) string { return fmt.Sprintf("{%d,%d}", t.list(values), len(values)) }
	str := t.strings.add
	var resources, subresources, roots []string
	for _, r := range t.resources {
		first := len(subresources)
		for _, s := range r.Subresources {
			subresources = append(subresources, fmt.Sprintf("{%d,%d,%d,%d,%s}", str(s.Name), str(s.Kind.Group), str(s.Kind.Version), str(s.Kind.Kind), list(s.Verbs)))
		}
		cluster := 0
		if r.Scope == "Cluster" {
			cluster = 1
		}
		resources = append(resources, fmt.Sprintf("{%d,%d,%d,%d,%d,%d,%s,%s,%s,{%d,%d}}", str(r.Group), str(r.Version), str(r.Kind), str(r.Plural), str(r.Singular), cluster,
			list(r.ShortNames), list(r.Categories), list(r.Verbs), first, len(r.Subresources)))
	}
	for _, r := range t.roots {
		roots = append(roots, fmt.Sprintf("{%d,%d,%d,%d}", str(r.kind.Group), str(r.kind.Version), str(r.kind.Kind), r.typ))
	}

	line("// Generated by kube/schema/generate from %s and the Go types of the same version; do not edit.", kubernetes)
	line("// clang-format off")
	line("#include \"kube/schema/table.h\"\n")
	line("namespace kled::kube::table {")
	out.WriteString("\nconst char text[] =")
	offsets, offset := []int{}, 0
	literal, chunk := "", 0
	for _, value := range t.strings.values {
		offsets = append(offsets, offset)
		offset += len(value)
		for len(value) > 0 {
			n := min(150-chunk, len(value))
			literal += value[:n]
			value, chunk = value[n:], chunk+n
			if chunk == 150 {
				out.WriteString("\n" + strconv.Quote(literal))
				literal, chunk = "", 0
			}
		}
	}
	out.WriteString("\n" + strconv.Quote(literal) + ";\n")
	offsets = append(offsets, offset)
	if offset > 65535*2 || len(t.types) > 65535 || len(t.fields) > 65535 {
		log.Fatal("the table outgrew its integers")
	}
	number := func(values []int) func(int) string { return func(i int) string { return strconv.Itoa(values[i]) } }
	rows("const std::uint32_t string_ends[]", len(t.strings.values), number(offsets[1:]))
	rows("const std::uint16_t lists[]", len(t.lists), number(t.lists))
	rows("const Type types[]", len(t.types), func(i int) string {
		r := t.types[i]
		return fmt.Sprintf("{%d,%d,%d,%d,%d,%d,%d,%d,%d}", r.kind, r.listType, r.flags, r.keyCount, r.keys, r.name, r.firstField, r.fieldCount, r.elements)
	})
	rows("const Field fields[]", len(t.fields), func(i int) string {
		r := t.fields[i]
		return fmt.Sprintf("{%d,%d,%d,%d,%d,%d,%d}", r.name, r.typ, r.number, r.embedded, r.flags, r.mergeKey, r.defaultValue)
	})
	texts := func(values []string) func(int) string { return func(i int) string { return values[i] } }
	rows("const Root roots[]", len(roots), texts(roots))
	rows("const Subresource subresources[]", len(subresources), texts(subresources))
	rows("const Resource resources[]", len(resources), texts(resources))
	line("\nconst std::size_t root_count = %d;\nconst std::size_t resource_count = %d;", len(roots), len(resources))
	line("\n}  // namespace kled::kube::table")
	return out.String()
}
