package wire

import "iter"

// Map is a MsgPack map that keeps the order of its keys, as Salt's dictionaries
// do: results are printed in the order in which a function gave them. A key may
// be any scalar; most are strings, and Get, Set and Delete are for those.
// A Map is not safe for concurrent writes.
type Map struct {
	keys  []any
	vals  []any
	index map[any]int // only for maps of more than smallMap entries
}

const smallMap = 12

// NewMap makes a map of alternating keys and values: NewMap("jid", jid, "fun", fun).
// It panics when a value is missing, which is a mistake of the caller's source.
func NewMap(kv ...any) *Map {
	if len(kv)%2 != 0 {
		panic("wire.NewMap: key without a value")
	}
	m := &Map{keys: make([]any, 0, len(kv)/2), vals: make([]any, 0, len(kv)/2)}
	for i := 0; i < len(kv); i += 2 {
		m.SetAny(kv[i], kv[i+1])
	}
	return m
}

// NewMapSize makes an empty map with room for n entries.
func NewMapSize(n int) *Map {
	m := &Map{keys: make([]any, 0, n), vals: make([]any, 0, n)}
	if n > smallMap {
		m.index = make(map[any]int, n)
	}
	return m
}

// Len is the number of entries; a nil Map has none.
func (m *Map) Len() int {
	if m == nil {
		return 0
	}
	return len(m.keys)
}

// At returns the nth entry; n is less than Len.
func (m *Map) At(n int) (key, val any) { return m.keys[n], m.vals[n] }

// Get returns the value of a text key.
func (m *Map) Get(key string) (any, bool) { return m.GetAny(key) }

// GetAny is Get for keys that are not text.
func (m *Map) GetAny(key any) (any, bool) {
	if m == nil {
		return nil, false
	}
	if i := m.find(key); i >= 0 {
		return m.vals[i], true
	}
	return nil, false
}

// Has tells whether there is a text key of that name.
func (m *Map) Has(key string) bool {
	_, ok := m.Get(key)
	return ok
}

// Text returns the value of a key where it is a string, else "".
func (m *Map) Text(key string) string {
	v, _ := m.Get(key)
	s, _ := v.(string)
	return s
}

// Int returns the value of a key where it is a whole number, else 0.
func (m *Map) Int(key string) int64 {
	v, _ := m.Get(key)
	n, _ := v.(int64)
	return n
}

// Bool returns the value of a key where it is a bool, else false.
func (m *Map) Bool(key string) bool {
	v, _ := m.Get(key)
	b, _ := v.(bool)
	return b
}

// List returns the value of a key where it is a list, else nil.
func (m *Map) List(key string) []any {
	v, _ := m.Get(key)
	l, _ := v.([]any)
	return l
}

// Map returns the value of a key where it is a map, else nil.
func (m *Map) Map(key string) *Map {
	v, _ := m.Get(key)
	c, _ := v.(*Map)
	return c
}

// Set adds an entry or replaces its value in place.
func (m *Map) Set(key string, val any) { m.SetAny(key, val) }

// SetAny is Set for keys that are not text: numbers, bools, nil. Bytes become text.
func (m *Map) SetAny(key, val any) {
	if b, ok := key.([]byte); ok {
		key = string(b)
	}
	if i := m.find(key); i >= 0 {
		m.vals[i] = val
		return
	}
	m.append(key, val)
}

// append adds an entry whose key is known to be new.
func (m *Map) append(key, val any) {
	m.keys = append(m.keys, key)
	m.vals = append(m.vals, val)
	if m.index != nil {
		m.index[key] = len(m.keys) - 1
	} else if len(m.keys) > smallMap {
		m.reindex()
	}
}

// find is the place of a key, -1 where there is none.
func (m *Map) find(key any) int {
	if m.index != nil {
		if i, ok := m.index[key]; ok {
			return i
		}
		return -1
	}
	for i, k := range m.keys {
		if k == key {
			return i
		}
	}
	return -1
}

func (m *Map) reindex() {
	m.index = nil
	if len(m.keys) <= smallMap {
		return
	}
	m.index = make(map[any]int, len(m.keys))
	for i, k := range m.keys {
		m.index[k] = i
	}
}

// Delete removes a text key and keeps the order of the rest.
func (m *Map) Delete(key string) {
	if m == nil {
		return
	}
	i := m.find(key)
	if i < 0 {
		return
	}
	m.keys = append(m.keys[:i], m.keys[i+1:]...)
	m.vals = append(m.vals[:i], m.vals[i+1:]...)
	m.reindex()
}

// All yields the entries in their order.
func (m *Map) All() iter.Seq2[any, any] {
	return func(yield func(any, any) bool) {
		if m == nil {
			return
		}
		for i, k := range m.keys {
			if !yield(k, m.vals[i]) {
				return
			}
		}
	}
}

// Strings yields the entries whose key is text, in their order.
func (m *Map) Strings() iter.Seq2[string, any] {
	return func(yield func(string, any) bool) {
		for k, v := range m.All() {
			if s, ok := k.(string); ok && !yield(s, v) {
				return
			}
		}
	}
}

// Clone is a copy of this map; the values are shared.
func (m *Map) Clone() *Map {
	c := &Map{}
	if m != nil {
		c.keys = append(c.keys, m.keys...)
		c.vals = append(c.vals, m.vals...)
		c.reindex()
	}
	return c
}
