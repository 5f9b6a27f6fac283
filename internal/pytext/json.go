package pytext

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/gosalt/gosalt/protocol/wire"
)

// JSON is json.dumps(v, ensure_ascii=False, default=repr): with indent below 0 in
// one line with ", " and ": ", else one element per line, indent spaces a level.
// With sortKeys the keys of maps are sorted. It fails where Python does: a key
// that is bytes or a time, keys that cannot be sorted.
func JSON(v any, indent int, sortKeys bool) (string, error) {
	e := jsonEncoder{indent: indent, sortKeys: sortKeys}
	if err := e.value(v, 0); err != nil {
		return "", err
	}
	return e.b.String(), nil
}

type jsonEncoder struct {
	b        strings.Builder
	indent   int
	sortKeys bool
}

func (e *jsonEncoder) newline(level int) {
	if e.indent >= 0 {
		e.b.WriteByte('\n')
		for range level * e.indent {
			e.b.WriteByte(' ')
		}
	}
}

func (e *jsonEncoder) comma(level int) {
	e.b.WriteByte(',')
	if e.indent < 0 {
		e.b.WriteByte(' ')
	}
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
	case []byte, time.Time:
		e.text(Repr(x))
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
	if e.sortKeys {
		var ok bool
		if keys, vals, ok = Sorted(m); !ok {
			return fmt.Errorf("keys of different kinds cannot be sorted")
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
		e.b.WriteString(": ")
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
	return "", fmt.Errorf("a key of JSON is text, a number, a bool or null, not %s", TypeName(k))
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
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		e.b.WriteString(s[start:i])
		start = i + 1
		switch c {
		case '"', '\\':
			e.b.WriteByte('\\')
			e.b.WriteByte(c)
		case '\n':
			e.b.WriteString(`\n`)
		case '\r':
			e.b.WriteString(`\r`)
		case '\t':
			e.b.WriteString(`\t`)
		case '\f':
			e.b.WriteString(`\f`)
		case '\b':
			e.b.WriteString(`\b`)
		default:
			fmt.Fprintf(&e.b, `\u%04x`, c)
		}
	}
	e.b.WriteString(s[start:])
	e.b.WriteByte('"')
}
