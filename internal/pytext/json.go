package pytext

import (
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/gosalt/gosalt/protocol/wire"
)

// JSON is json.dumps(v, ensure_ascii=False, default=repr): with indent below 0 in
// one line with ", " and ": ", else one element per line, indent spaces a level.
// With sortKeys the keys of maps are sorted. It fails where Python does: a key
// that is bytes or a time, keys that cannot be sorted.
func JSON(v any, indent int, sortKeys bool) (string, error) {
	return JSONOptions{Pretty: indent >= 0, Indent: strings.Repeat(" ", max(indent, 0)), SortKeys: sortKeys, Repr: true}.Dump(v)
}

// JSONOptions say how JSON is written. The zero value is Python's
// json.dumps(v, ensure_ascii=False), as Salt calls it.
type JSONOptions struct {
	Pretty    bool   // one element per line
	Indent    string // before it, once for each level
	SortKeys  bool
	ASCII     bool   // other characters are escaped
	Repr      bool   // what JSON has no form for is text, as Python's repr has it
	Separator string // between elements; "" means ", ", or "," when Pretty
	Colon     string // between a key and its value; "" means ": "
}

// TypeError is what Python says of a value that has no place where it stands.
type TypeError string

// Error is the message of Python's exception.
func (e TypeError) Error() string { return string(e) }

func typeError(format string, args ...any) error { return TypeError(fmt.Sprintf(format, args...)) }

// Dump writes a value. Its errors are of type TypeError.
func (o JSONOptions) Dump(v any) (string, error) {
	if o.Colon == "" {
		o.Colon = ": "
	}
	if o.Separator == "" {
		if o.Separator = ", "; o.Pretty {
			o.Separator = ","
		}
	}
	e := jsonEncoder{JSONOptions: o}
	if err := e.value(v, 0); err != nil {
		return "", err
	}
	return e.b.String(), nil
}

type jsonEncoder struct {
	JSONOptions
	b strings.Builder
}

func (e *jsonEncoder) newline(level int) {
	if e.Pretty {
		e.b.WriteByte('\n')
		for range level {
			e.b.WriteString(e.Indent)
		}
	}
}

func (e *jsonEncoder) comma(level int) {
	e.b.WriteString(e.Separator)
	e.newline(level)
}

func (e *jsonEncoder) value(v any, level int) error {
	switch x := v.(type) {
	case nil:
		e.b.WriteString("null")
	case bool:
		e.b.WriteString(jsonBool(x))
	case string:
		e.text(x)
	case []byte, time.Time, Set, Opaque:
		if !e.Repr {
			return typeError("Object of type %s is not JSON serializable", jsonType(x))
		}
		e.text(Repr(x))
	case Ordered:
		return e.object(x.Map, level)
	case float64:
		e.b.WriteString(jsonFloat(x))
	case []any:
		return e.list(x, level)
	case *wire.Map:
		return e.object(x, level)
	case number:
		e.b.WriteString(string(x))
	default:
		return e.value(plain(v), level)
	}
	return nil
}

func (e *jsonEncoder) list(l []any, level int) error {
	if len(l) == 0 {
		e.b.WriteString("[]")
		return nil
	}
	e.b.WriteByte('[')
	e.newline(level + 1)
	for i, v := range l {
		if i > 0 {
			e.comma(level + 1)
		}
		if err := e.value(v, level+1); err != nil {
			return err
		}
	}
	e.newline(level)
	e.b.WriteByte(']')
	return nil
}

func (e *jsonEncoder) object(m *wire.Map, level int) error {
	if m.Len() == 0 {
		e.b.WriteString("{}")
		return nil
	}
	keys, vals := entries(m)
	if e.SortKeys {
		var ok bool
		if keys, vals, ok = Sorted(m); !ok {
			return unsortable(keys)
		}
	}
	e.b.WriteByte('{')
	e.newline(level + 1)
	for i, k := range keys {
		if i > 0 {
			e.comma(level + 1)
		}
		name, err := jsonKey(k)
		if err != nil {
			return err
		}
		e.text(name)
		e.b.WriteString(e.Colon)
		if err := e.value(vals[i], level+1); err != nil {
			return err
		}
	}
	e.newline(level)
	e.b.WriteByte('}')
	return nil
}

func jsonKey(k any) (string, error) {
	switch x := k.(type) {
	case string:
		return x, nil
	case nil:
		return "null", nil
	case bool:
		return jsonBool(x), nil
	case float64:
		return jsonFloat(x), nil
	}
	if TypeName(k) == "int" || TypeName(k) == "str" {
		return Str(k), nil
	}
	return "", typeError("keys must be str, int, float, bool or None, not %s", jsonType(k))
}

// jsonType is the type's name without its module, as in Python's messages.
func jsonType(v any) string {
	name := TypeName(v)
	return name[strings.LastIndexByte(name, '.')+1:]
}

// unsortable tells which two keys Python could not compare.
func unsortable(keys []any) error {
	for i := 1; i < len(keys); i++ {
		if !comparable2(keys[i-1], keys[i]) {
			return typeError("'<' not supported between instances of '%s' and '%s'", TypeName(keys[i]), TypeName(keys[i-1]))
		}
	}
	return typeError("'<' not supported between instances of '%s' and '%s'", TypeName(keys[0]), TypeName(keys[0]))
}

func jsonBool(b bool) string {
	if b {
		return "true"
	}
	return "false"
}

func jsonFloat(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	case math.IsNaN(f):
		return "NaN"
	}
	return Float(f)
}

func (e *jsonEncoder) text(s string) {
	e.b.WriteByte('"')
	start := 0
	for i := 0; i < len(s); {
		r, n := rune(s[i]), 1
		if r >= utf8.RuneSelf && e.ASCII {
			r, n = utf8.DecodeRuneInString(s[i:])
		}
		if r >= 0x20 && r != '"' && r != '\\' && (r < 0x7f || !e.ASCII) {
			i += n
			continue
		}
		e.b.WriteString(s[start:i])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&e.b, `\udc%02x`, s[i]) // how Python holds a byte that is not UTF-8
		case r == '"' || r == '\\':
			e.b.WriteByte('\\')
			e.b.WriteByte(byte(r))
		case r == '\n':
			e.b.WriteString(`\n`)
		case r == '\r':
			e.b.WriteString(`\r`)
		case r == '\t':
			e.b.WriteString(`\t`)
		case r == '\f':
			e.b.WriteString(`\f`)
		case r == '\b':
			e.b.WriteString(`\b`)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&e.b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&e.b, `\u%04x`, r)
		}
		i += n
		start = i
	}
	e.b.WriteString(s[start:])
	e.b.WriteByte('"')
}
