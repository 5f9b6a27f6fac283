package py

import (
	"iter"
	"math"
	"math/big"
	"reflect"
	"strconv"
)

// OrderedDict is the Class of a [Dict] that Python calls collections.OrderedDict.
const OrderedDict = "collections.OrderedDict"

// Dict is Python's dict: insertion-ordered, any hashable key, by reference.
type Dict struct {
	Class string // "" for dict, or the full name of a subclass such as [OrderedDict]
	// Wrapper is the full name of a class around the dict that behaves as the dict does,
	// and that messages name; copies have none.
	Wrapper string
	entries []entry
	index   dictIndex // made when there are more than few entries
	live    int
}

type entry struct {
	hash any // canonical form of key: equal keys have equal hashes; nil when the entry is dead
	key  Value
	val  Value
}

func (e *entry) dead() bool { return e.hash == nil }

const few = 8

// NewDict makes an empty dict with room for n entries.
func NewDict(n int) *Dict {
	if n == 0 {
		return &Dict{}
	}
	return &Dict{entries: make([]entry, 0, n)}
}

type (
	noneKey  struct{}
	bigKey   string
	bytesKey string
	tupleKey string
)

// hashOf gives the canonical form under which a key is found.
func hashOf(v Value, depth int) (any, error) {
	switch x := v.(type) {
	case string:
		return v, nil // not x, which would be copied
	case nil:
		return noneKey{}, nil
	case Markup:
		return string(x), nil
	case int64:
		return v, nil
	case bool:
		if x {
			return int64(1), nil
		}
		return int64(0), nil
	case float64:
		if x == math.Trunc(x) && !math.IsInf(x, 0) {
			if math.Abs(x) < 1<<62 {
				return int64(x), nil
			}
			b, _ := big.NewFloat(x).Int(nil)
			if b.IsInt64() {
				return b.Int64(), nil
			}
			return bigKey(b.String()), nil
		}
		return x, nil
	case *big.Int:
		return bigKey(x.String()), nil
	case Bytes:
		return bytesKey(x), nil
	case Tuple:
		if depth > maxNesting {
			return nil, tooDeep("")
		}
		b := make([]byte, 0, 16*len(x))
		for _, e := range x {
			h, err := hashOf(e, depth+1)
			if err != nil {
				return nil, err
			}
			b = appendHash(b, h)
		}
		return tupleKey(b), nil
	case *Undefined:
		if x.Mode == Strict {
			return nil, x.Fail()
		}
		return undefKey(x.Mode), nil
	case *List, *Dict, *Set:
		return nil, Raise("TypeError", "unhashable type: '%s'", TypeName(v))
	}
	if isSetView(v) || !reflect.TypeOf(v).Comparable() {
		return nil, Raise("TypeError", "unhashable type: '%s'", TypeName(v))
	}
	return v, nil
}

type undefKey Mode

func appendHash(b []byte, h any) []byte {
	add := func(tag byte, s string) []byte {
		b = append(b, tag)
		b = strconv.AppendInt(b, int64(len(s)), 10)
		b = append(b, ':')
		return append(b, s...)
	}
	switch x := h.(type) {
	case string:
		return add('s', x)
	case int64:
		return strconv.AppendInt(append(b, 'i'), x, 10)
	case float64:
		return strconv.AppendUint(append(b, 'f'), math.Float64bits(x), 16)
	case noneKey:
		return append(b, 'n')
	case bigKey:
		return add('b', string(x))
	case bytesKey:
		return add('y', string(x))
	case tupleKey:
		return add('t', string(x))
	case undefKey:
		return append(b, 'u', byte(x))
	}
	return add('o', strconv.FormatUint(uint64(addressOf(h)), 16))
}

// addressOf identifies an object: Python's id().
func addressOf(v any) uintptr {
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Chan, reflect.Func, reflect.Slice, reflect.UnsafePointer:
		return r.Pointer()
	}
	return 0
}

// Len is the number of entries.
func (d *Dict) Len() int { return d.live }

func (d *Dict) find(h any) int {
	if d.index.slots != nil {
		return d.index.find(d.entries, h)
	}
	if s, ok := h.(string); ok {
		return d.findStr(s)
	}
	for i := range d.entries {
		if d.entries[i].hash == h {
			return i
		}
	}
	return -1
}

// findStr is find for a str, which needs no place of its own in memory for it.
func (d *Dict) findStr(s string) int {
	if d.index.slots != nil {
		return d.index.findStr(d.entries, s)
	}
	for i := range d.entries {
		if k, ok := d.entries[i].hash.(string); ok && k == s {
			return i
		}
	}
	return -1
}

// Get returns the value of a key; the error is that of an unhashable key.
func (d *Dict) Get(key Value) (Value, bool, error) {
	h, err := hashOf(key, 0)
	if err != nil {
		return nil, false, err
	}
	if i := d.find(h); i >= 0 {
		return d.entries[i].val, true, nil
	}
	return nil, false, nil
}

// GetStr returns the value of a key that is a str.
func (d *Dict) GetStr(key string) (Value, bool) {
	if i := d.findStr(key); i >= 0 {
		return d.entries[i].val, true
	}
	return nil, false
}

// Set stores a value; a key that is there keeps its place and its form.
func (d *Dict) Set(key, val Value) error {
	h, err := hashOf(key, 0)
	if err != nil {
		return err
	}
	d.set(h, key, val)
	return nil
}

// SetStr stores a value under a str.
func (d *Dict) SetStr(key string, val Value) {
	k := Value(key) // once, for both
	d.set(k, k, val)
}

func (d *Dict) set(h any, key, val Value) {
	if i := d.find(h); i >= 0 {
		d.entries[i].val = val
		return
	}
	d.entries = append(d.entries, entry{hash: h, key: key, val: val})
	d.live++
	switch {
	case d.index.slots != nil && d.index.room():
		d.index.add(h, len(d.entries)-1)
	case len(d.entries) > few:
		d.rebuild()
	}
}

// rebuild drops dead entries and makes the index anew.
func (d *Dict) rebuild() {
	kept := d.entries[:0]
	for _, e := range d.entries {
		if !e.dead() {
			kept = append(kept, e)
		}
	}
	clear(d.entries[len(kept):])
	d.entries = kept
	d.reindex()
}

// reindex makes the index anew; no entry is dead.
func (d *Dict) reindex() {
	if len(d.entries) <= few {
		d.index = dictIndex{}
		return
	}
	d.index = newIndex(max(len(d.entries), cap(d.entries)))
	for i := range d.entries {
		d.index.add(d.entries[i].hash, i)
	}
}

// Delete removes a key and returns its value.
func (d *Dict) Delete(key Value) (Value, bool, error) {
	h, err := hashOf(key, 0)
	if err != nil {
		return nil, false, err
	}
	i := d.find(h)
	if i < 0 {
		return nil, false, nil
	}
	return d.deleteAt(i), true, nil
}

func (d *Dict) deleteAt(i int) Value {
	v := d.entries[i].val
	d.live--
	if i == len(d.entries)-1 {
		d.entries[i] = entry{}
		d.entries = d.entries[:i]
		return v
	}
	d.entries[i] = entry{}
	if len(d.entries) > few && d.live < len(d.entries)/2 {
		d.rebuild()
	}
	return v
}

// Clear removes all entries.
func (d *Dict) Clear() { d.entries, d.index, d.live = nil, dictIndex{}, 0 }

// last gives the position of the newest entry, or -1.
func (d *Dict) last() int {
	for i := len(d.entries) - 1; i >= 0; i-- {
		if !d.entries[i].dead() {
			return i
		}
	}
	return -1
}

// All goes over the entries in order. The dict must not change meanwhile.
func (d *Dict) All() iter.Seq2[Value, Value] {
	return func(yield func(k, v Value) bool) {
		for i := range d.entries {
			if e := &d.entries[i]; !e.dead() && !yield(e.key, e.val) {
				return
			}
		}
	}
}

// Copy is a shallow copy.
func (d *Dict) Copy() *Dict {
	c := &Dict{Class: d.Class, live: d.live, entries: make([]entry, 0, d.live)}
	if d.live == len(d.entries) { // at the same places
		c.entries = append(c.entries, d.entries...)
		c.index = d.index.clone()
		return c
	}
	for _, e := range d.entries {
		if !e.dead() {
			c.entries = append(c.entries, e)
		}
	}
	c.reindex()
	return c
}

// Set is Python's set. Its order is that of insertion, where Python's depends on
// the hash seed.
type Set struct{ d Dict }

// NewSet makes a set of the values; the error is that of an unhashable one.
func NewSet(vals ...Value) (*Set, error) {
	s := &Set{}
	for _, v := range vals {
		if err := s.d.Set(v, nil); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Len is the number of elements.
func (s *Set) Len() int { return s.d.Len() }

// Add puts a value in.
func (s *Set) Add(v Value) error { return s.d.Set(v, nil) }

// Has tells whether a value is in.
func (s *Set) Has(v Value) (bool, error) {
	_, ok, err := s.d.Get(v)
	return ok, err
}

// Values lists the elements.
func (s *Set) Values() []Value {
	out := make([]Value, 0, s.Len())
	for k := range s.d.All() {
		out = append(out, k)
	}
	return out
}
