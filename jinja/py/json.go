package py

import (
	"cmp"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// JSON says how Python's json.dumps is called. The zero value is its defaults.
type JSON struct {
	SortKeys bool
	Indent   Value  // None, a number of spaces, or text
	Raw      bool   // ensure_ascii=False
	ItemSep  string // "" is ", ", and "," with an indent
	KeySep   string // "" is ": "
}

type jsonWriter struct {
	JSON
	t      *Thread
	b      strings.Builder
	pad    string
	lines  bool
	stack  []any
	paid   int
	opened int
}

// Dump is json.dumps(v).
func (o JSON) Dump(t *Thread, v Value) (string, error) {
	w := &jsonWriter{JSON: o, t: t}
	switch x := o.Indent.(type) {
	case nil:
	case string:
		w.pad, w.lines = x, true
	case int64, bool:
		n, _ := AsInt(x)
		if err := t.Alloc(int(max(n, 0))); err != nil {
			return "", err
		}
		w.pad, w.lines = strings.Repeat(" ", int(max(n, 0))), true
	default:
		return "", Raise("TypeError", "can't multiply sequence by non-int of type '%s'", TypeName(x))
	}
	if w.ItemSep == "" {
		w.ItemSep = ", "
		if w.lines {
			w.ItemSep = ","
		}
	}
	if w.KeySep == "" {
		w.KeySep = ": "
	}
	if err := w.value(v); err != nil {
		return "", err
	}
	return w.b.String(), nil
}

func (w *jsonWriter) newline() {
	if w.lines {
		w.b.WriteByte('\n')
		for range w.opened {
			w.b.WriteString(w.pad)
		}
	}
}

func (w *jsonWriter) enter(v any) error {
	for _, s := range w.stack {
		if s == v {
			return Raise("ValueError", "Circular reference detected")
		}
	}
	if len(w.stack) > maxNesting {
		return tooDeep(" while encoding a JSON object")
	}
	w.stack = append(w.stack, v)
	w.opened++
	return nil
}

func (w *jsonWriter) leave() {
	w.stack = w.stack[:len(w.stack)-1]
	w.opened--
}

func jsonFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	return Float(f)
}

func (w *jsonWriter) value(v Value) error {
	n := w.b.Len() - w.paid
	w.paid = w.b.Len()
	if err := w.t.Alloc(n); err != nil {
		return err
	}
	switch x := v.(type) {
	case nil:
		w.b.WriteString("null")
	case bool:
		w.b.WriteString(strconv.FormatBool(x))
	case int64:
		w.b.WriteString(strconv.FormatInt(x, 10))
	case *big.Int:
		w.b.WriteString(x.String())
	case float64:
		w.b.WriteString(jsonFloat(x))
	case string, Markup:
		s, _ := asStr(x)
		w.text(s)
	case *List:
		return w.list(x, x.Items)
	case Tuple:
		return w.list(nil, x)
	case *Dict:
		return w.dict(x)
	default:
		return Raise("TypeError", "Object of type %s is not JSON serializable", TypeName(v))
	}
	return nil
}

func (w *jsonWriter) list(id any, items []Value) error {
	if len(items) == 0 {
		w.b.WriteString("[]")
		return nil
	}
	if id == nil {
		id = &items[0]
	}
	if err := w.enter(id); err != nil {
		return err
	}
	w.b.WriteByte('[')
	for i, e := range items {
		if i > 0 {
			w.b.WriteString(w.ItemSep)
		}
		w.newline()
		if err := w.value(e); err != nil {
			return err
		}
	}
	w.leave()
	w.newline()
	w.b.WriteByte(']')
	return nil
}

func (w *jsonWriter) dict(d *Dict) error {
	if d.Len() == 0 {
		w.b.WriteString("{}")
		return nil
	}
	if err := w.enter(d); err != nil {
		return err
	}
	entries := d.entries
	if w.SortKeys {
		var err error
		if entries, err = sortedEntries(w.t, d); err != nil {
			return err
		}
	}
	w.b.WriteByte('{')
	first := true
	for i := range entries {
		if entries[i].dead() {
			continue
		}
		k, v := entries[i].key, entries[i].val
		if !first {
			w.b.WriteString(w.ItemSep)
		}
		first = false
		w.newline()
		switch x := k.(type) {
		case string, Markup:
			s, _ := asStr(x)
			w.text(s)
		case nil:
			w.b.WriteString(`"null"`)
		case bool:
			w.text(strconv.FormatBool(x))
		case float64:
			w.text(jsonFloat(x))
		case int64, *big.Int:
			s, err := Repr(w.t, x)
			if err != nil {
				return err
			}
			w.text(s)
		default:
			return Raise("TypeError", "keys must be str, int, float, bool or None, not %s", TypeName(k))
		}
		w.b.WriteString(w.KeySep)
		if err := w.value(v); err != nil {
			return err
		}
	}
	w.leave()
	w.newline()
	w.b.WriteByte('}')
	return nil
}

// sortedEntries are the entries of a dict by their keys.
func sortedEntries(t *Thread, d *Dict) ([]entry, error) {
	out := make([]entry, 0, d.Len())
	text := true
	for _, e := range d.entries {
		if !e.dead() {
			_, isText := e.key.(string)
			text = text && isText
			out = append(out, e)
		}
	}
	if text {
		slices.SortFunc(out, func(a, b entry) int { return cmp.Compare(a.key.(string), b.key.(string)) })
		return out, nil
	}
	pairs := make([]Value, len(out))
	for i, e := range out {
		pairs[i] = Tuple{e.key, e.val}
	}
	pairs, err := Sorted(t, pairs, func(p Value) (Value, error) { return p.(Tuple)[0], nil }, false)
	for i, p := range pairs {
		kv := p.(Tuple)
		out[i] = entry{hash: noneKey{}, key: kv[0], val: kv[1]}
	}
	return out, err
}

func (w *jsonWriter) text(s string) {
	b := &w.b
	b.WriteByte('"')
	for i := 0; i < len(s); {
		from := i
		for i < len(s) && s[i] >= 0x20 && s[i] < 0x7f && s[i] != '"' && s[i] != '\\' {
			i++
		}
		if b.WriteString(s[from:i]); i == len(s) {
			break
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		i += n
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\b':
			b.WriteString(`\b`)
		case r == '\f':
			b.WriteString(`\f`)
		case r < 0x20 || !w.Raw && r >= 0x7f && r < 0x10000:
			fmt.Fprintf(b, `\u%04x`, r)
		case r >= 0x10000 && !w.Raw:
			r -= 0x10000
			fmt.Fprintf(b, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
}
