package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gosalt/gosalt/protocol/wire"
)

// Bounds of an entry, in bytes. What is longer is named by its length and SHA-256.
const (
	maxText  = 4 << 10 // a text inside it
	maxValue = 1 << 20 // all values together
	maxLine  = maxValue + 4<<10
	maxDepth = 32 // of lists and maps
)

// encode writes one line without its newline around the values of encodeValues.
func encode(seq uint64, prev string, at time.Time, values []byte) []byte {
	e := &encoder{b: make([]byte, 0, len(values)+160)}
	fmt.Fprintf(e, `{"seq":%d,"prev":"%s","time":"%s",`, seq, prev, at.UTC().Format("2006-01-02T15:04:05.000000Z"))
	e.b = append(e.b, values...)
	return append(e.b, '}')
}

// encodeValues writes what was done and the names and values of Write: `"what":"x","a":1`.
func encodeValues(what string, args []any) []byte {
	e := &encoder{}
	e.b = append(e.b, `"what":`...)
	e.text(cutText(what))
	head := len(e.b)
	for len(args) > 0 {
		name := "!missing name"
		var value any = args[0]
		if s, ok := args[0].(string); ok && len(args) > 1 {
			name, value, args = s, args[1], args[2:]
		} else {
			args = args[1:]
		}
		e.b = append(e.b, ',')
		e.text(cutText(fieldName(name)))
		e.b = append(e.b, ':')
		e.named(name, value, 0)
	}
	if len(e.b) > maxValue {
		sum, size := hashLine(e.b[head:]), len(e.b)-head
		e.b = e.b[:head]
		fmt.Fprintf(e, `,"too_long":{"bytes":%d,"sha256":"%s"}`, size, sum)
	}
	return e.b
}

// fieldName keeps the names of the chain itself from being given twice.
func fieldName(name string) string {
	switch name {
	case "seq", "prev", "time", "what", "too_long":
		return "_" + name
	}
	return name
}

// encoder writes JSON. Unlike encoding/json it keeps the order of a wire.Map, takes
// any key, bounds what it writes and escapes all that could act on a terminal.
type encoder struct{ b []byte }

// Write appends p.
func (e *encoder) Write(p []byte) (int, error) {
	e.b = append(e.b, p...)
	return len(p), nil
}

// named writes the value of a field, unless its name says that it is a secret.
func (e *encoder) named(name string, v any, depth int) {
	if secretName(name) && !plainFlag(v) {
		e.text(redacted)
		return
	}
	e.value(v, depth)
}

func (e *encoder) value(v any, depth int) {
	if depth > maxDepth {
		e.text("(nested too deeply)")
		return
	}
	switch v := v.(type) {
	case nil:
		e.b = append(e.b, "null"...)
	case bool:
		e.b = strconv.AppendBool(e.b, v)
	case int:
		e.b = strconv.AppendInt(e.b, int64(v), 10)
	case int64:
		e.b = strconv.AppendInt(e.b, v, 10)
	case uint64:
		e.b = strconv.AppendUint(e.b, v, 10)
	case float64:
		e.float(v)
	case string:
		e.content(v)
	case []byte:
		e.content(string(v))
	case time.Time:
		e.text(v.UTC().Format(time.RFC3339Nano))
	case []any:
		e.list(len(v), func(i int) { e.value(v[i], depth+1) })
	case *wire.Map:
		e.wireMap(v, depth)
	case error:
		e.content(v.Error())
	case fmt.Stringer:
		e.content(v.String())
	default:
		e.other(v, depth)
	}
}

// other writes what is not of package wire.
func (e *encoder) other(v any, depth int) {
	rv := reflect.ValueOf(v)
	switch rv.Kind() {
	case reflect.String:
		e.content(rv.String())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		e.b = strconv.AppendInt(e.b, rv.Int(), 10)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		e.b = strconv.AppendUint(e.b, rv.Uint(), 10)
	case reflect.Slice, reflect.Array:
		e.list(rv.Len(), func(i int) { e.value(rv.Index(i).Interface(), depth+1) })
	default:
		// By way of encoding/json, so that secrets inside are found all the same.
		b, err := json.Marshal(v)
		if err != nil {
			e.text(fmt.Sprintf("(%T cannot be written: %v)", v, err))
			return
		}
		var plain any
		if err := json.Unmarshal(b, &plain); err != nil {
			e.text(fmt.Sprintf("(%T cannot be written: %v)", v, err))
			return
		}
		e.json(plain, depth)
	}
}

// json writes what encoding/json decoded.
func (e *encoder) json(v any, depth int) {
	m, ok := v.(map[string]any)
	if !ok {
		e.value(v, depth)
		return
	}
	sorted := wire.NewMap()
	keys := reflect.ValueOf(m).MapKeys()
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.String()
	}
	for _, name := range sortedStrings(names) {
		sorted.Set(name, m[name])
	}
	e.wireMap(sorted, depth)
}

func (e *encoder) float(v float64) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		e.text(strconv.FormatFloat(v, 'g', -1, 64))
		return
	}
	e.b = strconv.AppendFloat(e.b, v, 'g', -1, 64)
}

func (e *encoder) list(n int, item func(int)) {
	e.b = append(e.b, '[')
	for i := range n {
		if i > 0 {
			e.b = append(e.b, ',')
		}
		item(i)
	}
	e.b = append(e.b, ']')
}

func (e *encoder) wireMap(m *wire.Map, depth int) {
	e.b = append(e.b, '{')
	first := true
	for k, v := range m.All() {
		if !first {
			e.b = append(e.b, ',')
		}
		first = false
		name := fmt.Sprint(k)
		e.text(cutText(name))
		e.b = append(e.b, ':')
		e.named(name, v, depth+1)
	}
	e.b = append(e.b, '}')
}

// content writes a text that came from outside: without the secrets in it, and cut
// where it is long.
func (e *encoder) content(s string) {
	// Looking for secrets takes its time, so it is not done far behind the cut.
	if len(s) > 2*maxText {
		e.text(cutAt(redactText(cutAt(s, 2*maxText)), maxText) + sized(s))
		return
	}
	e.text(cutText(redactText(s)))
}

// cutText cuts a long text and says so.
func cutText(s string) string {
	if len(s) <= maxText {
		return s
	}
	return cutAt(s, maxText) + sized(s)
}

// cutAt returns at most n bytes of s, whole characters.
func cutAt(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// sized names a text that was cut.
func sized(s string) string {
	sum := sha256.Sum256([]byte(s))
	return fmt.Sprintf("... (%d bytes, sha256 %s)", len(s), hex.EncodeToString(sum[:]))
}

// text writes a JSON string. Control and format characters (among them those that
// turn the direction of writing) and bytes that are no UTF-8 are escaped.
func (e *encoder) text(s string) {
	e.b = append(e.b, '"')
	for i, r := range s {
		switch {
		case r == '"' || r == '\\':
			e.b = append(e.b, '\\', byte(r))
		case r == '\n':
			e.b = append(e.b, `\n`...)
		case r == '\t':
			e.b = append(e.b, `\t`...)
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
			e.b = append(e.b, fmt.Sprintf(`\\x%02x`, s[i])...)
		case r > 0xffff && unicode.In(r, unicode.C):
			hi, lo := surrogates(r)
			e.b = append(e.b, fmt.Sprintf(`\u%04x\u%04x`, hi, lo)...)
		case unicode.In(r, unicode.C, unicode.Zl, unicode.Zp):
			e.b = append(e.b, fmt.Sprintf(`\u%04x`, r)...)
		default:
			e.b = utf8.AppendRune(e.b, r)
		}
	}
	e.b = append(e.b, '"')
}
