package module

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/gosalt/gosalt/protocol/wire"
)

// ToWire makes what a Go function returned into the wire's value model: structs
// become maps in the order of their fields, named in snake case or by a tag
// `wire:"name,omitempty"` ("-" leaves a field out); other maps are sorted by key;
// durations are seconds. It fails for what no reader could take: channels,
// functions, complex numbers, maps whose keys are neither text nor numbers.
func ToWire(v any) (any, error) {
	switch v := v.(type) {
	case nil, bool, int64, uint64, float64, string, []byte, time.Time:
		return v, nil
	case *wire.Map:
		if v == nil {
			return nil, nil
		}
		return mapToWire(v)
	case []any:
		return listToWire(v)
	case error:
		return v.Error(), nil
	case time.Duration:
		return v.Seconds(), nil
	}
	return reflectToWire(reflect.ValueOf(v))
}

// mapToWire converts the values of a map; the map itself is returned when all of
// them are fine already, which is the common case.
func mapToWire(m *wire.Map) (any, error) {
	var out *wire.Map
	i := 0
	for k, v := range m.All() {
		w, err := ToWire(v)
		if err != nil {
			return nil, err
		}
		if out == nil && !same(v, w) {
			out = wire.NewMap()
			n := 0
			for k, v := range m.All() {
				if n == i {
					break
				}
				out.SetAny(k, v)
				n++
			}
		}
		if out != nil {
			out.SetAny(k, w)
		}
		i++
	}
	if out == nil {
		return m, nil
	}
	return out, nil
}

func listToWire(l []any) (any, error) {
	var out []any
	for i, v := range l {
		w, err := ToWire(v)
		if err != nil {
			return nil, err
		}
		if out == nil && !same(v, w) {
			out = append(make([]any, 0, len(l)), l[:i]...)
		}
		if out != nil {
			out = append(out, w)
		}
	}
	if out == nil {
		if l == nil {
			return []any{}, nil
		}
		return l, nil
	}
	return out, nil
}

// same tells whether conversion left a value as it was, without comparing contents.
func same(a, b any) bool {
	switch a := a.(type) {
	case *wire.Map:
		m, ok := b.(*wire.Map)
		return ok && m == a
	case []any:
		l, ok := b.([]any)
		return ok && len(l) == len(a) && (len(l) == 0 && a != nil || len(l) > 0 && &l[0] == &a[0])
	case nil, bool, int64, uint64, float64, string, []byte, time.Time:
		return true
	}
	return false
}

func reflectToWire(v reflect.Value) (any, error) {
	switch v.Kind() {
	case reflect.Bool:
		return v.Bool(), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return v.Int(), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if n := v.Uint(); n > 1<<63-1 {
			return n, nil
		}
		return int64(v.Uint()), nil
	case reflect.Float32, reflect.Float64:
		return v.Float(), nil
	case reflect.String:
		return v.String(), nil
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil, nil
		}
		return ToWire(v.Elem().Interface())
	case reflect.Slice, reflect.Array:
		out := make([]any, v.Len())
		for i := range out {
			e, err := ToWire(v.Index(i).Interface())
			if err != nil {
				return nil, err
			}
			out[i] = e
		}
		return out, nil
	case reflect.Map:
		return goMapToWire(v)
	case reflect.Struct:
		return structToWire(v)
	}
	return nil, fmt.Errorf("a value of type %s cannot be returned", v.Type())
}

func goMapToWire(v reflect.Value) (any, error) {
	type entry struct{ key, val any }
	entries := make([]entry, 0, v.Len())
	for iter := v.MapRange(); iter.Next(); {
		k, err := ToWire(iter.Key().Interface())
		if err != nil {
			return nil, err
		}
		switch k.(type) {
		case string, int64, uint64:
		default:
			return nil, fmt.Errorf("a map with keys of type %s cannot be returned", v.Type().Key())
		}
		val, err := ToWire(iter.Value().Interface())
		if err != nil {
			return nil, err
		}
		entries = append(entries, entry{k, val})
	}
	slices.SortFunc(entries, func(a, b entry) int {
		x, isInt := a.key.(int64)
		y, both := b.key.(int64)
		if isInt && both {
			return int(min(1, max(-1, x-y)))
		}
		return strings.Compare(fmt.Sprint(a.key), fmt.Sprint(b.key))
	})
	m := wire.NewMap()
	for _, e := range entries {
		m.SetAny(e.key, e.val)
	}
	return m, nil
}

func structToWire(v reflect.Value) (any, error) {
	m := wire.NewMap()
	t := v.Type()
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() {
			continue
		}
		name, flags, _ := strings.Cut(f.Tag.Get("wire"), ",")
		if name == "-" || flags == "omitempty" && v.Field(i).IsZero() {
			continue
		}
		if name == "" {
			name = snake(f.Name)
		}
		w, err := ToWire(v.Field(i).Interface())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		m.Set(name, w)
	}
	return m, nil
}
