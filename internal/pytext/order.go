package pytext

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gosalt/gosalt/protocol/wire"
)

func entries(m *wire.Map) (keys, vals []any) {
	keys = make([]any, 0, m.Len())
	vals = make([]any, 0, m.Len())
	for k, v := range m.All() {
		keys = append(keys, k)
		vals = append(vals, v)
	}
	return keys, vals
}

// Sorted returns the map's entries in the order of Python's sorted(): text by code
// point, numbers (and bools) by value. It is false, and the entries stay as they
// were, where Python raises TypeError: keys of kinds that do not compare.
func Sorted(m *wire.Map) (keys, vals []any, ok bool) {
	keys, vals = entries(m)
	if len(keys) < 2 {
		return keys, vals, true
	}
	for _, k := range keys {
		if !comparable2(keys[0], k) {
			return keys, vals, false
		}
	}
	k, v := sortBy(keys, vals, compareKeys)
	return k, v, true
}

// sortBy orders keys, and their values with them.
func sortBy(keys, vals []any, compare func(a, b any) int) ([]any, []any) {
	order := make([]int, len(keys))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return compare(keys[i], keys[j]) })
	k, v := make([]any, len(keys)), make([]any, len(keys))
	for i, o := range order {
		k[i], v[i] = keys[o], vals[o]
	}
	return k, v
}

// sortLoosely is pprint's order: kinds that do not compare are ordered by the name
// of their Python type.
func sortLoosely(keys, vals []any) ([]any, []any) {
	return sortBy(keys, vals, func(a, b any) int {
		if comparable2(a, b) {
			return compareKeys(a, b)
		}
		return strings.Compare(TypeName(a), TypeName(b))
	})
}

func kind(v any) string {
	switch n := TypeName(v); n {
	case "int", "float", "bool":
		return "number"
	default:
		return n
	}
}

// comparable2 tells whether Python can order the two keys.
func comparable2(a, b any) bool {
	k := kind(a)
	return k == kind(b) && (k == "number" || k == "str" || k == "bytes" || k == "datetime.datetime")
}

func compareKeys(a, b any) int {
	switch kind(a) {
	case "str":
		return strings.Compare(text(a), text(b))
	case "bytes":
		return bytes.Compare(a.([]byte), b.([]byte))
	case "datetime.datetime":
		return a.(time.Time).Compare(b.(time.Time))
	}
	if x, ok := a.(int64); ok {
		if y, ok := b.(int64); ok {
			return cmp.Compare(x, y)
		}
	}
	return cmp.Compare(Number(a), Number(b))
}

func text(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	return plain(v).(string)
}

// Number is the value of a number or bool; 0 for anything else.
func Number(v any) float64 {
	switch x := v.(type) {
	case bool:
		if x {
			return 1
		}
		return 0
	case int64:
		return float64(x)
	case uint64:
		return float64(x)
	case float64:
		return x
	case int:
		return float64(x)
	}
	if n, ok := plain(v).(number); ok {
		var f float64
		fmt.Sscan(string(n), &f)
		return f
	}
	return 0
}

// TypeName is the name of the Python type of a value: "str", "int", "NoneType".
func TypeName(v any) string {
	switch x := v.(type) {
	case nil:
		return "NoneType"
	case bool:
		return "bool"
	case string:
		return "str"
	case []byte:
		return "bytes"
	case float64:
		return "float"
	case []any:
		return "list"
	case *wire.Map:
		return "dict"
	case time.Time:
		return "datetime.datetime"
	case Ordered:
		return "OrderedDict"
	case Set:
		return "set"
	case Opaque:
		return x.Type
	}
	switch x := plain(v).(type) {
	case number:
		return "int"
	default:
		return TypeName(x)
	}
}
