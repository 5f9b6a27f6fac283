package wire

import (
	"encoding"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"sort"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// maxEncodeDepth is where a value is taken to contain itself; Salt's reader stops
// there too.
const maxEncodeDepth = 511

// Encode packs a value. It takes what Decode gives, and besides all of Go's numbers,
// named strings, slices, maps (keys sorted), pointers, *big.Int (decimal text beyond
// 64 bits) and encoding.TextMarshaler. A nil *Map, slice or map is an empty one.
func Encode(v any, d Dialect) ([]byte, error) {
	return Append(nil, v, d)
}

// Append is Encode that appends to dst. After an error dst is returned as it was.
func Append(dst []byte, v any, d Dialect) ([]byte, error) {
	w := writers.Get().(*writer)
	w.b, w.dialect = dst, d
	w.enc.ResetWriter(w)
	err := w.value(v, 0)
	b := w.b
	w.b = nil
	writers.Put(w)
	if err != nil {
		return dst, &Error{Kind: Malformed, Op: "encode", Msg: err.Error()}
	}
	return b, nil
}

// writer packs values. The library writes numbers and headers through it; old raw,
// which the library does not know, is written here.
type writer struct {
	b       []byte
	enc     *msgpack.Encoder
	dialect Dialect
}

var writers = sync.Pool{New: func() any {
	w := new(writer)
	w.enc = msgpack.NewEncoder(w)
	return w
}}

func (w *writer) Write(p []byte) (int, error) {
	w.b = append(w.b, p...)
	return len(p), nil
}

func (w *writer) WriteByte(c byte) error {
	w.b = append(w.b, c)
	return nil
}

func (w *writer) value(v any, depth int) error {
	if depth > maxEncodeDepth {
		return fmt.Errorf("value nests deeper than %d: does it contain itself?", maxEncodeDepth)
	}
	switch v := v.(type) {
	case nil:
		return w.enc.EncodeNil()
	case bool:
		return w.enc.EncodeBool(v)
	case string:
		return w.text(v)
	case []byte:
		return w.bytes(v)
	case int:
		return w.enc.EncodeInt(int64(v))
	case int64:
		return w.enc.EncodeInt(v)
	case uint64:
		return w.enc.EncodeUint(v)
	case float64:
		return w.enc.EncodeFloat64(v)
	case *Map:
		return w.mapping(v, depth)
	case []any:
		if err := w.enc.EncodeArrayLen(len(v)); err != nil {
			return err
		}
		for _, e := range v {
			if err := w.value(e, depth+1); err != nil {
				return err
			}
		}
		return nil
	case []string:
		if err := w.enc.EncodeArrayLen(len(v)); err != nil {
			return err
		}
		for _, e := range v {
			if err := w.text(e); err != nil {
				return err
			}
		}
		return nil
	case time.Time:
		return w.time(v)
	case time.Duration:
		return fmt.Errorf("duration %v has no form in MsgPack: give a number of seconds", v)
	case *big.Int:
		return w.bigInt(v)
	}
	return w.reflected(reflect.ValueOf(v), depth)
}

func (w *writer) mapping(m *Map, depth int) error {
	if err := w.enc.EncodeMapLen(m.Len()); err != nil {
		return err
	}
	if m == nil {
		return nil
	}
	for i, k := range m.keys {
		switch k.(type) {
		case *Map, []any:
			return fmt.Errorf("key of a map is %s: a scalar expected", TypeName(k))
		}
		if err := w.value(k, depth+1); err != nil {
			return err
		}
		if err := w.value(m.vals[i], depth+1); err != nil {
			return err
		}
	}
	return nil
}

// text writes a string: old raw on the network, else str; bytes that only travel
// in a string (a map's key) stay bytes.
func (w *writer) text(s string) error {
	if w.dialect == Local {
		if !utf8.ValidString(s) {
			return w.enc.EncodeBytes([]byte(s))
		}
		return w.enc.EncodeString(s)
	}
	if err := w.rawLen(len(s)); err != nil {
		return err
	}
	w.b = append(w.b, s...)
	return nil
}

func (w *writer) bytes(p []byte) error {
	if w.dialect == Local {
		if p == nil {
			p = []byte{}
		}
		return w.enc.EncodeBytes(p)
	}
	if err := w.rawLen(len(p)); err != nil {
		return err
	}
	w.b = append(w.b, p...)
	return nil
}

// rawLen writes the header of the raw family of MsgPack before 2013, which has no
// form with a length of one byte.
func (w *writer) rawLen(n int) error {
	switch {
	case n < 32:
		w.b = append(w.b, msgpcode.FixedStrLow|byte(n))
	case n <= math.MaxUint16:
		w.b = append(w.b, msgpcode.Str16, byte(n>>8), byte(n))
	case n <= math.MaxInt32:
		w.b = append(w.b, msgpcode.Str32, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	default:
		return fmt.Errorf("text or bytes of %d bytes: at most 2 GiB are possible", n)
	}
	return nil
}

func (w *writer) time(t time.Time) error {
	t = t.UTC()
	if t.Year() < 0 || t.Year() > 9999 {
		return fmt.Errorf("time %v: the year must have four digits", t)
	}
	if err := w.enc.EncodeExtHeader(extTime, len(timeLayout)); err != nil {
		return err
	}
	w.b = t.AppendFormat(w.b, timeLayout)
	return nil
}

func (w *writer) bigInt(n *big.Int) error {
	switch {
	case n == nil:
		return w.enc.EncodeNil()
	case n.IsInt64():
		return w.enc.EncodeInt(n.Int64())
	case n.IsUint64():
		return w.enc.EncodeUint(n.Uint64())
	}
	return w.text(n.String())
}

// reflected packs what is not of the value model itself.
func (w *writer) reflected(v reflect.Value, depth int) error {
	if depth > maxEncodeDepth {
		return fmt.Errorf("value nests deeper than %d: does it contain itself?", maxEncodeDepth)
	}
	if t, ok := v.Interface().(encoding.TextMarshaler); ok && (v.Kind() != reflect.Pointer || !v.IsNil()) {
		text, err := t.MarshalText()
		if err != nil {
			return err
		}
		return w.text(string(text))
	}
	switch v.Kind() {
	case reflect.Bool:
		return w.enc.EncodeBool(v.Bool())
	case reflect.String:
		return w.text(v.String())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return w.enc.EncodeInt(v.Int())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return w.enc.EncodeUint(v.Uint())
	case reflect.Float32, reflect.Float64:
		return w.enc.EncodeFloat64(v.Float())
	case reflect.Pointer:
		if v.IsNil() {
			return w.enc.EncodeNil()
		}
		return w.value(v.Elem().Interface(), depth+1)
	case reflect.Slice, reflect.Array:
		if v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8 {
			return w.bytes(v.Bytes())
		}
		if err := w.enc.EncodeArrayLen(v.Len()); err != nil {
			return err
		}
		for i := range v.Len() {
			if err := w.value(v.Index(i).Interface(), depth+1); err != nil {
				return err
			}
		}
		return nil
	case reflect.Map:
		return w.goMap(v, depth)
	}
	return fmt.Errorf("value of type %s: nil, bool, number, text, bytes, list, map or time expected", v.Type())
}

// goMap packs a Go map with its keys in order, so that equal maps pack alike.
func (w *writer) goMap(v reflect.Value, depth int) error {
	keys := v.MapKeys()
	switch v.Type().Key().Kind() {
	case reflect.String:
		sort.Slice(keys, func(i, j int) bool { return keys[i].String() < keys[j].String() })
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		sort.Slice(keys, func(i, j int) bool { return keys[i].Int() < keys[j].Int() })
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		sort.Slice(keys, func(i, j int) bool { return keys[i].Uint() < keys[j].Uint() })
	default:
		return fmt.Errorf("map of type %s: keys must be text or whole numbers", v.Type())
	}
	if err := w.enc.EncodeMapLen(len(keys)); err != nil {
		return err
	}
	for _, k := range keys {
		if err := w.value(k.Interface(), depth+1); err != nil {
			return err
		}
		if err := w.value(v.MapIndex(k).Interface(), depth+1); err != nil {
			return err
		}
	}
	return nil
}

// TypeName names a value's type for a person, with an article: "a map", "text".
func TypeName(v any) string {
	switch v.(type) {
	case nil:
		return "nil"
	case bool:
		return "a bool"
	case int64, uint64, int, uint:
		return "a whole number"
	case float64:
		return "a number"
	case string:
		return "text"
	case []byte:
		return "bytes"
	case []any:
		return "a list"
	case *Map:
		return "a map"
	case time.Time:
		return "a time"
	}
	return fmt.Sprintf("a Go %T", v)
}
