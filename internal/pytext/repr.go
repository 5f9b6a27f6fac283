package pytext

import (
	"fmt"
	"math"
	"math/big"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gosalt/gosalt/protocol/wire"
)

// Repr is Python's repr(v): strings quoted, None, True, False, [..], {..}.
func Repr(v any) string {
	var b strings.Builder
	appendRepr(&b, v, false)
	return b.String()
}

// Str is Python's str(v): a string as it is, everything else as Repr, a time as
// "2020-01-01 00:00:00".
func Str(v any) string {
	switch x := v.(type) {
	case string:
		return x
	case time.Time:
		return isoTime(x, " ")
	}
	return Repr(v)
}

// reprSorted is the form pprint measures and prints: keys of maps in order.
func reprSorted(v any) string {
	var b strings.Builder
	appendRepr(&b, v, true)
	return b.String()
}

func appendRepr(b *strings.Builder, v any, sortKeys bool) {
	switch x := v.(type) {
	case nil:
		b.WriteString("None")
	case bool:
		if x {
			b.WriteString("True")
		} else {
			b.WriteString("False")
		}
	case string:
		quote(b, x)
	case []byte:
		quoteBytes(b, x)
	case float64:
		b.WriteString(Float(x))
	case number:
		b.WriteString(string(x))
	case []any:
		b.WriteByte('[')
		for i, e := range x {
			if i > 0 {
				b.WriteString(", ")
			}
			appendRepr(b, e, sortKeys)
		}
		b.WriteByte(']')
	case *wire.Map:
		keys, vals := entries(x)
		if sortKeys {
			keys, vals = sortLoosely(keys, vals)
		}
		b.WriteByte('{')
		for i, k := range keys {
			if i > 0 {
				b.WriteString(", ")
			}
			appendRepr(b, k, sortKeys)
			b.WriteString(": ")
			appendRepr(b, vals[i], sortKeys)
		}
		b.WriteByte('}')
	case Ordered:
		appendRepr(b, x.Map, sortKeys)
	case Set:
		if len(x) == 0 {
			b.WriteString("set()")
			return
		}
		s := Repr([]any(x))
		b.WriteString("{" + s[1:len(s)-1] + "}")
	case Opaque:
		b.WriteString("<" + x.Type + ">")
	case time.Time:
		fmt.Fprintf(b, "datetime.datetime(%d, %d, %d, %d, %d", x.Year(), int(x.Month()), x.Day(), x.Hour(), x.Minute())
		if us := x.Nanosecond() / 1000; us != 0 {
			fmt.Fprintf(b, ", %d, %d", x.Second(), us)
		} else if x.Second() != 0 {
			fmt.Fprintf(b, ", %d", x.Second())
		}
		b.WriteByte(')')
	default:
		appendRepr(b, plain(v), sortKeys)
	}
}

// number is the text of a whole number that stands for itself.
type number string

// plain brings a Go value that is not of the wire's kinds to one that is.
func plain(v any) any {
	switch x := v.(type) {
	case int64:
		return number(strconv.FormatInt(x, 10))
	case uint64:
		return number(strconv.FormatUint(x, 10))
	case int:
		return number(strconv.Itoa(x))
	case number:
		return x
	case *big.Int:
		return number(x.String())
	}
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Int8, reflect.Int16, reflect.Int32:
		return number(strconv.FormatInt(r.Int(), 10))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return number(strconv.FormatUint(r.Uint(), 10))
	case reflect.Float32:
		return r.Float()
	case reflect.String:
		return r.String()
	case reflect.Bool:
		return r.Bool()
	case reflect.Slice:
		l := make([]any, r.Len())
		for i := range l {
			l[i] = r.Index(i).Interface()
		}
		return l
	}
	return fmt.Sprint(v)
}

// Float is Python's repr of a float: the shortest text that reads back the same,
// with ".0" where it would look whole and an exponent below 1e-4 or from 1e16.
func Float(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	case math.IsNaN(f):
		return "nan"
	}
	e := strconv.FormatFloat(f, 'e', -1, 64)
	mantissa, exponent, _ := strings.Cut(e, "e")
	if n, _ := strconv.Atoi(exponent); f != 0 && (n < -4 || n >= 16) {
		return mantissa + "e" + exponent
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

func isoTime(t time.Time, sep string) string {
	s := t.Format("2006-01-02" + sep + "15:04:05")
	if us := t.Nanosecond() / 1000; us != 0 {
		s += fmt.Sprintf(".%06d", us)
	}
	return s
}

// quoteChar is the quote Python picks: single, unless only single ones occur.
func quoteChar(single, double bool) byte {
	if single && !double {
		return '"'
	}
	return '\''
}

func quote(b *strings.Builder, s string) {
	q := quoteChar(strings.Contains(s, "'"), strings.Contains(s, `"`))
	b.WriteByte(q)
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(b, `\udc%02x`, s[0]) // how Python holds a byte that is not UTF-8
		case r == rune(q) || r == '\\':
			b.WriteByte('\\')
			b.WriteByte(byte(r))
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r >= 0x20 && r < 0x7f || r >= 0x7f && unicode.IsPrint(r):
			b.WriteString(s[:n])
		case r < 0x100:
			fmt.Fprintf(b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(b, `\u%04x`, r)
		default:
			fmt.Fprintf(b, `\U%08x`, r)
		}
		s = s[n:]
	}
	b.WriteByte(q)
}

func quoteBytes(b *strings.Builder, p []byte) {
	s := string(p)
	q := quoteChar(strings.Contains(s, "'"), strings.Contains(s, `"`))
	b.WriteByte('b')
	b.WriteByte(q)
	for _, c := range p {
		switch {
		case c == q || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\t':
			b.WriteString(`\t`)
		case c < 0x20 || c >= 0x7f:
			fmt.Fprintf(b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte(q)
}

// SplitLines is Python's str.splitlines: at \n, \r, \r\n, \v, \f, the separators
// 0x1c to 0x1e, 0x85, U+2028 and U+2029; no empty line after the last break.
// With keep the line breaks stay on their lines.
func SplitLines(s string, keep bool) []string {
	var lines []string
	start := 0
	for i := 0; i < len(s); {
		n := breakLen(s[i:])
		if n == 0 {
			_, w := utf8.DecodeRuneInString(s[i:])
			i += w
			continue
		}
		end := i
		if keep {
			end += n
		}
		lines = append(lines, s[start:end])
		i += n
		start = i
	}
	if start < len(s) {
		lines = append(lines, s[start:])
	}
	return lines
}

// breakLen is the length of the line break that s begins with, or 0.
func breakLen(s string) int {
	switch s[0] {
	case '\r':
		if len(s) > 1 && s[1] == '\n' {
			return 2
		}
		return 1
	case '\n', '\v', '\f', 0x1c, 0x1d, 0x1e:
		return 1
	case 0xc2:
		if strings.HasPrefix(s, "\u0085") {
			return 2
		}
	case 0xe2:
		if strings.HasPrefix(s, "\u2028") || strings.HasPrefix(s, "\u2029") {
			return 3
		}
	}
	return 0
}
