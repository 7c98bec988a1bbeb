package main

import (
	"reflect"
	"strconv"
	"strings"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	apiregistration "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
)

// number is a field's place in protobuf: its own number, and those of the messages it is embedded in, from
// the outside in, when JSON shows it higher up (Volume.volumeSource.emptyDir is Volume.emptyDir).
type number struct {
	own      int
	embedded [2]int
	always   bool // Go's encoder writes the field even when it was never set
}

// goTypes returns, by OpenAPI name, the JSON fields of every struct reachable from the registered kinds.
func goTypes() map[string]map[string]number {
	all := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{scheme.AddToScheme, apiextensions.AddToScheme, apiregistration.AddToScheme} {
		if err := add(all); err != nil {
			panic(err)
		}
	}
	types := map[string]map[string]number{}
	for _, t := range all.AllKnownTypes() {
		visit(t, types)
	}
	return types
}

func visit(t reflect.Type, types map[string]map[string]number) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		visit(t.Elem(), types)
		return
	case reflect.Struct:
	default:
		return
	}
	name := openAPIName(t)
	if _, known := types[name]; known || leaves[name] != "" {
		return
	}
	fields := map[string]number{}
	types[name] = fields
	collect(t, [2]int{}, fields, types)
}

func collect(t reflect.Type, embedded [2]int, fields map[string]number, types map[string]map[string]number) {
	for i := range t.NumField() {
		field := t.Field(i)
		if !field.IsExported() {
			continue
		}
		own := protobufNumber(field.Tag.Get("protobuf"))
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "-" {
			continue
		}
		if strings.Contains(options, "inline") || (field.Anonymous && name == "") {
			outer := embedded
			switch {
			case own == 0: // TypeMeta: the envelope carries it
			case outer[0] == 0:
				outer[0] = own
			case outer[1] == 0:
				outer[1] = own
			default:
				panic(t.String() + "." + field.Name + ": embedded too deep")
			}
			if own == 0 && field.Type.Name() != "TypeMeta" {
				panic(t.String() + "." + field.Name + ": inline, but without a number")
			}
			inner := field.Type
			if inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			collect(inner, outer, fields, types)
			continue
		}
		if name == "" {
			name = field.Name
		}
		if t.Name() == "TypeMeta" {
			own = 0
		}
		always := !strings.Contains(options, "omitempty") || field.Type.Kind() == reflect.Struct
		fields[name] = number{own, embedded, always && !strings.Contains(options, "omitzero")}
		visit(field.Type, types)
	}
}

// protobufNumber reads a tag such as "bytes,2,opt,name=spec"; 0: not in protobuf.
func protobufNumber(tag string) int {
	parts := strings.Split(tag, ",")
	if len(parts) < 2 {
		return 0
	}
	n, err := strconv.Atoi(parts[1])
	if err != nil {
		return 0
	}
	return n
}

// openAPIName is the name kube-openapi gives a Go type: the reversed host, the path, the type.
func openAPIName(t reflect.Type) string {
	path := strings.Split(t.PkgPath(), "/")
	host := strings.Split(path[0], ".")
	for i, j := 0, len(host)-1; i < j; i, j = i+1, j-1 {
		host[i], host[j] = host[j], host[i]
	}
	return strings.Join(append(host, append(path[1:], t.Name())...), ".")
}
