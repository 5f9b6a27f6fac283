package wire

import (
	"fmt"
	"math"
	"slices"
)

// fields reads a message's fields and keeps the first thing wrong with them. What is
// nil counts as absent: Salt sends None for what was not given.
type fields struct {
	m     *Map
	what  string // the message, for errors: "publish load"
	first error
}

// err is the first fault found, or nil.
func (f *fields) err() error { return f.first }

func (f *fields) fail(name, format string, a ...any) {
	if f.first == nil {
		f.first = malformed(f.what, "field %q: %s", name, fmt.Sprintf(format, a...))
	}
}

// get returns a field's value; nil where there is none.
func (f *fields) get(name string) any {
	v, _ := f.m.Get(name)
	return v
}

// want is get for a field that must be there.
func (f *fields) want(name, expected string) any {
	v := f.get(name)
	if v == nil {
		if f.m.Has(name) {
			f.fail(name, "is nil: %s expected", expected)
		} else {
			f.fail(name, "is missing: %s expected", expected)
		}
	}
	return v
}

func (f *fields) text(name string) string {
	switch v := f.get(name).(type) {
	case nil:
	case string:
		return v
	default:
		f.fail(name, "is %s: text expected", TypeName(v))
	}
	return ""
}

func (f *fields) wantText(name string) string {
	if f.want(name, "text") == nil {
		return ""
	}
	return f.text(name)
}

// bytes reads what was sent as bytes: it arrives as text where it happens to be UTF-8.
func (f *fields) bytes(name string) []byte {
	switch v := f.get(name).(type) {
	case nil:
	case []byte:
		return v
	case string:
		return []byte(v)
	default:
		f.fail(name, "is %s: bytes expected", TypeName(v))
	}
	return nil
}

func (f *fields) wantBytes(name string) []byte {
	if f.want(name, "bytes") == nil {
		return nil
	}
	return f.bytes(name)
}

func (f *fields) int(name string) int64 {
	switch v := f.get(name).(type) {
	case nil:
	case int64:
		return v
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return int64(v)
		}
		f.fail(name, "is %v: a whole number expected", v)
	default:
		f.fail(name, "is %s: a whole number expected", TypeName(v))
	}
	return 0
}

func (f *fields) wantInt(name string) int64 {
	if f.want(name, "a whole number") == nil {
		return 0
	}
	return f.int(name)
}

func (f *fields) bool(name string) bool {
	switch v := f.get(name).(type) {
	case nil:
	case bool:
		return v
	default:
		f.fail(name, "is %s: a bool expected", TypeName(v))
	}
	return false
}

func (f *fields) mapping(name string) *Map {
	switch v := f.get(name).(type) {
	case nil:
	case *Map:
		return v
	default:
		f.fail(name, "is %s: a map expected", TypeName(v))
	}
	return nil
}

func (f *fields) list(name string) []any {
	switch v := f.get(name).(type) {
	case nil:
	case []any:
		return v
	default:
		f.fail(name, "is %s: a list expected", TypeName(v))
	}
	return nil
}

// texts reads a list of texts.
func (f *fields) texts(name string) []string {
	list := f.list(name)
	if list == nil {
		return nil
	}
	out := make([]string, len(list))
	for i, v := range list {
		s, ok := v.(string)
		if !ok {
			f.fail(name, "item %d is %s: text expected", i, TypeName(v))
			return nil
		}
		out[i] = s
	}
	return out
}

// minionID reads an id that must be there.
func (f *fields) minionID(name string) MinionID {
	s := f.wantText(name)
	if f.first != nil {
		return ""
	}
	id, err := ParseMinionID(s)
	if err != nil {
		f.fail(name, "%v", err)
	}
	return id
}

// jobID reads a job id that must be there.
func (f *fields) jobID(name string) JobID {
	s := f.wantText(name)
	if f.first != nil {
		return ""
	}
	id, err := ParseJobID(s)
	if err != nil {
		f.fail(name, "%v", err)
	}
	return id
}

// nonce reads a nonce: 32 lower-case hex digits, or "" where there is none.
func (f *fields) nonce(name string) string {
	s := f.text(name)
	if s == "" {
		return ""
	}
	ok := len(s) == nonceLen
	for i := 0; ok && i < len(s); i++ {
		ok = s[i] >= '0' && s[i] <= '9' || s[i] >= 'a' && s[i] <= 'f'
	}
	if !ok {
		f.fail(name, "is %.40q: 32 lower-case hex digits expected", s)
	}
	return s
}

// build makes maps without the fields that are not set.
type build struct{ m *Map }

// text sets a field unless the text is empty.
func (b build) text(name, s string) {
	if s != "" {
		b.m.Set(name, s)
	}
}

func (b build) bytes(name string, p []byte) {
	if p != nil {
		b.m.Set(name, p)
	}
}

func (b build) int(name string, n int64) {
	if n != 0 {
		b.m.Set(name, n)
	}
}

func (b build) mapping(name string, m *Map) {
	if m != nil {
		b.m.Set(name, m)
	}
}

// onto copies into b the fields of raw that are not modelled: those of newer or other
// peers, which are handed on as they came.
func (b build) onto(raw *Map, modelled ...string) *Map {
	if raw != nil {
		for k, v := range raw.All() {
			if s, ok := k.(string); !ok || !b.m.Has(s) && !slices.Contains(modelled, s) {
				b.m.SetAny(k, v)
			}
		}
	}
	return b.m
}

// show is a value for an error: text quoted and short, else its type.
func show(v any) string {
	if s, ok := v.(string); ok {
		return fmt.Sprintf("%.40q", s)
	}
	return TypeName(v)
}
