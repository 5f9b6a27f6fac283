package render

import (
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/jinja/py"
)

// dumpTOML writes a dict as the module toml of Python does, which Salt uses: tables in
// their order, lists as "[ 1, 2,]".
func dumpTOML(t *py.Thread, v py.Value) (string, error) {
	d, ok := v.(*py.Dict)
	if !ok {
		return "", py.Raise("SerializationError", "'%s' object has no attribute 'keys'", py.TypeName(v))
	}
	w := &tomlWriter{t: t}
	out, sections, err := w.table(d, "", 0)
	if err != nil {
		return "", err
	}
	for depth := 0; len(sections) > 0; depth++ {
		if depth > 200 {
			return "", py.Raise("SerializationError", "Circular reference detected")
		}
		var next []tomlSection
		for _, s := range sections {
			text, below, err := w.table(s.d, s.name, 0)
			if err != nil {
				return "", err
			}
			if text != "" || len(below) == 0 {
				if out != "" && !strings.HasSuffix(out, "\n\n") {
					out += "\n"
				}
				out += "[" + s.name + "]\n" + text
			}
			for _, b := range below {
				next = append(next, tomlSection{s.name + "." + b.name, b.d})
			}
		}
		sections = next
	}
	return out, t.Alloc(len(out))
}

type tomlSection struct {
	name string
	d    *py.Dict
}

type tomlWriter struct{ t *py.Thread }

var bareKey = lazyre.New(`^[A-Za-z0-9_-]+$`)

// table writes the entries of a dict that are no dicts, then its lists of dicts; its dicts
// are returned.
func (w *tomlWriter) table(d *py.Dict, sup string, depth int) (string, []tomlSection, error) {
	if depth > 100 {
		return "", nil, py.Raise("SerializationError", "Circular reference detected")
	}
	if sup != "" && !strings.HasSuffix(sup, ".") {
		sup += "."
	}
	var lines, arrays strings.Builder
	var sections []tomlSection
	for k, v := range d.All() {
		name, err := py.Str(w.t, k)
		if err != nil {
			return "", nil, err
		}
		if !bareKey.MatchString(name) {
			name = tomlString(name)
		}
		if sub, ok := v.(*py.Dict); ok {
			sections = append(sections, tomlSection{name, sub})
			continue
		}
		if l, ok := v.(*py.List); ok && hasDict(l) {
			for _, e := range l.Items {
				a, ok := e.(*py.Dict)
				if !ok {
					return "", nil, py.Raise("SerializationError", "'%s' object is not iterable", py.TypeName(e))
				}
				if err := w.element(&arrays, a, sup+name, depth); err != nil {
					return "", nil, err
				}
			}
			continue
		}
		if v == nil {
			continue
		}
		text, err := w.value(v, depth)
		if err != nil {
			return "", nil, err
		}
		lines.WriteString(name + " = " + text + "\n")
	}
	return lines.String() + arrays.String(), sections, nil
}

func hasDict(l *py.List) bool {
	for _, e := range l.Items {
		if _, ok := e.(*py.Dict); ok {
			return true
		}
	}
	return false
}

// element writes one table of a list of tables.
func (w *tomlWriter) element(out *strings.Builder, d *py.Dict, name string, depth int) error {
	below := "\n"
	out.WriteString("[[" + name + "]]\n")
	text, sections, err := w.table(d, name, depth+1)
	if err != nil {
		return err
	}
	if strings.HasPrefix(text, "[") {
		below += text
	} else {
		out.WriteString(text)
	}
	for n := 0; len(sections) > 0; n++ {
		if n > 100 {
			return py.Raise("SerializationError", "Circular reference detected")
		}
		var next []tomlSection
		for _, s := range sections {
			text, more, err := w.table(s.d, name+"."+s.name, depth+1)
			if err != nil {
				return err
			}
			if text != "" {
				below += "[" + name + "." + s.name + "]\n" + text
			}
			for _, m := range more {
				next = append(next, tomlSection{s.name + "." + m.name, m.d})
			}
		}
		sections = next
	}
	out.WriteString(below)
	return nil
}

func (w *tomlWriter) value(v py.Value, depth int) (string, error) {
	if depth > 100 {
		return "", py.Raise("SerializationError", "Circular reference detected")
	}
	list := func(items []py.Value) (string, error) {
		s := "["
		for _, e := range items {
			text, err := w.value(e, depth+1)
			if err != nil {
				return "", err
			}
			s += " " + text + ","
		}
		return s + "]", nil
	}
	switch x := v.(type) {
	case bool:
		if x {
			return "true", nil
		}
		return "false", nil
	case string:
		return tomlString(x), nil
	case py.Markup:
		return tomlString(string(x)), nil
	case float64:
		return strings.NewReplacer("e+0", "e+", "e-0", "e-").Replace(py.Float(x)), nil
	case *py.List:
		return list(x.Items)
	case py.Tuple:
		return list(x)
	case *py.Dict:
		s := "{ "
		for k, e := range x.All() {
			key, err := py.Str(w.t, k)
			if err != nil {
				return "", err
			}
			text, err := w.value(e, depth+1)
			if err != nil {
				return "", err
			}
			s += key + " = " + text + ", "
		}
		return strings.TrimSuffix(s, ", ") + " }\n", nil
	case time.Time:
		return x.Format(time.RFC3339), nil
	case *py.Undefined:
		return "", x.Fail()
	}
	return py.Str(w.t, v)
}

// tomlString is a text in double quotes, escaped as Python's repr does.
func tomlString(s string) string {
	q := py.Quote(s)
	single := strings.HasPrefix(q, "'")
	q = q[1 : len(q)-1]
	if single {
		q = strings.ReplaceAll(q, `\'`, "'")
		q = strings.ReplaceAll(q, `"`, `\"`)
	}
	var b strings.Builder
	for i := 0; i < len(q); i++ {
		if q[i] == '\\' && i+1 < len(q) {
			if q[i+1] == 'x' {
				b.WriteString(`\u00`)
			} else {
				b.WriteString(q[i : i+2])
			}
			i++
			continue
		}
		b.WriteByte(q[i])
	}
	return `"` + b.String() + `"`
}
