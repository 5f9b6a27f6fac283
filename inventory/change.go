package inventory

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/protocol/wire"
)

// What happened to a machine.
const (
	Found   = "found"
	Changed = "changed"
	Missing = "gone"
)

// A Change is what a listing brought.
type Change struct {
	What    string // Found, Changed, Missing
	Source  string
	Kind    string
	Name    string
	Machine Machine
	Fields  []Field // of Changed

	alt string
}

// A Field is what changed of a machine.
type Field struct{ Name, Old, New string }

// Map is the change as data.
func (c *Change) Map() *wire.Map {
	e := Entry{Machine: c.Machine, Name: c.Name, Source: c.Source, Kind: c.Kind}
	m := wire.NewMap("what", c.What, "name", c.Name, "source", c.Source, "provider", c.Kind, "id", c.Machine.ID)
	if len(c.Fields) > 0 {
		fields := wire.NewMap()
		for _, f := range c.Fields {
			fields.Set(f.Name, wire.NewMap("old", f.Old, "new", f.New))
		}
		m.Set("changes", fields)
	}
	m.Set("machine", e.Map())
	return m
}

// differences are the fields in which what is stored differs from what was listed.
func differences(data []byte, scope, base string, r *row) (out []Field) {
	old := Machine{ID: r.m.ID, Scope: scope}
	if err := unpack(data, &old); err != nil {
		return nil
	}
	now := Machine{ID: r.m.ID, Scope: r.m.Scope}
	if err := unpack(r.data, &now); err != nil {
		return nil
	}
	a, b := flat(&old, base), flat(&now, r.base)
	keys := maps.Clone(a)
	maps.Copy(keys, b)
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		if a[k] != b[k] {
			out = append(out, Field{k, a[k], b[k]})
		}
	}
	return out
}

// flat is a machine as text by field; how to log in is told of as changed and not shown.
func flat(m *Machine, base string) map[string]string {
	e := Entry{Machine: *m, Name: base}
	out := map[string]string{}
	var add func(prefix string, v any)
	add = func(prefix string, v any) {
		switch v := v.(type) {
		case *wire.Map:
			for k, x := range v.Strings() {
				key := k
				if prefix != "" {
					key = prefix + "." + k
				}
				add(key, x)
			}
		case []any:
			var parts []string
			for _, x := range v {
				parts = append(parts, inWords(x))
			}
			out[prefix] = strings.Join(parts, ", ")
		case nil:
		default:
			out[prefix] = fmt.Sprint(v)
		}
	}
	add("", e.Map())
	delete(out, "source")
	delete(out, "provider")
	if m.SSH.Len() > 0 {
		if b, err := wire.Encode(m.SSH, wire.Local); err == nil {
			out["ssh"] = fmt.Sprintf("(%d keys, %08x)", m.SSH.Len(), crc(b))
		}
	}
	return out
}

// inWords is a value within a list, as "id: eni-1, private: [10.0.0.5]".
func inWords(v any) string {
	var parts []string
	switch v := v.(type) {
	case *wire.Map:
		for k, x := range v.Strings() {
			if m, ok := x.(*wire.Map); ok {
				x = "{" + inWords(m) + "}"
			}
			parts = append(parts, k+": "+inWords(x))
		}
		return strings.Join(parts, ", ")
	case []any:
		for _, x := range v {
			parts = append(parts, inWords(x))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	return fmt.Sprint(v)
}
