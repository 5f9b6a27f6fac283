package py

import (
	"fmt"
	"iter"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"time"
)

// pairs is an ordered map of another package.
type pairs interface {
	Len() int
	All() iter.Seq2[any, any]
}

// FromGo makes a Value of what Go programs hold: numbers of every size, []byte
// as bytes, slices as lists, maps as dicts in the order of their sorted keys,
// ordered maps (with Len and All) as dicts, structs by the names of their
// exported fields. Containers are copied, so templates cannot change the
// program's data; values of this package and objects with one of its interfaces
// are used as they are. The error names a type that has no counterpart.
func FromGo(v any) (Value, error) { return fromGo(v, 0) }

// MustFromGo is FromGo for values that are known to convert; it panics otherwise.
func MustFromGo(v any) Value {
	x, err := FromGo(v)
	if err != nil {
		panic(err)
	}
	return x
}

func fromGo(v any, depth int) (Value, error) {
	if depth > maxNesting {
		return nil, fmt.Errorf("convert to a template value: nested deeper than %d", maxNesting)
	}
	switch x := v.(type) {
	case nil, bool, int64, float64, string, Markup, Bytes, *List, Tuple, *Dict, *Set, *Range, *Undefined, time.Time:
		return v, nil
	case *big.Int:
		return NewInt(x), nil
	case int:
		return int64(x), nil
	case uint64:
		if x > math.MaxInt64 {
			return new(big.Int).SetUint64(x), nil
		}
		return int64(x), nil
	case []byte:
		return Bytes(x), nil
	case []any:
		l := &List{Items: make([]Value, len(x))}
		for i, e := range x {
			var err error
			if l.Items[i], err = fromGo(e, depth+1); err != nil {
				return nil, err
			}
		}
		return l, nil
	case Callable, Attrs, Indexer, Iterable, Iterator, Printer:
		return v, nil
	case pairs:
		d := NewDict(x.Len())
		for k, e := range x.All() {
			if err := put(d, k, e, depth); err != nil {
				return nil, err
			}
		}
		return d, nil
	}
	return fromReflect(reflect.ValueOf(v), depth)
}

func put(d *Dict, k, v any, depth int) error {
	key, err := fromGo(k, depth+1)
	if err != nil {
		return err
	}
	val, err := fromGo(v, depth+1)
	if err != nil {
		return err
	}
	return d.Set(key, val)
}

func fromReflect(r reflect.Value, depth int) (Value, error) {
	switch r.Kind() {
	case reflect.Bool:
		return r.Bool(), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return r.Int(), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return fromGo(r.Uint(), depth)
	case reflect.Float32, reflect.Float64:
		return r.Float(), nil
	case reflect.String:
		return r.String(), nil
	case reflect.Pointer, reflect.Interface:
		if r.IsNil() {
			return nil, nil
		}
		return fromGo(r.Elem().Interface(), depth+1)
	case reflect.Slice, reflect.Array:
		l := &List{Items: make([]Value, r.Len())}
		for i := range l.Items {
			var err error
			if l.Items[i], err = fromGo(r.Index(i).Interface(), depth+1); err != nil {
				return nil, err
			}
		}
		return l, nil
	case reflect.Map:
		keys := r.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int {
			if a.Kind() == reflect.String {
				return strings.Compare(a.String(), b.String())
			}
			return strings.Compare(fmt.Sprint(a), fmt.Sprint(b))
		})
		d := NewDict(len(keys))
		for _, k := range keys {
			if err := put(d, k.Interface(), r.MapIndex(k).Interface(), depth); err != nil {
				return nil, err
			}
		}
		return d, nil
	case reflect.Struct:
		d := NewDict(r.NumField())
		for i := range r.NumField() {
			if f := r.Type().Field(i); f.IsExported() {
				v, err := fromGo(r.Field(i).Interface(), depth+1)
				if err != nil {
					return nil, err
				}
				d.SetStr(f.Name, v)
			}
		}
		return d, nil
	}
	return nil, fmt.Errorf("convert to a template value: %s has no counterpart in templates", r.Type())
}

// Copy copies lists, dicts, sets and tuples, and those in them, as Python's
// copy.deepcopy does: what was one object twice is one in the copy too. Other
// objects are shared. Renders that may change a value each need a copy.
func Copy(v Value) Value { return deepCopy(v, map[any]Value{}, 0) }

func deepCopy(v Value, done map[any]Value, depth int) Value {
	if depth > 10*maxNesting {
		return v
	}
	switch x := v.(type) {
	case *List:
		if c, ok := done[x]; ok {
			return c
		}
		l := &List{Items: make([]Value, len(x.Items))}
		done[x] = l
		for i, e := range x.Items {
			l.Items[i] = deepCopy(e, done, depth+1)
		}
		return l
	case *Dict:
		if c, ok := done[x]; ok {
			return c
		}
		d := x.Copy()
		done[x] = d
		for i := range d.entries {
			d.entries[i].val = deepCopy(d.entries[i].val, done, depth+1)
		}
		return d
	case *Set:
		if c, ok := done[x]; ok {
			return c
		}
		s := &Set{d: *x.d.Copy()}
		done[x] = s
		return s
	case Tuple:
		t := make(Tuple, len(x))
		for i, e := range x {
			t[i] = deepCopy(e, done, depth+1)
		}
		return t
	}
	return v
}

// ToGo makes plain Go data of a Value: nil, bool, int64, *big.Int, float64,
// string, []byte, []any, map[string]any and time.Time. Keys of dicts become their
// str(). To keep the order of dicts walk them with [Dict.All] instead.
func ToGo(v Value) (any, error) { return toGo(v, 0) }

func toGo(v Value, depth int) (any, error) {
	if depth > maxNesting {
		return nil, tooDeep("")
	}
	list := func(items []Value) (any, error) {
		out := make([]any, len(items))
		for i, e := range items {
			var err error
			if out[i], err = toGo(e, depth+1); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	switch x := v.(type) {
	case Markup:
		return string(x), nil
	case Bytes:
		return []byte(x), nil
	case *List:
		return list(x.Items)
	case Tuple:
		return list(x)
	case *Set:
		return list(x.Values())
	case *Dict:
		m := make(map[string]any, x.Len())
		for k, e := range x.All() {
			s, err := Str(nil, k)
			if err != nil {
				return nil, err
			}
			if m[s], err = toGo(e, depth+1); err != nil {
				return nil, err
			}
		}
		return m, nil
	case *Undefined:
		return nil, x.Fail()
	case *Range, Iterator, *view:
		items, err := Collect(nil, x)
		if err != nil {
			return nil, err
		}
		return list(items)
	}
	return v, nil
}
