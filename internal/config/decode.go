package config

import (
	"fmt"
	"math"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gosalt/gosalt/internal/yaml11"
	"github.com/gosalt/gosalt/protocol/wire"
)

// option is one field of a configuration struct.
type option struct {
	name  string // Salt's name
	index []int  // of the field, for reflect
	unit  string // of a bare number of a duration: ms, s, min, h
	kind  string // the opt tag: path, text, strict, signed, ...
}

// options lists the options of a struct in the order of its fields; read only.
func options(t reflect.Type) []option {
	if list, ok := listed.Load(t); ok {
		return list.([]option)
	}
	list := make([]option, 0, 256)
	var walk func(t reflect.Type, at []int)
	walk = func(t reflect.Type, at []int) {
		for i := range t.NumField() {
			f := t.Field(i)
			index := append(slices.Clone(at), i)
			if f.Anonymous && f.Type.Kind() == reflect.Struct {
				walk(f.Type, index)
				continue
			}
			name, kind := f.Tag.Get("yaml"), f.Tag.Get("opt")
			if f.Anonymous || name == "" || name == "-" && kind == "" {
				continue
			}
			list = append(list, option{name: name, index: index, unit: f.Tag.Get("unit"), kind: kind})
		}
	}
	walk(t, nil)
	listed.Store(t, list)
	return list
}

var listed sync.Map // reflect.Type to []option

var (
	mapType      = reflect.TypeFor[*wire.Map]()
	durationType = reflect.TypeFor[time.Duration]()
	bytesType    = reflect.TypeFor[Bytes]()
	rootsType    = reflect.TypeFor[map[string][]string]()
	listType     = reflect.TypeFor[[]string]()
	triType      = reflect.TypeFor[*bool]()
)

// decode sets the options that root holds into the struct that into points at. It
// says which of them it has set; what is null stays at its default.
func (r *reader) decode(root *node, into any) (set map[string]*node) {
	v := reflect.ValueOf(into).Elem()
	set = map[string]*node{}
	for _, o := range options(v.Type()) {
		n := root.get(o.name)
		if n == nil || o.name == "-" || n.kind == scalarKind && n.scalar == nil {
			continue
		}
		expected, warning := o.assign(v.FieldByIndex(o.index), n)
		if expected != "" {
			r.add(Problem{File: n.file, Line: n.line, Column: n.col, Option: o.name, Severity: Error,
				Text: fmt.Sprintf("%s: expected %s, got %s", o.name, expected, describe(n))})
			continue
		}
		if warning != "" {
			r.add(Problem{File: n.file, Line: n.line, Column: n.col, Option: o.name, Severity: Warning,
				Text: o.name + ": " + warning})
		}
		set[o.name] = n
	}
	return set
}

// assign puts a value into a field. It returns what was expected where the value does
// not fit, and a warning where it fits with good will.
func (o option) assign(f reflect.Value, n *node) (expected, warning string) {
	switch f.Type() {
	case durationType:
		d, ok := duration(n, o.unit)
		if !ok || d < 0 && o.kind != "signed" {
			return fmt.Sprintf(`a time: a number of %s, or text such as "30s" or "5m"`, unitNames[o.unit]), ""
		}
		f.SetInt(int64(d))
		return "", ""
	case bytesType:
		b, ok := byteCount(n)
		if !ok {
			return `a size: a number of bytes, or text such as "100MiB"`, ""
		}
		f.SetInt(int64(b))
		return "", ""
	case triType:
		b, warning, ok := boolean(n)
		if !ok {
			return "True or False", ""
		}
		f.Set(reflect.ValueOf(&b))
		return "", warning
	case mapType:
		return o.assignMap(f, n), ""
	case rootsType:
		return o.assignRoots(f, n), ""
	case listType:
		return o.assignList(f, n), ""
	}
	switch f.Kind() {
	case reflect.Bool:
		b, warning, ok := boolean(n)
		if !ok {
			return "True or False", ""
		}
		if warning != "" && o.kind == "strict" {
			// Salt compares with True itself, so that nothing else turns this on.
			b, warning = false, fmt.Sprintf("%s does not turn it on: write True without quotes", describe(n))
		}
		f.SetBool(b)
		return "", warning
	case reflect.Int:
		i, ok := integer(n)
		if !ok {
			return "a whole number", ""
		}
		f.SetInt(i)
	case reflect.Float64:
		x, ok := number(n)
		if !ok {
			return "a number", ""
		}
		f.SetFloat(x)
	case reflect.Interface:
		f.Set(reflect.ValueOf(n.value()))
	case reflect.String:
		s, ok := text(n)
		if b, isBool := n.scalar.(bool); isBool && b && o.kind == "text-or-true" {
			s, ok = "True", true
		}
		if !ok {
			return "text", ""
		}
		f.SetString(s)
	default:
		panic("config: no decoding for a field of type " + f.Type().String())
	}
	return "", ""
}

func (o option) assignMap(f reflect.Value, n *node) (expected string) {
	switch {
	case n.kind == mapKind:
		f.Set(reflect.ValueOf(n.wireMap()))
		return ""
	case n.kind == listKind && o.kind == "map-or-dictlist":
		m := wire.NewMap()
		for _, e := range n.list {
			if e.kind != mapKind || len(e.keys) != 1 {
				return `a map, or a list of "name: value"`
			}
			m.SetAny(e.keys[0].scalar, e.vals[0].value())
		}
		f.Set(reflect.ValueOf(m))
		return ""
	}
	return `a map: lines "name: value", indented`
}

// assignRoots reads the directories of each environment. Patterns are replaced by what
// they match.
func (o option) assignRoots(f reflect.Value, n *node) (expected string) {
	const want = `a map of environments, each with a list of directories`
	if n.kind != mapKind {
		return want
	}
	roots := map[string][]string{}
	for i, k := range n.keys {
		env, dirs := plainText(k), []string{}
		v := n.vals[i]
		if v.kind == mapKind || v.kind == scalarKind && v.scalar != nil {
			return fmt.Sprintf("%s; that of %s is %s", want, env, describe(v))
		}
		for _, d := range v.list {
			dir, ok := text(d)
			if !ok || dir == "" {
				return fmt.Sprintf("%s; one of %s is %s", want, env, describe(d))
			}
			if strings.ContainsAny(dir, "*?[") {
				if found, err := filepath.Glob(dir); err == nil {
					dirs = append(dirs, found...)
					continue
				}
			}
			dirs = append(dirs, dir)
		}
		roots[env] = dirs
	}
	f.Set(reflect.ValueOf(roots))
	return ""
}

func (o option) assignList(f reflect.Value, n *node) (expected string) {
	want := `a list: lines "- value", indented`
	if o.kind == "text" {
		want = "text or a list of texts"
	}
	var list []string
	switch {
	case n.kind == scalarKind && o.kind == "text":
		s, ok := text(n)
		if !ok {
			return want
		}
		list = []string{s}
	case n.kind != listKind:
		return want
	}
	for _, e := range n.list {
		s, ok := text(e)
		if !ok {
			return fmt.Sprintf("%s; one of them is %s", want, describe(e))
		}
		list = append(list, s)
	}
	f.Set(reflect.ValueOf(list))
	return ""
}

// text takes texts and numbers, and False for "no text".
func text(n *node) (string, bool) {
	switch v := n.scalar.(type) {
	case bool:
		return "", !v
	case string, int64, uint64, float64:
		return plainText(n), true
	}
	return "", false
}

// plainText is a scalar as Python's str() shows it.
func plainText(n *node) string {
	switch v := n.scalar.(type) {
	case nil:
		return "None"
	case bool:
		if v {
			return "True"
		}
		return "False"
	case string:
		return v
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1e16 {
			return strconv.FormatFloat(v, 'f', 1, 64)
		}
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	return fmt.Sprint(n.scalar)
}

// boolean takes YAML's bools, and with a warning 0, 1 and texts that spell one.
func boolean(n *node) (b bool, warning string, ok bool) {
	switch v := n.scalar.(type) {
	case bool:
		return v, "", true
	case int64:
		if v == 0 || v == 1 {
			return v == 1, fmt.Sprintf("%d is taken as %v: write True or False", v, plainText(&node{scalar: v == 1})), true
		}
	case string:
		if b, ok := yaml11.Resolve(v).(bool); ok {
			return b, fmt.Sprintf("%q is taken as %s: write it without quotes", v, plainText(&node{scalar: b})), true
		}
	}
	return false, "", false
}

// integer takes whole numbers, also as text.
func integer(n *node) (int64, bool) {
	switch v := n.scalar.(type) {
	case int64:
		return v, true
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return int64(v), true
		}
	case string:
		i, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
		return i, err == nil
	}
	return 0, false
}

// number takes numbers, also as text.
func number(n *node) (float64, bool) {
	switch v := n.scalar.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, !math.IsNaN(v) && !math.IsInf(v, 0)
	case string:
		x, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
		return x, err == nil && !math.IsNaN(x) && !math.IsInf(x, 0)
	}
	return 0, false
}

var units = map[string]time.Duration{"ms": time.Millisecond, "s": time.Second, "min": time.Minute, "h": time.Hour}

var unitNames = map[string]string{"ms": "milliseconds", "s": "seconds", "min": "minutes", "h": "hours"}

// duration takes a number in the option's unit, or text with units: 90s, 1h30m, 7d.
func duration(n *node, unit string) (time.Duration, bool) {
	if x, ok := number(n); ok {
		d := x * float64(units[unit])
		return time.Duration(d), math.Abs(d) < 1<<62
	}
	s, ok := n.scalar.(string)
	if !ok {
		return 0, false
	}
	return ParseDuration(s)
}

// ParseDuration reads a time as all options have it: 90s, 1h30m, 7d, 1d12h.
func ParseDuration(s string) (time.Duration, bool) {
	s = strings.TrimSpace(s)
	days := time.Duration(0)
	if head, rest, found := strings.Cut(s, "d"); found {
		n, err := strconv.ParseUint(head, 10, 16)
		if err != nil {
			return 0, false
		}
		if days = time.Duration(n) * 24 * time.Hour; rest == "" {
			return days, true
		}
		s = rest
	}
	d, err := time.ParseDuration(s)
	return days + d, err == nil
}

// byteCount takes a number of bytes, or a number with a unit.
func byteCount(n *node) (Bytes, bool) {
	if i, ok := integer(n); ok {
		return Bytes(i), i >= 0
	}
	s, ok := n.scalar.(string)
	if !ok {
		return 0, false
	}
	s = strings.TrimSpace(s)
	i := strings.LastIndexAny(s, "0123456789") + 1
	x, err := strconv.ParseFloat(s[:i], 64)
	unit := strings.TrimSpace(s[i:])
	k := slices.IndexFunc(byteUnits, func(u byteUnit) bool { return u.name == unit })
	if err != nil || k < 0 || x < 0 || x*float64(byteUnits[k].size) >= 1<<62 {
		return 0, false
	}
	return Bytes(x * float64(byteUnits[k].size)), true
}
